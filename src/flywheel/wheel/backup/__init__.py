"""All that cannot be made again as one file, and back."""
