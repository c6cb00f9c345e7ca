"""Where values come from: config.toml, a profile, `-c key=value`, and what a client passes with a thread.

Each layer overrides those before it. Knows which layer sets a key, and no key but `profile`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from appserver.errors import ConfigError
from appserver.settings.files import parse_toml, position_of, read_text
from appserver.settings.tables import is_set, lay_over, put, split_key, split_override

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from appserver.settings.tables import WrongValue

INSTRUCTIONS_FILE = "model_instructions_file"
"""The key whose value is a path: a relative one starts where the layer says."""


class Layer(NamedTuple):
    """Values from one place."""

    name: str
    """The source as an error names it if it is not a file: "-c", "config"."""
    values: dict[str, Any]
    file: str | None = None
    text: str = ""
    """The text of the file, to find positions in."""
    root: tuple[str, ...] = ()
    """The table of the file that holds the values: [profiles.NAME], or the top level."""
    profile: str | None = None
    problem: ConfigError | None = None
    """Why the file could not be used. There are no values then."""


def user_layer(home: str) -> Layer:
    return _from_file("config.toml", os.path.join(home, "config.toml"))


def profile_layers(home: str, name: str, below: Iterable[Layer]) -> list[Layer]:
    """Return the layers of a profile: [profiles.NAME] of the layers below, and NAME.config.toml on top of it."""
    if name != os.path.basename(name) or name.startswith("."):
        return [_no_profile(name, f"{name!r:.60} is no name for one")]
    root = ("profiles", name)
    layers = [
        layer._replace(values=layer.values["profiles"][name], root=root, profile=name)
        for layer in below
        if is_set(layer.values, root) and isinstance(layer.values["profiles"][name], dict)
    ]
    path = os.path.join(home, f"{name}.config.toml")
    if os.path.lexists(path):
        layers.append(_from_file("profile", path)._replace(profile=name))
    return layers or [_no_profile(name, f"there is neither {path} nor [profiles.{name}]")]


def flags_layer(overrides: Sequence[str], others: Mapping[str, Any]) -> Layer:
    """Read `key=value` from the command line. Raises ConfigError for what is not of that form.

    The value is TOML; what is not is taken as a string, so that quotes are optional. `others`: values of other options.
    """
    values: dict[str, Any] = {}
    for override in overrides:
        parts_and_value = split_override(override)
        if parts_and_value is None:
            key = override.partition("=")[0]
            raise ConfigError(f"-c {key!r:.60}: expected key=value")  # without the value: it may be a credential
        put(values, parts_and_value[0], _value(parts_and_value[1]))
    lay_over(values, others)
    return Layer("-c", _from_here(values, os.getcwd()))


def request_layer(config: Mapping[str, Any]) -> Layer:
    """Take the `config` that a client passes with a thread: the same keys, nested or with dots."""
    values: dict[str, Any] = {}
    for key, value in config.items():
        put(values, split_key(key), value)
    return Layer("config", _from_here(values, os.getcwd()))


def merged(layers: Iterable[Layer]) -> dict[str, Any]:
    """Return the values of all layers; later layers override earlier ones."""
    values: dict[str, Any] = {}
    for layer in layers:
        lay_over(values, layer.values)
    return values


def located(layers: Sequence[Layer], wrong: WrongValue) -> ConfigError:
    """Say where a wrong value was set: file, line and column, or the layer's name."""
    layer = next((one for one in reversed(layers) if is_set(one.values, wrong.key)), None)
    if layer is None or layer.file is None:
        return ConfigError(f"{layer.name}: {wrong.message}" if layer else wrong.message)
    position = position_of(layer.root + wrong.key, layer.text)
    place = f"{layer.file}:{position[0]}:{position[1]}" if position else layer.file
    return ConfigError(f"{place}: {wrong.message}", path=layer.file, position=position)


def _no_profile(name: str, problem: str) -> Layer:
    return Layer("profile", {}, profile=name, problem=ConfigError(f"profile: {problem}"))


def _from_file(name: str, path: str) -> Layer:
    try:
        text = read_text(path)
        return Layer(name, _from_here(parse_toml(text, path), os.path.dirname(path)), path, text)
    except FileNotFoundError:
        return Layer(name, {}, path)
    except ConfigError as exc:
        return Layer(name, {}, path, problem=exc)


def _from_here(values: dict[str, Any], directory: str) -> dict[str, Any]:
    """Make a path absolute that is relative to the layer's directory."""
    path = values.get(INSTRUCTIONS_FILE)
    if isinstance(path, str):
        values[INSTRUCTIONS_FILE] = os.path.join(directory, os.path.expanduser(path))
    return values


def _value(raw: str) -> object:
    import tomllib  # late: most starts override nothing

    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except (ValueError, RecursionError):  # also what tomllib lets through: a number that is too long
        return raw.strip().strip("\"'")
