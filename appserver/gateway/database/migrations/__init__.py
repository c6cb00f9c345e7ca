"""Alembic's scripts. `versions` holds one for each change of the schema, in the order of their numbers."""
