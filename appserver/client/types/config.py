"""Classes of protocol/config.py.

Generated from protocol/ by `python -m codegen`. Do not edit.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from appserver.client.wire import Data, Unknown


@dataclass(frozen=True)
class TextPosition(Data):
    """A place in a text file: line, and column in Unicode characters, both from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class TextRange(Data):
    """A stretch of a text file, both ends included."""

    start: TextPosition
    end: TextPosition


@dataclass(frozen=True)
class UserSource(Data):
    """config.toml of the home, or the file or table of a profile."""

    type: ClassVar[Literal["user"]] = "user"
    file: str
    profile: str | None


@dataclass(frozen=True)
class SessionFlagsSource(Data):
    """The command line."""

    type: ClassVar[Literal["sessionFlags"]] = "sessionFlags"


ConfigLayerSource = UserSource | SessionFlagsSource | Unknown


@dataclass(frozen=True)
class ConfigLayerMetadata(Data):
    """Where a value comes from. version: changes with the layer."""

    name: ConfigLayerSource
    version: str


@dataclass(frozen=True)
class ConfigLayer(Data):
    """All values of one source, those that may be secret masked."""

    name: ConfigLayerSource
    version: str
    config: dict[str, Any]
    disabled_reason: str | None = None


@dataclass(frozen=True)
class ConfigReadResult(Data):
    """The configuration in force, with the keys and values of config.toml, those that may be secret masked.

    origins: the source of each value, by its key with dots. layers: the strongest first, if they were asked for.
    """

    config: dict[str, Any]
    origins: dict[str, ConfigLayerMetadata]
    layers: list[ConfigLayer] | None = None
