"""The database, and nodes on it, as the kits of tests of thread stores open them."""

from tests.threads.stores.conftest import nodes, postgres_of_all

__all__ = ["nodes", "postgres_of_all"]
