"""What Alembic runs for each migration: on the connection that it was given, in the caller's transaction."""

from __future__ import annotations

from alembic import context

from appserver.gateway.database.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a column
    transactional_ddl=False,  # the caller's transaction holds the lock, too
)
context.run_migrations()
