"""Reads the options of threads from a table of config.toml's keys."""

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
    from protocol.settings import ApprovalPolicy

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
    "approval_policy": ("approval_policy",),
    "approvals_reviewer": ("approvals_reviewer",),
    "sandbox": ("sandbox_mode", "sandbox_workspace_write"),
}

SANDBOXES = {
    # What config.toml and thread/start call a sandbox, and the type of its policy.
    "read-only": "readOnly",
    "workspace-write": "workspaceWrite",
    "danger-full-access": "dangerFullAccess",
}

_WORKSPACE_WRITE: tuple[tuple[str, type, str], ...] = (
    # Keys of [sandbox_workspace_write], and the members of the policy.
    ("writable_roots", list, "writableRoots"),
    ("network_access", bool, "networkAccess"),
    ("exclude_tmpdir_env_var", bool, "excludeTmpdirEnvVar"),
    ("exclude_slash_tmp", bool, "excludeSlashTmp"),
)

FAST_TIER = "priority"
"""The service tier that config.toml also calls "fast"."""


def read_options(config: Table, environ: Mapping[str, str]) -> Options:
    """Return the options that the table sets. Raises WrongValue."""
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
        approval_policy=_approval_policy(config),
        approvals_reviewer=config.get("approvals_reviewer", str) or None,
        sandbox=_sandbox(config),
    )


def only_named(options: Options, values: Mapping[str, Any]) -> Options:
    """Return the options that these values set, without defaults."""
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


def _approval_policy(config: Table) -> ApprovalPolicy | None:
    if isinstance(config.raw().get("approval_policy"), dict):
        return config.table("approval_policy").raw()
    return config.get("approval_policy", str) or None


def _sandbox(config: Table) -> dict[str, Any] | None:
    mode = config.one_of("sandbox_mode", *SANDBOXES)
    if mode != "workspace-write":
        return {"type": SANDBOXES[mode]} if mode else None
    inner = config.table("sandbox_workspace_write")
    found: dict[str, Any] = {member: inner.get(key, kind) for key, kind, member in _WORKSPACE_WRITE}
    if not all(isinstance(root, str) for root in found["writableRoots"] or []):
        raise inner.error("writable_roots", "expected strings")
    return {"type": SANDBOXES[mode], **{member: value for member, value in found.items() if value is not None}}


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
