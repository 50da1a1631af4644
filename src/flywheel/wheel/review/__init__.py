"""What waits for a curator, and what he decides on it."""
