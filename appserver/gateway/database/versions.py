"""Which version of each user's credential this node has heard of: by its own changes, and with each request."""

from __future__ import annotations


class Versions:
    """One of a node, so that to ask for a version never waits."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def of(self, user_id: str) -> int:
        """Return the latest version that was heard of, 0 for none."""
        return self._seen.get(user_id, 0)

    def heard(self, user_id: str, version: int) -> None:
        """Take note of a version. Two nodes' news may come in either order."""
        if version > self.of(user_id):
            self._seen[user_id] = version

    def forget(self, user_id: str) -> None:
        """Forget a user who was removed."""
        self._seen.pop(user_id, None)
