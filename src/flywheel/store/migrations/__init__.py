"""Append-only: a released migration never changes, and never imports `tables.py`, which does."""
