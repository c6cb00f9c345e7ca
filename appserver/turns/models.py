"""The models that model/list tells of: the ones known when this was written, and the configured one.

A list for pickers in a user interface, not a gate: a thread may name any model, the backend decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from appserver.errors import InvalidParams

if TYPE_CHECKING:
    from protocol.model import Model, ModelListResult

DEFAULT_PAGE = 50

_EFFORTS = {
    "low": "Quick answers, little thinking",
    "medium": "A balance for everyday work",
    "high": "More thinking for hard problems",
    "xhigh": "Much thinking for very hard problems",
    "max": "All the thinking the model can do",
    "ultra": "The most thinking, with work split up where that helps",
}

_KNOWN = (
    # id, name, what it is for, strongest effort, default effort
    ("gpt-6.1-sol", "GPT-6.1-Sol", "The current model for everyday work", "ultra", "low"),
    ("gpt-6-astra", "GPT-6-Astra", "The strongest model, for the hardest work", "ultra", "low"),
    ("gpt-6-sol", "GPT-6-Sol", "Everyday work, one generation back", "ultra", "medium"),
    ("gpt-6-luna", "GPT-6-Luna", "Small, fast and cheap", "max", "medium"),
    ("gpt-5.6-sol", "GPT-5.6-Sol", "Everyday work, two generations back", "ultra", "low"),
    ("gpt-5.5", "GPT-5.5", "An older model", "xhigh", "medium"),
)


class ModelDefaults(NamedTuple):
    """What a request is sent with where nothing was chosen. None: the member is left out."""

    effort: str | None
    summary: str | None
    verbosity: str | None


_UNKNOWN = ModelDefaults(effort=None, summary="auto", verbosity=None)


def defaults_of(model: str) -> ModelDefaults:
    """Return the defaults of a model, as the reference has them.

    A dated or otherwise extended name has those of the model that it begins with; so has one behind `owner/`.
    """
    for name in (model, model.partition("/")[2]):
        efforts = [(entry[0], entry[4]) for entry in _KNOWN if name.startswith(entry[0])]
        if efforts:
            return ModelDefaults(effort=max(efforts, key=lambda one: len(one[0]))[1], summary=None, verbosity="low")
    return _UNKNOWN


def list_models(configured: str | None, limit: int | None, cursor: str | None) -> ModelListResult:
    """Return a page of models. Raises InvalidParams for a cursor that is none of ours."""
    models = _models(configured)
    start = _position(cursor, len(models))
    end = start + (DEFAULT_PAGE if limit is None else max(limit, 1))
    return {"data": models[start:end], "nextCursor": str(end) if end < len(models) else None}


def _models(configured: str | None) -> list[Model]:
    known = [_model(*entry) for entry in _KNOWN]
    if configured and all(model["id"] != configured for model in known):
        known.insert(0, _model(configured, configured, "The model that config.toml names", "high", "medium"))
    default = configured or known[0]["id"]
    for model in known:
        model["isDefault"] = model["id"] == default
    return known


def _model(model_id: str, name: str, description: str, strongest: str, default_effort: str) -> Model:
    efforts = list(_EFFORTS)[: list(_EFFORTS).index(strongest) + 1]
    return {
        "id": model_id,
        "model": model_id,
        "displayName": name,
        "description": description,
        "hidden": False,
        "supportedReasoningEfforts": [
            {"reasoningEffort": effort, "description": _EFFORTS[effort]} for effort in efforts
        ],
        "defaultReasoningEffort": default_effort,
        "inputModalities": ["text", "image"],
        "supportsPersonality": False,
        "isDefault": False,
    }


def _position(cursor: str | None, end: int) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal()) or len(cursor) > len(str(end)) or int(cursor) > end:
        raise InvalidParams("Invalid params for model/list: cursor: not one that model/list returned")
    return int(cursor)
