"""server/diagnostics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.server.diagnostics import diagnostics

if TYPE_CHECKING:
    from appserver.server.workspace import Client
    from protocol.diagnostics import ServerDiagnosticsParams, ServerDiagnosticsResult


def read(client: Client, params: ServerDiagnosticsParams) -> ServerDiagnosticsResult:
    """Tell figures about the process and the client's workspace."""
    return diagnostics(client.workspace)
