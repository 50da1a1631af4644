"""The Exam page."""
