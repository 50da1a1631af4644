"""What is wrong with a workspace, and what to do."""
