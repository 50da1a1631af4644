"""One file a format: bytes to text with headings. `collect/extract.py` decides which is which."""
