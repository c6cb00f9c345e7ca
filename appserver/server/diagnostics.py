"""What a person who looks for a fault wants to know of a running server: figures, and nothing of what users say.

A client learns of its own workspace, and of the process. `process` and `gauges` are the reference's, all else is ours.
"""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from appserver import __version__
from appserver.memory import resident_bytes
from appserver.session import PROTOCOL_VERSION

if TYPE_CHECKING:
    from appserver.server.workspace import Workspace
    from protocol.diagnostics import ServerDiagnosticsResult


def diagnostics(workspace: Workspace) -> ServerDiagnosticsResult:
    """Return the figures of now."""
    runtime = workspace.runtime
    connections = workspace.subscriptions.diagnostics()
    pause = runtime.loop_pauses.longest()
    gauges = {
        # Under the reference's names, as far as it has them.
        "app.requests.in_flight": sum(one["requestsInFlight"] for one in connections),
        "app.requests.queued": sum(one["requestsQueued"] for one in connections),
        "core.threads.live": workspace.loaded_threads,
        "core.turns.active": workspace.running_turns,
        "app.connections.open": len(connections),
        "app.outbox.bytes": sum(one["queuedBytes"] for one in connections),
    }
    return {
        "process": {"id": os.getpid(), "residentMemoryBytes": resident_bytes(), "physicalFootprintBytes": None},
        "gauges": [{"name": name, "value": value} for name, value in gauges.items()],
        "versions": {"server": __version__, "protocol": PROTOCOL_VERSION, "python": platform.python_version()},
        "home": workspace.settings.home,
        "uptimeSeconds": round(runtime.uptime(), 3),
        "connections": connections,
        "refreshes": workspace.account.refreshes.on_wire(),
        "longestLoopPauseMs": None if pause is None else round(pause * 1000, 3),
    }
