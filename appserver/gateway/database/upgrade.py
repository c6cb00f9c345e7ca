"""Brings the schema of a database up to date, by Alembic's scripts in `migrations`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from appserver.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    """Run the migrations that the database has not seen, in the caller's transaction.

    Raises ConfigError where it has seen one that is not among them, and what the database raises.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as exc:
        raise ConfigError("The database cannot be used: a newer version of the gateway has changed its schema") from exc
