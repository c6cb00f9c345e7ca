"""Turns are tested on stores in threads.db, too."""

from tests.threads.conftest import database, opened

__all__ = ["database", "opened"]
