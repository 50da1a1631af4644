"""Finds what should not be asked or answered: word lists, and a classifier that is trained here."""
