"""Alembic's scripts. `versions` holds one for each change of the schema, in the order of their numbers."""

from typing import Final

LATEST: Final = "0003"
"""The revision that the last one leads to: that of `schema.py`."""
