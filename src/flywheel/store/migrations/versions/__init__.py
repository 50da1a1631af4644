"""One file a migration, numbered. A new one comes with rows of the schema before it in
`tests/store/test_migrations.py`, and with a new `SCHEMA` in `tables.py`.
"""
