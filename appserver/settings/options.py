"""The options of threads, out of a table of config.toml's keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appserver.errors import ConfigError
from appserver.settings.files import read_text
from appserver.settings.layers import INSTRUCTIONS_FILE
from appserver.settings.providers import is_known, read_provider
from appserver.settings.values import Options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appserver.settings.tables import Table

KEYS = {
    # Each option, and the keys that choose it.
    "model": ("model",),
    "provider": ("model_provider",),
    "effort": ("model_reasoning_effort",),
    "summary": ("model_reasoning_summary",),
    "verbosity": ("model_verbosity",),
    "service_tier": ("service_tier",),
    "instructions": (INSTRUCTIONS_FILE, "instructions"),
    "developer_instructions": ("developer_instructions",),
}

FAST_TIER = "priority"
"""The service tier that config.toml also calls "fast"."""


def read_options(config: Table, environ: Mapping[str, str]) -> Options:
    """Return what is chosen. Raises WrongValue."""
    chosen = config.get("model_provider", str)
    if chosen and not is_known(config, chosen):
        raise config.error("model_provider", f"there is no [model_providers.{chosen}]")
    return Options(
        model=config.get("model", str) or None,
        provider=read_provider(config, chosen, environ) if chosen else None,
        effort=config.get("model_reasoning_effort", str) or None,
        summary=config.one_of("model_reasoning_summary", "auto", "concise", "detailed", "none"),
        verbosity=config.one_of("model_verbosity", "low", "medium", "high"),
        service_tier=_service_tier(config),
        instructions=_instructions(config),
        developer_instructions=config.get("developer_instructions", str) or None,
    )


def only_named(options: Options, values: Mapping[str, Any]) -> Options:
    """Keep the options that these values choose."""
    unnamed = {option: None for option, keys in KEYS.items() if all(values.get(key) is None for key in keys)}
    return options._replace(**unnamed)


def service_tier(name: str) -> str:
    """Return the id of a service tier, which clients and config.toml may also call by its name."""
    return FAST_TIER if name == "fast" else name


def _service_tier(config: Table) -> str | None:
    named = config.get("service_tier", str)
    tier = service_tier(named) if named else None
    if tier == FAST_TIER and config.table("features").get("fast_mode", bool) is False:
        return None
    return tier


def _instructions(config: Table) -> str | None:
    path = config.get(INSTRUCTIONS_FILE, str)
    if not path:
        return config.get("instructions", str) or None
    try:
        text = read_text(path).strip()
    except FileNotFoundError:
        raise config.error(INSTRUCTIONS_FILE, f"there is no file {path}") from None
    except ConfigError as exc:
        raise config.error(INSTRUCTIONS_FILE, exc.message) from None
    if not text:
        raise config.error(INSTRUCTIONS_FILE, f"{path} is empty")
    return text
