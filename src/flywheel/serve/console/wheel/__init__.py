"""The Wheel page."""
