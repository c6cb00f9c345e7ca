"""A loaded thread: its record, its legal transitions, and how it looks on the wire. Pure but for ids and clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from appserver.settings.options import service_tier
from appserver.threads.recorder import NullRecorder, whole
from appserver.threads.settings import ThreadSettings, TurnSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from appserver.settings import Provider
    from appserver.threads.metadata import ThreadMetadata
    from appserver.threads.recorder import Recorder
    from appserver.threads.settings import Values
    from appserver.threads.transcript import Entry
    from appserver.threads.turn_record import TurnRecord
    from protocol import settings as wire
    from protocol.item import Item
    from protocol.thread import Thread, ThreadStatus, TokenUsage
    from protocol.turn import AdditionalContext

NO_USAGE: TokenUsage = {
    "totalTokens": 0,
    "inputTokens": 0,
    "cachedInputTokens": 0,
    "cacheWriteInputTokens": 0,
    "outputTokens": 0,
    "reasoningOutputTokens": 0,
}


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
    """A conversation: its metadata and settings, what was said, and the turn that runs, if any."""

    metadata: ThreadMetadata
    settings: ThreadSettings
    provider: Provider
    """The model provider whose id is in the metadata."""
    phase: Phase = Phase.IDLE
    active: TurnRecord | None = None
    usage: TokenUsage = field(default_factory=lambda: NO_USAGE.copy())
    history: list[dict[str, Any]] = field(default_factory=list)
    """Input items of the Responses API, as the next request sends them."""
    context: AdditionalContext = field(default_factory=dict)
    """The application context that the model was sent with the last message: what has not changed is not sent again."""
    recorder: Recorder = field(default_factory=NullRecorder)
    after_turn: list[Callable[[], None]] = field(default_factory=list)
    """Called once the active turn has ended."""

    @property
    def id(self) -> str:
        """The id of the thread."""
        return self.metadata.id

    async def add_item(self, turn: TurnRecord, item: Item | None, remembered: dict[str, Any] | None) -> None:
        """Add a finished item to a turn, and the input item that the model is sent for it to the history."""
        await self.recorder.add_item(turn, item, remembered)  # first: a client is told only of what has been written
        self._add(turn, item, remembered)

    async def replace_history(self, turn: TurnRecord, item: Item, summary: dict[str, Any]) -> None:
        """Add an item to a turn, and replace the history with a summary."""
        await self.recorder.replace_history(turn, item, summary)
        turn.items.append(item)
        self.history[:] = [summary]
        self.context = {}

    def choose(self, values: Values) -> None:
        """Take over chosen values, for the next turn."""
        self.provider = values.get("provider", self.provider)
        self.metadata, self.settings = self._with(values)

    async def change_settings(self, values: Values) -> None:
        """Write chosen values, then take them over. Raises RequestError or ThreadStoreError."""
        await whole(self.recorder.change_settings(*self._with(values)))
        self.choose(values)

    async def inject(self, items: list[dict[str, Any]]) -> None:
        """Add input items of a client to the history, while no turn runs. Raises RequestError or ThreadStoreError."""
        await whole(self.recorder.inject(items))
        self.history.extend(items)
        self.touch()

    async def revert(self, before: str) -> None:
        """Forget a turn and all that came after it, while no turn runs. Raises RequestError or ThreadStoreError."""
        self.history[:] = await whole(self.recorder.revert(before))
        self.context, self.phase = {}, Phase.IDLE
        self.touch()

    async def start_turn(self, turn: TurnRecord, entries: Sequence[Entry] = (), values: Values | None = None) -> None:
        """Make a turn the active one, and write it with its first entries and with chosen values.

        A thread runs one turn at a time. Raises RequestError or ThreadStoreError, and the thread is as it was.
        """
        values = values or {}
        if self.active is not None:
            raise RuntimeError("a thread runs one turn at a time")
        phase = self.phase
        self.active, self.phase = turn, Phase.ACTIVE  # first: another turn must not start meanwhile
        try:
            await whole(self.recorder.start_turn(turn, entries, *self._with(values)))
        except BaseException:
            self.active, self.phase = None, phase
            raise
        self.choose(values)
        for entry in entries:
            self._add(turn, entry.item, entry.remembered)
        self.touch()

    async def end_turn(self, turn: TurnRecord) -> None:
        """Write how the active turn has ended, then make the thread free for the next one."""
        try:
            await self.recorder.end_turn(turn)
        finally:
            self.active = None
            self.phase = Phase.SYSTEM_ERROR if turn.status == "failed" else Phase.IDLE
            self.touch()

    def run_after_turn(self) -> None:
        """Make the calls that wait for the end of the turn."""
        waiting, self.after_turn = self.after_turn, []
        for then in waiting:
            then()

    def touch(self) -> None:
        """Note the time of a change."""
        self.metadata = replace(self.metadata, updated_at=time.time())

    def _add(self, turn: TurnRecord, item: Item | None, remembered: dict[str, Any] | None) -> None:
        if item is not None:
            turn.items.append(item)
        if remembered is not None:
            self.history.append(remembered)

    def _with(self, values: Values) -> tuple[ThreadMetadata, ThreadSettings]:
        """Return the metadata and the settings with chosen values in them."""
        if not values:
            return self.metadata, self.settings
        listed: Values = {name: values[name] for name in ("model", "effort", "cwd", "preview") if name in values}
        if "provider" in values:
            listed["provider"] = values["provider"].id
        chosen = {name: value for name, value in values.items() if name in ThreadSettings._fields}
        return replace(self.metadata, **listed), self.settings._replace(**chosen)

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

    def turn_settings(self, tier: str | None = None) -> TurnSettings:
        """Return what a turn that begins now is run with. `tier`: its own service tier, in place of the thread's."""
        settings = self.settings
        return TurnSettings(
            provider=self.provider,
            model=self.metadata.model,
            effort=self.metadata.effort,
            instructions=settings.instructions,
            developer_instructions=settings.developer_instructions,
            mode_instructions=settings.mode_instructions,
            summary=settings.summary,
            verbosity=settings.verbosity,
            service_tier=service_tier(tier) if tier else settings.service_tier,
        )

    def status_on_wire(self) -> ThreadStatus:
        """Return the protocol's thread status."""
        match self.phase:
            case Phase.ACTIVE:
                return {"type": "active", "activeFlags": []}
            case Phase.SYSTEM_ERROR:
                return {"type": "systemError"}
            case Phase.IDLE:
                return {"type": "idle"}

    def settings_on_wire(self) -> wire.ThreadSettings:
        """Return the protocol's thread settings."""
        metadata, settings = self.metadata, self.settings
        return {
            "model": metadata.model,
            "modelProvider": metadata.provider,
            "effort": metadata.effort,
            "summary": settings.summary,
            "serviceTier": settings.service_tier,
            "cwd": metadata.cwd,
            "collaborationMode": {
                "mode": settings.mode,
                "settings": {
                    "model": metadata.model,
                    "reasoning_effort": metadata.effort,
                    "developer_instructions": settings.mode_instructions,
                },
            },
            "approvalPolicy": settings.approval_policy,
            "approvalsReviewer": settings.approvals_reviewer,
            "sandboxPolicy": settings.sandbox,
        }

    def on_wire(self) -> Thread:
        """Return the protocol's thread, without its turns."""
        return self.metadata.on_wire(self.status_on_wire())
