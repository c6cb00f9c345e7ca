"""A loaded thread: its record, its legal transitions, and how it looks on the wire. Pure but for ids and clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from appserver.threads.in_force import READ_ONLY
from appserver.threads.metadata import ThreadFacts
from appserver.threads.recorder import NoJournal
from appserver.threads.turn_record import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from appserver.settings import Provider
    from appserver.threads.recorder import Journal
    from appserver.threads.turn_record import TurnRecord
    from protocol.item import Item
    from protocol.settings import ApprovalPolicy, ModeKind, SandboxPolicy, ThreadSettings
    from protocol.thread import Thread, ThreadStatus, TokenUsage
    from protocol.tool import DynamicTool
    from protocol.turn import AdditionalContext

IN_FORCE = (
    "instructions",
    "developer_instructions",
    "mode",
    "mode_instructions",
    "summary",
    "verbosity",
    "service_tier",
    "approval_policy",
    "approvals_reviewer",
    "sandbox",
    "tools",
)
"""What else of a thread is written down, beside its facts: each a member of ThreadRecord whose value is JSON."""

NO_USAGE: TokenUsage = {
    "totalTokens": 0,
    "inputTokens": 0,
    "cachedInputTokens": 0,
    "cacheWriteInputTokens": 0,
    "outputTokens": 0,
    "reasoningOutputTokens": 0,
}


def unknown_settings(in_force: Mapping[str, Any]) -> dict[str, Any]:
    """Return what only a newer version knows of what is in force for a thread."""
    return {name: value for name, value in in_force.items() if name not in IN_FORCE}


class Phase(Enum):
    """What a thread is doing."""

    IDLE = "idle"
    """No turn is running."""

    ACTIVE = "active"
    """A turn is running."""

    SYSTEM_ERROR = "systemError"
    """The last turn failed; the next one may be started."""


@dataclass(slots=True, eq=False, repr=False)  # the other methods take time to make
class ThreadRecord:
    """A conversation: what is in force for it, what was said, and the turn that runs, if any."""

    provider: Provider
    model: str
    cwd: str
    originator: str
    version: str
    instructions: str
    developer_instructions: str | None = None
    effort: str | None = None
    summary: str | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    mode: ModeKind = "default"
    mode_instructions: str | None = None
    """What the collaboration mode adds to the developer's instructions."""
    approval_policy: ApprovalPolicy = "never"
    approvals_reviewer: str = "user"
    sandbox: SandboxPolicy = field(default_factory=lambda: READ_ONLY.copy())
    ephemeral: bool = False
    tools: list[DynamicTool] = field(default_factory=list)
    """The client's own tools."""
    id: str = field(default_factory=new_id)
    created_at: float = field(default_factory=time.time)
    updated_at: float = field(default_factory=time.time)
    preview: str = ""
    name: str | None = None
    forked_from: str | None = None
    thread_source: str | None = None
    """Where the client says that the thread comes from."""
    git_info: dict[str, Any] | None = None
    phase: Phase = Phase.IDLE
    active: TurnRecord | None = None
    usage: TokenUsage = field(default_factory=lambda: NO_USAGE.copy())
    history: list[dict[str, Any]] = field(default_factory=list)
    """Input items of the Responses API, as the next request sends them."""
    context: AdditionalContext = field(default_factory=dict)
    """What the model was told beside the last message: it is not told again what has not changed."""
    unknown_facts: Mapping[str, Any] = field(default_factory=dict)
    unknown_settings: Mapping[str, Any] = field(default_factory=dict)
    """What only a newer version knows of the facts, and of what is in force: written back as it was read."""
    journal: Journal = field(default_factory=NoJournal)
    after_turn: list[Callable[[], None]] = field(default_factory=list)
    """What waits for the active turn to end."""

    async def keep(self, turn: TurnRecord, item: Item | None, remembered: dict[str, Any] | None) -> None:
        """Add a finished item to a turn, and what it means to the model to the history."""
        await self.journal.kept(turn, item, remembered)  # first: what could not be written must not be told
        if item is not None:
            turn.items.append(item)
        if remembered is not None:
            self.history.append(remembered)

    async def replace_history(self, turn: TurnRecord, item: Item, summary: dict[str, Any]) -> None:
        """Add an item to a turn, and let a summary stand for all that was said."""
        await self.journal.replaced(turn, item, summary)
        turn.items.append(item)
        self.history[:] = [summary]
        self.context = {}

    def choose(self, values: Mapping[str, Any]) -> None:
        """Put values of this record's members in force."""
        for name, value in values.items():
            setattr(self, name, value)

    def change(self, values: Mapping[str, Any]) -> None:
        """Put values in force and write them down, or change nothing. Raises ThreadStoreError."""
        before = {name: getattr(self, name) for name in values}
        self.choose(values)
        try:
            self.journal.changed()
        except BaseException:
            self.choose(before)
            raise

    def inject(self, items: list[dict[str, Any]]) -> None:
        """Add input items of a client to the history, while no turn runs. Raises RequestError or ThreadStoreError."""
        self.journal.injected(items)
        self.history.extend(items)
        self.updated_at = time.time()

    def revert(self, before: str) -> None:
        """Forget a turn and all that came after it, while no turn runs. Raises RequestError or ThreadStoreError."""
        self.history[:] = self.journal.reverted(before)
        self.context, self.phase, self.updated_at = {}, Phase.IDLE, time.time()

    def start(self, turn: TurnRecord) -> None:
        """Make a turn the active one. A thread runs one turn at a time. Raises RequestError or ThreadStoreError."""
        if self.active is not None:
            raise RuntimeError("a thread runs one turn at a time")
        self.journal.turn_started(turn)
        self.active, self.phase, self.updated_at = turn, Phase.ACTIVE, time.time()

    async def stop(self, turn: TurnRecord) -> None:
        """Note that the active turn has ended, and let go of it once that is written down."""
        try:
            await self.journal.turn_ended(turn)
        finally:
            self.active, self.updated_at = None, time.time()
            self.phase = Phase.SYSTEM_ERROR if turn.status == "failed" else Phase.IDLE

    def settle(self) -> None:
        """Do what waited for the turn to end: it has, and everybody has been told."""
        waiting, self.after_turn = self.after_turn, []
        for then in waiting:
            then()

    def add_usage(self, usage: TokenUsage) -> None:
        """Add the tokens of one request."""
        mine = self.usage
        self.usage = {
            **mine,  # with what only a newer version counts
            "totalTokens": mine["totalTokens"] + usage["totalTokens"],
            "inputTokens": mine["inputTokens"] + usage["inputTokens"],
            "cachedInputTokens": mine["cachedInputTokens"] + usage["cachedInputTokens"],
            "cacheWriteInputTokens": mine["cacheWriteInputTokens"] + usage["cacheWriteInputTokens"],
            "outputTokens": mine["outputTokens"] + usage["outputTokens"],
            "reasoningOutputTokens": mine["reasoningOutputTokens"] + usage["reasoningOutputTokens"],
        }

    def status_on_wire(self) -> ThreadStatus:
        """Return the protocol's thread status."""
        match self.phase:
            case Phase.ACTIVE:
                return {"type": "active", "activeFlags": []}
            case Phase.SYSTEM_ERROR:
                return {"type": "systemError"}
            case Phase.IDLE:
                return {"type": "idle"}

    def facts(self) -> ThreadFacts:
        """Return what lists show of this thread."""
        return ThreadFacts(
            id=self.id,
            created_at=self.created_at,
            updated_at=self.updated_at,
            provider=self.provider.id,
            model=self.model,
            effort=self.effort,
            cwd=self.cwd,
            originator=self.originator,
            version=self.version,
            preview=self.preview,
            name=self.name,
            forked_from=self.forked_from,
            thread_source=self.thread_source,
            git_info=self.git_info,
            ephemeral=self.ephemeral,
            unknown=self.unknown_facts,
        )

    def in_force(self) -> dict[str, Any]:
        """Return what else is written down of this thread."""
        return {**self.unknown_settings, **{name: getattr(self, name) for name in IN_FORCE}}

    def settings_on_wire(self) -> ThreadSettings:
        """Return what is in force, as the protocol has it."""
        return {
            "model": self.model,
            "modelProvider": self.provider.id,
            "effort": self.effort,
            "summary": self.summary,
            "serviceTier": self.service_tier,
            "cwd": self.cwd,
            "collaborationMode": {
                "mode": self.mode,
                "settings": {
                    "model": self.model,
                    "reasoning_effort": self.effort,
                    "developer_instructions": self.mode_instructions,
                },
            },
            "approvalPolicy": self.approval_policy,
            "approvalsReviewer": self.approvals_reviewer,
            "sandboxPolicy": self.sandbox,
        }

    def on_wire(self) -> Thread:
        """Return the protocol's thread, without its turns."""
        return self.facts().on_wire(self.status_on_wire())
