"""Classes of protocol/model.py.

Generated from protocol/ by `python -m codegen`. Do not edit.
"""

from dataclasses import dataclass

from appserver.client.wire import Data


@dataclass(frozen=True)
class ReasoningEffortOption(Data):
    reasoning_effort: str
    description: str


@dataclass(frozen=True)
class ServiceTier(Data):
    """A speed that a model can be asked for: `id` is what `serviceTier` takes."""

    id: str
    name: str
    description: str


@dataclass(frozen=True)
class UpgradeInfo(Data):
    """The model to use in place of this one. The rest is null: only the vendor has words for it."""

    model: str
    upgrade_copy: str | None
    model_link: str | None
    migration_markdown: str | None
    retirement_at: int | None


@dataclass(frozen=True)
class Model(Data):
    """A model. Exactly one in the list is the default.

    additional_speed_tiers: the same as service_tiers, in the words of earlier clients. upgrade: a newer model for
    the same work.
    """

    id: str
    model: str
    display_name: str
    description: str
    hidden: bool
    supported_reasoning_efforts: list[ReasoningEffortOption]
    default_reasoning_effort: str
    input_modalities: list[str]
    supports_personality: bool
    service_tiers: list[ServiceTier]
    default_service_tier: str | None
    additional_speed_tiers: list[str]
    upgrade: str | None
    upgrade_info: UpgradeInfo | None
    is_default: bool


@dataclass(frozen=True)
class ModelListResult(Data):
    """A page of models; next_cursor is null on the last one."""

    data: list[Model]
    next_cursor: str | None
