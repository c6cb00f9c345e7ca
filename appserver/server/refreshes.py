"""Counts how often new tokens are asked for, whoever is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appserver.auth.refresh.base import RefreshedTokens, Refresher, RefreshRequest
    from protocol.diagnostics import DiagnosticsRefreshes


class Refreshes:
    """Those of one account."""

    def __init__(self) -> None:
        self.started = self.succeeded = self.failed = 0

    def on_wire(self) -> DiagnosticsRefreshes:
        return {"started": self.started, "succeeded": self.succeeded, "failed": self.failed}


class CountedRefresher:
    """Another refresher, counted (`auth.refresh.base.Refresher`)."""

    def __init__(self, refresher: Refresher, refreshes: Refreshes) -> None:
        self._refresher = refresher
        self._refreshes = refreshes

    async def refresh(self, request: RefreshRequest) -> RefreshedTokens:
        """Return new tokens. Raises RefreshError."""
        self._refreshes.started += 1
        has_worked = False
        try:
            tokens = await self._refresher.refresh(request)
            has_worked = True
        finally:
            if has_worked:
                self._refreshes.succeeded += 1
            else:
                self._refreshes.failed += 1
        return tokens
