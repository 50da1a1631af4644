"""Documents as owners look at them, and what they do with them."""
