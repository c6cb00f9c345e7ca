"""model/*."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appserver.server.workspace import Client
    from protocol.model import ModelListParams, ModelListResult


def list_(client: Client, params: ModelListParams) -> ModelListResult:
    """List the models that a picker may offer."""
    from appserver.llm.catalog import list_models

    return list_models(client.workspace.settings.options.model, params.get("limit"), params.get("cursor"))
