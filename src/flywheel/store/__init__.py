"""What must not be lost: documents, interactions, versions, in SQLite or PostgreSQL."""
