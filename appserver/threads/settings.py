"""The settings of a thread and of its turns, and what a request chooses of them. Pure but for `os.path`.

In ascending order of precedence: the defaults here, the configuration, the thread's own `config`, the members of the
request that started or loaded the thread, and those of later requests (turn/start, thread/settings/update). Within one
request, the collaboration mode takes precedence. A choice holds until the next one; a running turn keeps the settings
that it began with.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from appserver.settings.options import SANDBOXES, service_tier
from appserver.settings.values import DEFAULT_TIER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from appserver.settings import Options, Provider
    from protocol.settings import ApprovalPolicy, Choices, ModeKind, SandboxPolicy
    from protocol.thread import ThreadOptions
    from protocol.tool import DynamicTool

Values = dict[str, Any]
"""Chosen values by name: members of ThreadSettings, `model`, `effort`, `cwd`, `preview`, and `provider`, a Provider."""

DEFAULT_INSTRUCTIONS = "You are a helpful assistant."
"""The ChatGPT backend refuses a request without instructions."""

PLAN_INSTRUCTIONS = (
    "You are in plan mode. Find out what the user wants, and work out with them what is to be done and how; answer with"
    " a plan that somebody else could carry out. Carry nothing out, and change nothing, until the mode has changed."
)

_MODES: Final[Mapping[str, str]] = {"plan": PLAN_INSTRUCTIONS}
"""The instructions of a collaboration mode where the client brings none."""

_MEMBERS: Final[Mapping[str, str]] = {
    # members of params -> names of Values
    "model": "model",
    "effort": "effort",
    "summary": "summary",
    "approvalPolicy": "approval_policy",
    "approvalsReviewer": "approvals_reviewer",
    "baseInstructions": "instructions",
}

READ_ONLY: Final[SandboxPolicy] = {"type": "readOnly", "networkAccess": False}

_SANDBOXES: Final[tuple[SandboxPolicy, ...]] = (
    READ_ONLY,
    {
        "type": "workspaceWrite",
        "writableRoots": [],
        "networkAccess": False,
        "excludeTmpdirEnvVar": False,
        "excludeSlashTmp": False,
    },
    {"type": "dangerFullAccess"},
    {"type": "externalSandbox", "networkAccess": "restricted"},
)
"""Each sandbox with the members that a client may leave out."""


class ThreadSettings(NamedTuple):
    """The settings of a thread that lists do not show; `model`, `effort` and `cwd` are members of its metadata.

    The defaults are what holds where neither the configuration nor a client has chosen. All values but `unknown` are
    JSON, and none is changed in place.
    """

    instructions: str = DEFAULT_INSTRUCTIONS
    developer_instructions: str | None = None
    mode: ModeKind = "default"
    mode_instructions: str | None = None
    """What the collaboration mode adds to the developer's instructions."""
    summary: str | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    approval_policy: ApprovalPolicy = "never"
    approvals_reviewer: str = "user"
    sandbox: SandboxPolicy = READ_ONLY
    tools: Sequence[DynamicTool] = ()
    """The client's own tools."""
    unknown: Mapping[str, Any] = {}
    """Members that only a newer version knows, as it has written them."""


class TurnSettings(NamedTuple):
    """The settings that a turn is run with, from its beginning to its end."""

    provider: Provider
    model: str
    effort: str | None
    instructions: str
    developer_instructions: str | None
    mode_instructions: str | None
    summary: str | None
    verbosity: str | None
    service_tier: str | None


def chosen_options(options: Options) -> Values:
    """Return what the configuration, or a thread's `config`, chooses."""
    found = {name: value for name, value in options._asdict().items() if value is not None}
    if options.sandbox is not None:
        found["sandbox"] = _whole(options.sandbox)
    return found


def chosen(params: Choices | ThreadOptions) -> Values:
    """Return what a request chooses."""
    asked: Mapping[str, Any] = params
    found = {member: asked[name] for name, member in _MEMBERS.items() if asked.get(name)}  # "" chooses nothing
    if asked.get("developerInstructions") is not None:
        found["developer_instructions"] = asked["developerInstructions"]  # "" takes them away
    if "serviceTier" in asked:
        found["service_tier"] = service_tier(asked["serviceTier"] or DEFAULT_TIER)
    if asked.get("cwd"):
        found["cwd"] = asked["cwd"] if os.path.isabs(asked["cwd"]) else os.path.abspath(asked["cwd"])
    if (sandbox := _sandbox(asked)) is not None:
        found["sandbox"] = sandbox
    if (mode := asked.get("collaborationMode")) is not None:
        found |= _mode(mode["mode"], mode["settings"])
    return found


def _sandbox(asked: Mapping[str, Any]) -> Values | None:
    """Return the sandbox policy that a request chooses, by name or in full."""
    policy = asked.get("sandboxPolicy")
    if asked.get("sandbox") is not None:
        policy = {"type": SANDBOXES[asked["sandbox"]]}
    return None if policy is None else _whole(policy)


def _whole(policy: Mapping[str, Any]) -> Values:
    """Return a sandbox policy with the members that the client has left out."""
    return {**next(one for one in _SANDBOXES if one["type"] == policy["type"]), **policy}


def _mode(kind: str, settings: Mapping[str, Any]) -> Values:
    return {
        "mode": kind,
        "model": settings["model"],
        "effort": settings.get("reasoning_effort"),
        "mode_instructions": settings.get("developer_instructions") or _MODES.get(kind),
    }
