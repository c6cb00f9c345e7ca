"""Classes of protocol/thread_life.py.

Generated from protocol/ by `python -m codegen`. Do not edit.
"""

from dataclasses import dataclass
from typing import Literal

from appserver.client.types.settings import ApprovalPolicy, CollaborationMode, SandboxPolicy
from appserver.client.types.thread import Thread
from appserver.client.types.thread_list import TurnsPage
from appserver.client.wire import Data


@dataclass(frozen=True)
class ThreadResumeResult(Data):
    """The thread, what is in force for it, and where its transcript ends."""

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
    collaboration_mode: CollaborationMode
    initial_turns_page: TurnsPage | None
    turns_backwards_cursor: str | None
    items_backwards_cursor: str | None


@dataclass(frozen=True)
class ThreadLifeEmptyResult(Data):
    """It is done."""


@dataclass(frozen=True)
class ThreadResult(Data):
    """The thread as it is now, without its turns."""

    thread: Thread


@dataclass(frozen=True)
class ThreadUnsubscribeResult(Data):
    """Whether the thread is loaded and was listened to. It stays loaded for a while; its turns are told no more."""

    status: Literal["notLoaded", "notSubscribed", "unsubscribed"]


@dataclass(frozen=True)
class GitInfoChanges(Data):
    """What to change: null takes a value away, what is left out stays."""

    sha: str | None = None
    branch: str | None = None
    origin_url: str | None = None


@dataclass(frozen=True)
class ThreadRevertResult(Data):
    """The thread without its turns, and where its transcript ends."""

    thread: Thread
    turns_backwards_cursor: str | None
    items_backwards_cursor: str | None
