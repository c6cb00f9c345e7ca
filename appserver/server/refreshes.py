"""Counts how often new tokens are asked for, and tells of it, whoever is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.telemetry import ended_with

if TYPE_CHECKING:
    from appserver.auth.refresh.base import RefreshedTokens, Refresher, RefreshRequest
    from appserver.telemetry import Telemetry
    from protocol.diagnostics import DiagnosticsRefreshes


class Refreshes:
    """Those of one account."""

    def __init__(self) -> None:
        self.started = self.succeeded = self.failed = 0

    def on_wire(self) -> DiagnosticsRefreshes:
        return {"started": self.started, "succeeded": self.succeeded, "failed": self.failed}


class CountedRefresher:
    """Another refresher, counted and told of (`auth.refresh.base.Refresher`)."""

    def __init__(self, refresher: Refresher, refreshes: Refreshes, telemetry: Telemetry) -> None:
        self._refresher = refresher
        self._telemetry = telemetry
        self._refreshes = refreshes

    async def refresh(self, request: RefreshRequest) -> RefreshedTokens:
        """Return new tokens. Raises RefreshError."""
        self._refreshes.started += 1
        span = self._telemetry.refresh(type(self._refresher).__name__)
        try:
            tokens = await ended_with(span, self._refresher.refresh(request))
        except BaseException:
            self._refreshes.failed += 1
            raise
        self._refreshes.succeeded += 1
        return tokens
