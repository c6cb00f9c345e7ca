"""The life of a thread after its start: resume, fork, name, archive, delete, and the notifications about it."""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from protocol.settings import CollaborationMode
from protocol.thread import Thread, ThreadOptions, ThreadStartResult
from protocol.thread_list import InitialTurnsPageParams, TurnsPage


class ThreadResumeParams(ThreadOptions):
    """Load a thread, so that turns can be started in it. The overrides hold from now on; excludeTurns: answer without
    the transcript."""

    threadId: str
    excludeTurns: NotRequired[bool | None]
    initialTurnsPage: NotRequired[InitialTurnsPageParams | None]


class ThreadResumeResult(ThreadStartResult):
    """The thread, what is in force for it, and where its transcript ends."""

    collaborationMode: CollaborationMode
    initialTurnsPage: TurnsPage | None
    turnsBackwardsCursor: str | None
    itemsBackwardsCursor: str | None


class ThreadForkParams(ThreadOptions):
    """Make a new thread of a thread's turns: all of them, those up to lastTurnId, or those before beforeTurnId."""

    threadId: str
    lastTurnId: NotRequired[str | None]
    beforeTurnId: NotRequired[str | None]
    ephemeral: NotRequired[bool | None]
    threadSource: NotRequired[str | None]
    excludeTurns: NotRequired[bool | None]


class ThreadIdParams(TypedDict):
    threadId: str


class EmptyResult(TypedDict):
    """It is done."""


class ThreadResult(TypedDict):
    """The thread as it is now, without its turns."""

    thread: Thread


class ThreadNameSetParams(TypedDict):
    """The new name; an empty one takes it away."""

    threadId: str
    name: str


class ThreadUnsubscribeResult(TypedDict):
    """Whether the thread is loaded and was listened to. It stays loaded for a while; its turns are told no more."""

    status: Literal["notLoaded", "notSubscribed", "unsubscribed"]


class GitInfoChanges(TypedDict):
    """What to change: null takes a value away, what is left out stays."""

    sha: NotRequired[str | None]
    branch: NotRequired[str | None]
    originUrl: NotRequired[str | None]


class ThreadMetadataUpdateParams(TypedDict):
    """What to note about the thread's repository."""

    threadId: str
    gitInfo: NotRequired[GitInfoChanges | None]


class ThreadInjectItemsParams(TypedDict):
    """Input items of the Responses API to add to what the model is sent of a thread. Clients are not shown them."""

    threadId: str
    items: list[Any]


class ThreadRevertParams(TypedDict):
    """Forget a turn of a thread and all that came after it."""

    threadId: str
    beforeTurnId: str


class ThreadRevertResult(TypedDict):
    """The thread without its turns, and where its transcript ends."""

    thread: Thread
    turnsBackwardsCursor: str | None
    itemsBackwardsCursor: str | None


class ThreadRollbackParams(TypedDict):
    """Forget so many turns at the end of a thread: the older way to revert."""

    threadId: str
    numTurns: int


class ThreadIdNotification(TypedDict):
    threadId: str


class ThreadNameUpdatedNotification(TypedDict):
    """A thread has another name, or none."""

    threadId: str
    threadName: str | None
