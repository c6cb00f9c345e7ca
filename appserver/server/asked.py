"""A request of ours to one of several connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appserver.errors import ClientError, ClientGone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from appserver.server.subscriber import Subscriber


class Asked:
    """One connection of several, in an order: whichever is there and stays until it has answered."""

    def __init__(self, first: Subscriber, candidates: Callable[[], Iterable[Subscriber]]) -> None:
        self.session = first.session
        self._candidates = candidates

    async def request(
        self,
        method: str,
        params: object,
        *,
        timeout: float,
        late: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Send a request and return its validated result; `timeout`, in seconds, counts for each that is asked.

        Raises ClientError, ClientTimeout or InvalidParams.
        """
        asked: list[Subscriber] = []
        while True:
            connection = next((one for one in self._candidates() if one not in asked), None)
            if connection is None:
                raise ClientError(f"{method}: no client is connected that could be asked")
            asked.append(connection)
            try:
                return await connection.request(method, params, timeout=timeout, late=late)
            except ClientGone:
                continue
