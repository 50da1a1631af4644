"""The exam as curators look at it and change it; who sits it is examination.py's."""
