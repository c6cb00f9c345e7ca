"""config/*."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from appserver.settings.masking import masked
from appserver.settings.tables import lay_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.server.workspace import Client
    from appserver.settings.layers import Layer
    from protocol.config import ConfigLayer, ConfigLayerSource, ConfigReadParams, ConfigReadResult

ALWAYS_THERE = (
    # Clients find these whatever is configured; null: not set.
    "model",
    "review_model",
    "model_context_window",
    "model_auto_compact_token_limit",
    "model_auto_compact_token_limit_scope",
    "model_provider",
    "approval_policy",
    "approvals_reviewer",
    "sandbox_mode",
    "sandbox_workspace_write",
    "forced_chatgpt_workspace_id",
    "forced_login_method",
    "web_search",
    "tools",
    "instructions",
    "developer_instructions",
    "compact_prompt",
    "model_reasoning_effort",
    "model_reasoning_summary",
    "model_verbosity",
    "service_tier",
    "analytics",
    "apps",
    "browser_use",
    "computer_use",
    "desktop",
)


def read(client: Client, params: ConfigReadParams) -> ConfigReadResult:
    """Tell what is in force, and where each value comes from."""
    settings = client.workspace.settings
    config: dict[str, Any] = {
        **dict.fromkeys(ALWAYS_THERE),
        "chatgpt_base_url": settings.chatgpt_base_url,
        "cli_auth_credentials_store": settings.credentials_store,
    }
    in_force = masked(settings.values)
    lay_over(config, in_force)
    shown = [_layer(layer) for layer in settings.layers if layer.problem is None]
    result: ConfigReadResult = {"config": config, "origins": {}}
    used = set(_leaves(in_force))  # not what is wrong, and so left out
    for layer in shown:
        for key in used.intersection(_leaves(layer["config"])):
            result["origins"][key] = {"name": layer["name"], "version": layer["version"]}
    if params.get("includeLayers"):
        result["layers"] = [layer for layer in reversed(shown) if layer["config"] or layer["name"]["type"] == "user"]
    return result


def _layer(layer: Layer) -> ConfigLayer:
    config = masked(layer.values)
    canonical = json.dumps(config, sort_keys=True, separators=(",", ":")).encode()
    return {"name": _source(layer), "version": f"sha256:{hashlib.sha256(canonical).hexdigest()}", "config": config}


def _source(layer: Layer) -> ConfigLayerSource:
    if layer.file is None:
        return {"type": "sessionFlags"}
    return {"type": "user", "file": layer.file, "profile": layer.profile}


def _leaves(value: object, key: str = "") -> Iterator[str]:
    """Yield the key of every value that is no table and no list, with dots."""
    if isinstance(value, dict | list) and value:
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for name, one in inner:
            yield from _leaves(one, f"{key}.{name}" if key else str(name))
    elif key:
        yield key
