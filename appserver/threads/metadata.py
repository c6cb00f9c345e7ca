"""The metadata of a thread: what lists of threads show of it, and how it looks on the wire. Pure.

Knows neither turns nor stores. A member that is added here without a default is one that the type checker then asks
for wherever metadata is made or read: protocol/thread.py, stores/rows.py and handlers/thread.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocol.thread import Thread, ThreadStatus
    from protocol.turn import Turn


SOURCE: Final = "vscode"
"""Where all threads here come from, as the reference says it of its clients' threads."""


@dataclass(frozen=True, slots=True)
class ThreadMetadata:
    """The metadata of a thread. Times are Unix seconds."""

    id: str
    created_at: float
    updated_at: float
    provider: str
    model: str
    effort: str | None
    cwd: str
    originator: str
    version: str
    preview: str = ""
    name: str | None = None
    forked_from: str | None = None
    thread_source: str | None = None
    git_info: dict[str, Any] | None = None
    ephemeral: bool = False
    archived: bool = False
    unknown: Mapping[str, Any] = field(default_factory=dict)
    """Members that only a newer version knows, as it has written them."""

    def on_wire(self, status: ThreadStatus, turns: list[Turn] | None = None) -> Thread:
        """Return the protocol's thread. Its path is null: threads are rows of one database, not files."""
        return {
            "id": self.id,
            "sessionId": self.id,
            "forkedFromId": self.forked_from,
            "parentThreadId": None,
            "preview": self.preview,
            "ephemeral": self.ephemeral,
            "modelProvider": self.provider,
            "model": self.model,
            "reasoningEffort": self.effort,
            "createdAt": int(self.created_at),
            "updatedAt": int(self.updated_at),
            "recencyAt": int(self.updated_at),
            "historyMode": "paginated",
            "status": status,
            "path": None,
            "cwd": self.cwd,
            "cliVersion": self.version,
            "originator": self.originator,
            "source": SOURCE,
            "threadSource": self.thread_source,
            "gitInfo": self.git_info,
            "projectId": None,
            "name": self.name,
            "turns": turns or [],
        }
