"""The Ask page: a question, its answers, and what is said of them."""
