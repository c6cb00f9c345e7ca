"""Classes of protocol/settings.py.

Generated from protocol/ by `python -m codegen`. Do not edit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from appserver.client.wire import Data, Unknown

ModeKind = Literal["plan", "default"]
"""The older names are the reference's; clients still send them."""


SandboxMode = Literal["read-only", "workspace-write", "danger-full-access"]


ReasoningSummary = Literal["auto", "concise", "detailed", "none"]


ApprovalPolicy = str | dict[str, Any]
"""A name such as "on-request", or an object of finer choices."""


@dataclass(frozen=True)
class ReadOnlySandbox(Data):
    """Files may be read."""

    type: ClassVar[Literal["readOnly"]] = "readOnly"
    network_access: bool | None = None


@dataclass(frozen=True)
class WorkspaceWriteSandbox(Data):
    """Files of the workspace, of writable_roots and of temporary directories may be written."""

    type: ClassVar[Literal["workspaceWrite"]] = "workspaceWrite"
    writable_roots: list[str] | None = None
    network_access: bool | None = None
    exclude_tmpdir_env_var: bool | None = None
    exclude_slash_tmp: bool | None = None


@dataclass(frozen=True)
class FullAccessSandbox(Data):
    """Nothing is forbidden."""

    type: ClassVar[Literal["dangerFullAccess"]] = "dangerFullAccess"


@dataclass(frozen=True)
class ExternalSandbox(Data):
    """The client provides the sandbox."""

    type: ClassVar[Literal["externalSandbox"]] = "externalSandbox"
    network_access: Literal["restricted", "enabled"] | None = None


SandboxPolicy = ReadOnlySandbox | WorkspaceWriteSandbox | FullAccessSandbox | ExternalSandbox | Unknown


@dataclass(frozen=True)
class ModeSettings(Data):
    """What a collaboration mode puts in force.

    reasoning_effort: null for the model's own. developer_instructions: null for those of the mode, if it has any.
    """

    model: str
    reasoning_effort: str | None = None
    developer_instructions: str | None = None
    wire_names: ClassVar[Mapping[str, str]] = {
        "reasoning_effort": "reasoning_effort",
        "developer_instructions": "developer_instructions",
    }


@dataclass(frozen=True)
class CollaborationMode(Data):
    """A way to work together: planning, or as usual."""

    mode: ModeKind
    settings: ModeSettings


@dataclass(frozen=True)
class ThreadSettings(Data):
    """What is in force for a thread. effort, summary, service_tier: null where nothing was chosen."""

    model: str
    model_provider: str
    effort: str | None
    summary: str | None
    service_tier: str | None
    cwd: str
    collaboration_mode: CollaborationMode
    approval_policy: ApprovalPolicy
    approvals_reviewer: str
    sandbox_policy: SandboxPolicy
