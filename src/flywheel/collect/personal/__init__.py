"""What finds each kind of personal data."""
