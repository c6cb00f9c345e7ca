"""A request that cannot be served as it is."""

from __future__ import annotations


class InvalidRequest(Exception):
    """HTTP 400. `param`: the member of the request that is wrong."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
