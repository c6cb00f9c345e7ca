"""Features of the reference that this server does not have: clients ask for them all the same, and are told of none.

The members that select something (a cursor, a kind, a name) are checked and change nothing.
"""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from protocol.settings import ModeKind


class NoParams(TypedDict):
    """An object without members."""


class PageParams(TypedDict):
    cursor: NotRequired[str | None]
    limit: NotRequired[int | None]


class EmptyResult(TypedDict):
    """It is done."""


class EmptyPage(TypedDict):
    """A page of a list that is always empty."""

    data: list[Any]
    nextCursor: None


class AppListParams(PageParams):
    """Which apps: those of a thread, if one is named."""

    forceRefetch: NotRequired[bool]
    threadId: NotRequired[str | None]


class McpServerStatusListParams(PageParams):
    """Which MCP servers, and how much of each."""

    detail: NotRequired[Literal["full", "toolsAndAuthOnly"] | None]
    serverName: NotRequired[str | None]
    threadId: NotRequired[str | None]


class ExperimentalFeatureListParams(PageParams):
    """Which features: as a thread has them, if one is named."""

    threadId: NotRequired[str | None]


class PermissionProfileListParams(PageParams):
    """Which profiles: those of a working directory, if one is named."""

    cwd: NotRequired[str | None]


class BackgroundTerminalsListParams(PageParams):
    threadId: str


class GoalGetParams(TypedDict):
    threadId: str


class GoalGetResult(TypedDict):
    """A thread has no goal here."""

    goal: None


class CollaborationModePreset(TypedDict):
    """A mode that `thread/settings/update` takes. model, reasoning_effort: what it sets, if anything."""

    name: str
    mode: ModeKind
    model: str | None
    reasoning_effort: str | None


class CollaborationModeListResult(TypedDict):
    data: list[CollaborationModePreset]


class SkillsListParams(TypedDict):
    """The skills of which working directories; of the server's own if none is named."""

    cwds: NotRequired[list[str]]
    forceReload: NotRequired[bool]


class SkillsListEntry(TypedDict):
    """The skills of a working directory: none are offered."""

    cwd: str
    skills: list[Any]
    errors: list[Any]


class SkillsListResult(TypedDict):
    """One entry for each working directory."""

    data: list[SkillsListEntry]


class SkillsExtraRootsSetParams(TypedDict):
    """More directories to look for skills in."""

    extraRoots: list[str]


class HooksListParams(TypedDict):
    """The hooks of which working directories; of the server's own if none is named."""

    cwds: NotRequired[list[str]]


class HooksListEntry(TypedDict):
    """The hooks of a working directory: none are run."""

    cwd: str
    hooks: list[Any]
    warnings: list[str]
    errors: list[Any]


class HooksListResult(TypedDict):
    """One entry for each working directory."""

    data: list[HooksListEntry]


class PluginListParams(TypedDict):
    """Which marketplaces to look in."""

    cwds: NotRequired[list[str] | None]
    forceRefetch: NotRequired[bool]
    marketplaceKinds: NotRequired[list[str] | None]


class PluginListResult(TypedDict):
    marketplaces: list[Any]
    marketplaceLoadErrors: list[Any]
    featuredPluginIds: list[str]


class PluginInstalledParams(TypedDict):
    """Which marketplaces to look in, and which plugins to list beside the installed ones."""

    cwds: NotRequired[list[str] | None]
    installSuggestionPluginNames: NotRequired[list[str] | None]


class PluginInstalledResult(TypedDict):
    marketplaces: list[Any]
    marketplaceLoadErrors: list[Any]


class ConfigRequirementsReadResult(TypedDict):
    """What an administrator requires of the configuration: nothing."""

    requirements: None


class ModelProviderCapabilitiesReadResult(TypedDict):
    """Which of the provider's own tools the model may use."""

    imageGeneration: bool
    webSearch: bool
