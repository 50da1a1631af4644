"""Erase, and prove it."""
