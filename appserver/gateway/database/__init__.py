"""Where users, keys and credentials are kept: SQLite in the home, or a PostgreSQL that many nodes share."""
