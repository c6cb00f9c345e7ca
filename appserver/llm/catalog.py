"""The models in model/list: those known when this was written, and the configured one.

The list is for pickers in user interfaces. A thread may name any model: the backend decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from appserver.errors import InvalidParams
from appserver.settings.options import FAST_TIER

if TYPE_CHECKING:
    from protocol.model import Model, ModelListResult, UpgradeInfo

DEFAULT_PAGE = 50

FLEX_TIER = "flex"
"""The slow and cheap service tier."""

_EFFORTS = {
    "low": "Quick answers, little thinking",
    "medium": "A balance for everyday work",
    "high": "More thinking for hard problems",
    "xhigh": "Much thinking for very hard problems",
    "max": "All the thinking the model can do",
    "ultra": "The most thinking, with work split up where that helps",
}


class KnownModel(NamedTuple):
    """A model, as the vendor's catalog has it. `fast`: what its fast tier is, None if it has none."""

    id: str
    name: str
    purpose: str
    strongest_effort: str
    default_effort: str
    fast: str | None = None
    default_tier: str | None = None
    upgrade: str | None = None


_FASTER, _COSTS = "1.5x speed", "increased usage"

_KNOWN = (
    KnownModel(
        "gpt-6.1-sol", "GPT-6.1-Sol", "The current model for everyday work", "ultra", "low", f"2x speed, {_COSTS}"
    ),
    KnownModel(
        "gpt-6-astra", "GPT-6-Astra", "The strongest model, for the hardest work", "ultra", "low", f"2x speed, {_COSTS}"
    ),
    KnownModel("gpt-6-sol", "GPT-6-Sol", "Everyday work, one generation back", "ultra", "medium", _FASTER, FAST_TIER),
    KnownModel("gpt-6-luna", "GPT-6-Luna", "Small, fast and cheap", "max", "medium", _FASTER, FAST_TIER),
    KnownModel(
        "gpt-5.6-sol",
        "GPT-5.6-Sol",
        "Everyday work, two generations back",
        "ultra",
        "low",
        f"{_FASTER}, {_COSTS}",
        upgrade="gpt-6-sol",
    ),
    KnownModel(
        "gpt-5.6-terra",
        "GPT-5.6-Terra",
        "Balanced work, two generations back",
        "ultra",
        "medium",
        f"{_FASTER}, {_COSTS}",
        upgrade="gpt-6-sol",
    ),
    KnownModel(
        "gpt-5.6-luna",
        "GPT-5.6-Luna",
        "Small and cheap, two generations back",
        "max",
        "medium",
        f"{_FASTER}, {_COSTS}",
        upgrade="gpt-6-luna",
    ),
    KnownModel("gpt-5.5", "GPT-5.5", "An older model", "xhigh", "medium", f"{_FASTER}, {_COSTS}", upgrade="gpt-6-sol"),
)


class ModelDefaults(NamedTuple):
    """Values of a request for which nothing was chosen. None: the member is left out."""

    effort: str | None
    summary: str | None
    verbosity: str | None


_UNKNOWN = ModelDefaults(effort=None, summary="auto", verbosity=None)


def defaults_of(model: str) -> ModelDefaults:
    """Return the defaults of a model, as the reference has them.

    A dated or otherwise extended name has those of the model that it begins with; so has one behind `owner/`.
    """
    known = _known_model(model)
    return ModelDefaults(effort=known.default_effort, summary=None, verbosity="low") if known else _UNKNOWN


def tier_of(model: str, chosen: str | None) -> str | None:
    """Return the service tier to send for what was chosen, None for one that the model does not have.

    As in the reference, the fast tier is for known models that have it, and the slow one for all.
    """
    if chosen == FAST_TIER:
        known = _known_model(model)
        return chosen if known is not None and known.fast is not None else None
    return chosen if chosen == FLEX_TIER else None


def _known_model(model: str) -> KnownModel | None:
    """Find the model that a name stands for."""
    for name in (model, model.partition("/")[2]):
        found = [known for known in _KNOWN if name.startswith(known.id)]
        if found:
            return max(found, key=lambda known: len(known.id))
    return None


def list_models(configured: str | None, limit: int | None, cursor: str | None) -> ModelListResult:
    """Return a page of models. Raises InvalidParams for a cursor that is none of ours."""
    models = _models(configured)
    start = _position(cursor, len(models))
    end = start + (DEFAULT_PAGE if limit is None else max(limit, 1))
    return {"data": models[start:end], "nextCursor": str(end) if end < len(models) else None}


def _models(configured: str | None) -> list[Model]:
    known = list(_KNOWN)
    if configured and all(model.id != configured for model in known):
        known.insert(0, KnownModel(configured, configured, "The model that config.toml names", "high", "medium"))
    default = configured or known[0].id
    return [_model(model, is_default=model.id == default) for model in known]


def _model(known: KnownModel, *, is_default: bool) -> Model:
    efforts = list(_EFFORTS)[: list(_EFFORTS).index(known.strongest_effort) + 1]
    return {
        "id": known.id,
        "model": known.id,
        "displayName": known.name,
        "description": known.purpose,
        "hidden": False,
        "supportedReasoningEfforts": [
            {"reasoningEffort": effort, "description": _EFFORTS[effort]} for effort in efforts
        ],
        "defaultReasoningEffort": known.default_effort,
        "inputModalities": ["text", "image"],
        "supportsPersonality": False,
        "serviceTiers": [{"id": FAST_TIER, "name": "Fast", "description": known.fast}] if known.fast else [],
        "defaultServiceTier": known.default_tier,
        "additionalSpeedTiers": ["fast"] if known.fast else [],
        "upgrade": known.upgrade,
        "upgradeInfo": _upgrade(known.upgrade) if known.upgrade else None,
        "isDefault": is_default,
    }


def _upgrade(model: str) -> UpgradeInfo:
    return {"model": model, "upgradeCopy": None, "modelLink": None, "migrationMarkdown": None, "retirementAt": None}


def _position(cursor: str | None, end: int) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal()) or len(cursor) > len(str(end)) or int(cursor) > end:
        raise InvalidParams("Invalid params for model/list: cursor: not one that model/list returned")
    return int(cursor)
