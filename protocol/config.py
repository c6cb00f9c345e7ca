"""The configuration: what is in force and where it comes from, and what of it cannot be used."""

from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypedDict

from protocol.base import TaggedBy


class TextPosition(TypedDict):
    """A place in a text file: line, and column in Unicode characters, both from 1."""

    line: int
    column: int


class TextRange(TypedDict):
    """A stretch of a text file, both ends included."""

    start: TextPosition
    end: TextPosition


class ConfigWarningNotification(TypedDict):
    """Something in the configuration is not used: why, and where in which file if it is in one."""

    summary: str
    details: str | None
    path: NotRequired[str]
    range: NotRequired[TextRange]


class UserSource(TypedDict):
    """config.toml of the home, or the file or table of a profile."""

    type: Literal["user"]
    file: str
    profile: str | None


class SessionFlagsSource(TypedDict):
    """The command line."""

    type: Literal["sessionFlags"]


ConfigLayerSource = Annotated[UserSource | SessionFlagsSource, TaggedBy("type")]


class ConfigLayerMetadata(TypedDict):
    """Where a value comes from. version: changes with the layer."""

    name: ConfigLayerSource
    version: str


class ConfigLayer(ConfigLayerMetadata):
    """All values of one source, those that may be secret masked."""

    config: dict[str, Any]
    disabledReason: NotRequired[str | None]


class ConfigReadParams(TypedDict):
    """What to tell of the configuration. cwd changes nothing: no configuration of projects is read."""

    includeLayers: NotRequired[bool]
    cwd: NotRequired[str | None]


class ConfigReadResult(TypedDict):
    """The configuration in force, with the keys and values of config.toml, those that may be secret masked.

    origins: the source of each value, by its key with dots. layers: the strongest first, if they were asked for.
    """

    config: dict[str, Any]
    origins: dict[str, ConfigLayerMetadata]
    layers: NotRequired[list[ConfigLayer] | None]
