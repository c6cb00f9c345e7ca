"""What is in force for a thread and for a turn of it: the one place where that is decided. Pure but for `os.path`.

From the bottom up: the settings, the thread's own `config`, what was asked when it was started or loaded, and what has
been asked since with a turn or by itself. Of one request, its collaboration mode has the last word. What is asked stays
in force; a turn that runs goes on with what was in force at its beginning.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from appserver.settings.options import SANDBOXES, service_tier
from appserver.settings.values import DEFAULT_TIER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appserver.settings import Options, Provider
    from protocol.settings import Choices, SandboxPolicy
    from protocol.thread import ThreadOptions

Values = dict[str, Any]
"""Values of members of a thread's record, by their names."""

PLAN_INSTRUCTIONS = (
    "You are in plan mode. Find out what the user wants, and work out with them what is to be done and how; answer with"
    " a plan that somebody else could carry out. Carry nothing out, and change nothing, until the mode has changed."
)

_MODES: Final[Mapping[str, str]] = {"plan": PLAN_INSTRUCTIONS}
"""The instructions of a collaboration mode for which the client has none."""

_MEMBERS: Final[Mapping[str, str]] = {
    # members of params -> members of a thread's record
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
"""What each sandbox is where the client says nothing else."""


class InForce(NamedTuple):
    """What a turn is run with, from its beginning to its end."""

    provider: Provider
    model: str
    instructions: str
    developer_instructions: str | None
    mode_instructions: str | None
    effort: str | None
    summary: str | None
    verbosity: str | None
    service_tier: str | None


def in_force(thread: object, tier: str | None = None) -> InForce:
    """Return what is in force for a thread now. `tier`: the service tier of one turn, in place of the thread's."""
    found = InForce(*(getattr(thread, name) for name in InForce._fields))
    return found._replace(service_tier=service_tier(tier)) if tier else found


def chosen_options(options: Options) -> Values:
    """Return what the settings, or a thread's `config`, put in force."""
    found = {name: value for name, value in options._asdict().items() if value is not None}
    if options.sandbox is not None:
        found["sandbox"] = _whole(options.sandbox)
    return found


def chosen(params: Choices | ThreadOptions) -> Values:
    """Return what a request puts in force."""
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
    """Return the sandbox that is asked for, by its name or with all that goes with it."""
    policy = asked.get("sandboxPolicy")
    if asked.get("sandbox") is not None:
        policy = {"type": SANDBOXES[asked["sandbox"]]}
    return None if policy is None else _whole(policy)


def _whole(policy: Mapping[str, Any]) -> Values:
    """Return a sandbox policy with all that goes with its type."""
    return {**next(one for one in _SANDBOXES if one["type"] == policy["type"]), **policy}


def _mode(kind: str, settings: Mapping[str, Any]) -> Values:
    return {
        "mode": kind,
        "model": settings["model"],
        "effort": settings.get("reasoning_effort"),
        "mode_instructions": settings.get("developer_instructions") or _MODES.get(kind),
    }
