"""What may be left out of requests.

Generated from protocol/ by `python -m codegen`. Do not edit.
"""

from typing import Any, Literal, TypedDict

from appserver.client.types.settings import (
    ApprovalPolicy,
    CollaborationMode,
    ReasoningSummary,
    SandboxMode,
    SandboxPolicy,
)
from appserver.client.types.thread_life import GitInfoChanges
from appserver.client.types.thread_list import InitialTurnsPageParams, ItemAnchor, SortDirection, SourceKind
from appserver.client.types.turn import ContextEntry, ItemsView


class AccountReadOptions(TypedDict, total=False):
    """refresh_token: get new tokens first, where the login is one that the server manages."""

    refresh_token: bool


class LogoutOptions(TypedDict, total=False):
    """scope "local" (ours) ends the login here without revoking it at the issuer, where other machines may use it."""

    scope: Literal["local", "everywhere"] | None


class RateLimitsReadOptions(TypedDict, total=False):
    """exclude_reset_credit_details: tell only how many reset credits there are."""

    exclude_reset_credit_details: bool


class UsageReadOptions(TypedDict, total=False):
    """thread_id: what this thread has used, in place of the account's totals."""

    thread_id: str | None


class GetAuthStatusOptions(TypedDict, total=False):
    """The older way to ask who is signed in."""

    include_token: bool | None
    refresh_token: bool | None


class ModelListOptions(TypedDict, total=False):
    """Page through the models: limit at a time, on from cursor."""

    limit: int | None
    cursor: str | None
    include_hidden: bool | None


class ConfigReadOptions(TypedDict, total=False):
    """What to tell of the configuration. cwd changes nothing: no configuration of projects is read."""

    include_layers: bool
    cwd: str | None


class ThreadReadOptions(TypedDict, total=False):
    """Which thread to read, loaded or not. include_turns: with its whole transcript."""

    include_turns: bool | None


class ThreadListOptions(TypedDict, total=False):
    """Which threads to list: newest first by creation if nothing else is said. Archived ones only if asked for.

    search_term: part of the name or preview, in upper or lower case. recency_at is the same as updated_at.
    Threads here have neither parent, project nor section: a filter by one of them finds nothing, project_id and
    section_id null find all. excluded_thread_ids: 100 at most. use_state_db_only makes no difference.
    """

    cursor: str | None
    limit: int | None
    sort_key: Literal["created_at", "updated_at", "recency_at", "section_position"] | None
    sort_direction: SortDirection | None
    archived: bool | None
    cwd: str | list[str] | None
    model_providers: list[str] | None
    search_term: str | None
    source_kinds: list[SourceKind] | None
    project_id: str | None
    section_id: str | None
    parent_thread_id: str | None
    ancestor_thread_id: str | None
    excluded_thread_ids: list[str] | None
    originators: list[str] | None
    use_state_db_only: bool


class ThreadLoadedListOptions(TypedDict, total=False):
    """Which page; all of it if no limit is given."""

    cursor: str | None
    limit: int | None


class ThreadTurnsListOptions(TypedDict, total=False):
    """Which turns of a thread: the last ones first, in summary, if nothing else is said."""

    cursor: str | None
    limit: int | None
    sort_direction: SortDirection | None
    items_view: ItemsView | None


class ThreadItemsListOptions(TypedDict, total=False):
    """Which items of a thread, or of one of its turns: the first ones first if nothing else is said."""

    turn_id: str | None
    cursor: str | ItemAnchor | None
    limit: int | None
    sort_direction: SortDirection | None


class ThreadMetadataUpdateOptions(TypedDict, total=False):
    """What to note about the thread's repository."""

    git_info: GitInfoChanges | None


class ThreadSettingsUpdateOptions(TypedDict, total=False):
    """What may be left out."""

    model: str | None
    effort: str | None
    summary: ReasoningSummary | None
    service_tier: str | None
    cwd: str | None
    collaboration_mode: CollaborationMode | None
    approval_policy: ApprovalPolicy | None
    approvals_reviewer: str | None
    sandbox_policy: SandboxPolicy | None


class ThreadStartOptions(TypedDict, total=False):
    """Start a thread. What is left out comes from config.toml."""

    config: dict[str, Any] | None
    model: str | None
    model_provider: str | None
    cwd: str | None
    base_instructions: str | None
    developer_instructions: str | None
    service_tier: str | None
    approval_policy: ApprovalPolicy | None
    approvals_reviewer: str | None
    sandbox: SandboxMode | None
    ephemeral: bool | None
    thread_source: str | None


class ThreadResumeOptions(TypedDict, total=False):
    """Load a thread, so that turns can be started in it. The overrides hold from now on; exclude_turns: answer
    without the transcript.
    """

    config: dict[str, Any] | None
    model: str | None
    model_provider: str | None
    cwd: str | None
    base_instructions: str | None
    developer_instructions: str | None
    service_tier: str | None
    approval_policy: ApprovalPolicy | None
    approvals_reviewer: str | None
    sandbox: SandboxMode | None
    exclude_turns: bool | None
    initial_turns_page: InitialTurnsPageParams | None


class ThreadForkOptions(TypedDict, total=False):
    """Make a new thread of a thread's turns: all of them, those up to last_turn_id, or those before before_turn_id."""

    config: dict[str, Any] | None
    model: str | None
    model_provider: str | None
    cwd: str | None
    base_instructions: str | None
    developer_instructions: str | None
    service_tier: str | None
    approval_policy: ApprovalPolicy | None
    approvals_reviewer: str | None
    sandbox: SandboxMode | None
    last_turn_id: str | None
    before_turn_id: str | None
    ephemeral: bool | None
    thread_source: str | None
    exclude_turns: bool | None


class TurnOptions(TypedDict, total=False):
    """Start a turn with the user's input, or add the input to the one that runs.

    What it puts in force holds for this turn and those after it; where a turn runs already, for those after that
    one. output_schema and service_tier_for_turn hold for one turn. personality selects nothing any more and is
    taken so that clients which still send it are understood.
    """

    model: str | None
    effort: str | None
    summary: ReasoningSummary | None
    service_tier: str | None
    cwd: str | None
    collaboration_mode: CollaborationMode | None
    approval_policy: ApprovalPolicy | None
    approvals_reviewer: str | None
    sandbox_policy: SandboxPolicy | None
    additional_context: dict[str, ContextEntry] | None
    service_tier_for_turn: str | None
    personality: str | None


class SteerOptions(TypedDict, total=False):
    """Add input to the running turn, which must be the expected one."""

    additional_context: dict[str, ContextEntry] | None
