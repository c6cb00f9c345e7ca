"""Classes of protocol/thread.py.

Generated from protocol/ by `python -m codegen`. Do not edit.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from appserver.client.types.settings import ApprovalPolicy, SandboxPolicy
from appserver.client.types.turn import Turn
from appserver.client.wire import Data, Unknown


@dataclass(frozen=True)
class NotLoadedStatus(Data):
    """The thread is not in memory."""

    type: ClassVar[Literal["notLoaded"]] = "notLoaded"


@dataclass(frozen=True)
class IdleStatus(Data):
    """No turn is running."""

    type: ClassVar[Literal["idle"]] = "idle"


@dataclass(frozen=True)
class SystemErrorStatus(Data):
    """The last turn failed; another can be started."""

    type: ClassVar[Literal["systemError"]] = "systemError"


@dataclass(frozen=True)
class ActiveStatus(Data):
    """A turn is running."""

    type: ClassVar[Literal["active"]] = "active"
    active_flags: list[str]


ThreadStatus = NotLoadedStatus | IdleStatus | SystemErrorStatus | ActiveStatus | Unknown


@dataclass(frozen=True)
class Thread(Data):
    """A conversation. Times are Unix seconds, recency_at that of the last change as updated_at is.

    path, project_id and parent_thread_id are null: a thread is a row of a database, not a file, in no project,
    and no other thread's helper. history_mode is always paginated: turns and items can be listed. thread_source:
    what the client said of where the thread comes from. cli_version: the version of the protocol.
    """

    id: str
    session_id: str
    forked_from_id: str | None
    parent_thread_id: str | None
    preview: str
    ephemeral: bool
    model_provider: str
    model: str | None
    reasoning_effort: str | None
    created_at: int
    updated_at: int
    recency_at: int
    history_mode: Literal["paginated"]
    status: ThreadStatus
    path: str | None
    cwd: str
    cli_version: str
    originator: str
    source: str
    thread_source: str | None
    git_info: dict[str, Any] | None
    project_id: str | None
    name: str | None
    turns: list[Turn]


@dataclass(frozen=True)
class ThreadStartResult(Data):
    """The thread and what is in force for it. Approvals and sandbox are those that were asked for.

    instruction_sources is empty: no files of instructions are looked for. runtime_workspace_roots: the working
    directory.
    """

    thread: Thread
    model: str
    model_provider: str
    service_tier: str | None
    cwd: str
    approval_policy: ApprovalPolicy
    approvals_reviewer: str
    sandbox: SandboxPolicy
    reasoning_effort: str | None
    instruction_sources: list[str]
    runtime_workspace_roots: list[str]


@dataclass(frozen=True)
class TokenUsage(Data):
    """Tokens of one request, or of a thread so far."""

    total_tokens: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_input_tokens: int
    output_tokens: int
    reasoning_output_tokens: int


@dataclass(frozen=True)
class ThreadTokenUsage(Data):
    """Tokens of the whole thread and of its last request."""

    total: TokenUsage
    last: TokenUsage
    model_context_window: int | None
