"""Threads: starting one, what it is, and the notifications about its turns."""

from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypedDict

from protocol.base import TaggedBy
from protocol.settings import ApprovalPolicy, SandboxMode, SandboxPolicy
from protocol.tool import DynamicTool
from protocol.turn import Turn


class NotLoadedStatus(TypedDict):
    """The thread is not in memory."""

    type: Literal["notLoaded"]


class IdleStatus(TypedDict):
    """No turn is running."""

    type: Literal["idle"]


class SystemErrorStatus(TypedDict):
    """The last turn failed; another can be started."""

    type: Literal["systemError"]


class ActiveStatus(TypedDict):
    """A turn is running."""

    type: Literal["active"]
    activeFlags: list[str]


ThreadStatus = Annotated[NotLoadedStatus | IdleStatus | SystemErrorStatus | ActiveStatus, TaggedBy("type")]


class Thread(TypedDict):
    """A conversation. Times are Unix seconds, recencyAt that of the last change as updatedAt is.

    path, projectId and parentThreadId are null: a thread is a row of a database, not a file, in no project, and no
    other thread's helper. historyMode is always paginated: turns and items can be listed. threadSource: what the client
    said of where the thread comes from. cliVersion: the version of the protocol.
    """

    id: str
    sessionId: str
    forkedFromId: str | None
    parentThreadId: str | None
    preview: str
    ephemeral: bool
    modelProvider: str
    model: str | None
    reasoningEffort: str | None
    createdAt: int
    updatedAt: int
    recencyAt: int
    historyMode: Literal["paginated"]
    status: ThreadStatus
    path: str | None
    cwd: str
    cliVersion: str
    originator: str
    source: str
    threadSource: str | None
    gitInfo: dict[str, Any] | None
    projectId: str | None
    name: str | None
    turns: list[Turn]


class ThreadOptions(TypedDict):
    """What can be chosen for a thread when it is started, loaded or forked.

    config: keys of config.toml, nested or with dots; a member beside it that says the same has the last word.
    serviceTier: null chooses the standard one.
    """

    config: NotRequired[dict[str, Any] | None]
    model: NotRequired[str | None]
    modelProvider: NotRequired[str | None]
    cwd: NotRequired[str | None]
    baseInstructions: NotRequired[str | None]
    developerInstructions: NotRequired[str | None]
    serviceTier: NotRequired[str | None]
    approvalPolicy: NotRequired[ApprovalPolicy | None]
    approvalsReviewer: NotRequired[str | None]
    sandbox: NotRequired[SandboxMode | None]


class ThreadStartParams(ThreadOptions):
    """Start a thread. What is left out comes from config.toml."""

    ephemeral: NotRequired[bool | None]
    threadSource: NotRequired[str | None]
    dynamicTools: NotRequired[list[DynamicTool] | None]


class ThreadStartResult(TypedDict):
    """The thread and what is in force for it. Approvals and sandbox are those that were asked for.

    instructionSources is empty: no files of instructions are looked for. runtimeWorkspaceRoots: the working directory.
    """

    thread: Thread
    model: str
    modelProvider: str
    serviceTier: str | None
    cwd: str
    approvalPolicy: ApprovalPolicy
    approvalsReviewer: str
    sandbox: SandboxPolicy
    reasoningEffort: str | None
    instructionSources: list[str]
    runtimeWorkspaceRoots: list[str]


class ThreadStartedNotification(TypedDict):
    thread: Thread


class WarningNotification(TypedDict):
    """Something that was asked for a thread is not done as it was asked."""

    threadId: str | None
    message: str


class ThreadStatusChangedNotification(TypedDict):
    """A thread became active, idle, or idle after an error."""

    threadId: str
    status: ThreadStatus


class TokenUsage(TypedDict):
    """Tokens of one request, or of a thread so far."""

    totalTokens: int
    inputTokens: int
    cachedInputTokens: int
    cacheWriteInputTokens: int
    outputTokens: int
    reasoningOutputTokens: int


class ThreadTokenUsage(TypedDict):
    """Tokens of the whole thread and of its last request."""

    total: TokenUsage
    last: TokenUsage
    modelContextWindow: int | None


class ThreadTokenUsageUpdatedNotification(TypedDict):
    """The model told what a request used."""

    threadId: str
    turnId: str
    tokenUsage: ThreadTokenUsage
