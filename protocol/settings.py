"""What is in force for a thread: the members of requests that set it, and thread/settings/update.

What is set holds for the turns from then on, until something else is set. No tool runs on this side, so approvals and
sandboxes change nothing: they are kept and told as they were asked for.
"""

from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypedDict

from protocol.base import OlderNames, TaggedBy

ModeKind = Annotated[
    Literal["plan", "default"],
    OlderNames(code="default", custom="default", execute="default", pair_programming="default"),
]
"""The older names are the reference's; clients still send them."""

SandboxMode = Literal["read-only", "workspace-write", "danger-full-access"]

ReasoningSummary = Literal["auto", "concise", "detailed", "none"]

ApprovalPolicy = Annotated[str | dict[str, Any], "of its own: other aliases are of the same types"]
"""A name such as "on-request", or an object of finer choices."""


class ReadOnlySandbox(TypedDict):
    """Files may be read."""

    type: Literal["readOnly"]
    networkAccess: NotRequired[bool]


class WorkspaceWriteSandbox(TypedDict):
    """Files of the workspace, of writableRoots and of temporary directories may be written."""

    type: Literal["workspaceWrite"]
    writableRoots: NotRequired[list[str]]
    networkAccess: NotRequired[bool]
    excludeTmpdirEnvVar: NotRequired[bool]
    excludeSlashTmp: NotRequired[bool]


class FullAccessSandbox(TypedDict):
    """Nothing is forbidden."""

    type: Literal["dangerFullAccess"]


class ExternalSandbox(TypedDict):
    """The client provides the sandbox."""

    type: Literal["externalSandbox"]
    networkAccess: NotRequired[Literal["restricted", "enabled"]]


SandboxPolicy = Annotated[
    ReadOnlySandbox | WorkspaceWriteSandbox | FullAccessSandbox | ExternalSandbox, TaggedBy("type")
]


class ModeSettings(TypedDict):
    """What a collaboration mode puts in force.

    reasoning_effort: null for the model's own. developer_instructions: null for those of the mode, if it has any.
    """

    model: str
    reasoning_effort: NotRequired[str | None]
    developer_instructions: NotRequired[str | None]


class CollaborationMode(TypedDict):
    """A way to work together: planning, or as usual."""

    mode: ModeKind
    settings: ModeSettings


class Choices(TypedDict):
    """What a request may put in force. Of one request, collaborationMode has the last word on what it sets.

    Null is the same as leaving a member out, but for serviceTier, where it chooses the standard one.
    """

    model: NotRequired[str | None]
    effort: NotRequired[str | None]
    summary: NotRequired[ReasoningSummary | None]
    serviceTier: NotRequired[str | None]
    cwd: NotRequired[str | None]
    collaborationMode: NotRequired[CollaborationMode | None]
    approvalPolicy: NotRequired[ApprovalPolicy | None]
    approvalsReviewer: NotRequired[str | None]
    sandboxPolicy: NotRequired[SandboxPolicy | None]


class ThreadSettingsUpdateParams(Choices):
    threadId: str


class ThreadSettings(TypedDict):
    """What is in force for a thread. effort, summary, serviceTier: null where nothing was chosen."""

    model: str
    modelProvider: str
    effort: str | None
    summary: str | None
    serviceTier: str | None
    cwd: str
    collaborationMode: CollaborationMode
    approvalPolicy: ApprovalPolicy
    approvalsReviewer: str
    sandboxPolicy: SandboxPolicy


class ThreadSettingsUpdatedNotification(TypedDict):
    threadId: str
    threadSettings: ThreadSettings
