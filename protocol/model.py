"""model/list: the models that a thread can be started with."""

from typing import NotRequired

from typing_extensions import TypedDict


class ReasoningEffortOption(TypedDict):
    reasoningEffort: str
    description: str


class ServiceTier(TypedDict):
    """A speed that a model can be asked for: `id` is what `serviceTier` takes."""

    id: str
    name: str
    description: str


class UpgradeInfo(TypedDict):
    """The model to use in place of this one. The rest is null: only the vendor has words for it."""

    model: str
    upgradeCopy: str | None
    modelLink: str | None
    migrationMarkdown: str | None
    retirementAt: int | None


class Model(TypedDict):
    """A model. Exactly one in the list is the default.

    additionalSpeedTiers: the same as serviceTiers, in the words of earlier clients. upgrade: a newer model for the same
    work.
    """

    id: str
    model: str
    displayName: str
    description: str
    hidden: bool
    supportedReasoningEfforts: list[ReasoningEffortOption]
    defaultReasoningEffort: str
    inputModalities: list[str]
    supportsPersonality: bool
    serviceTiers: list[ServiceTier]
    defaultServiceTier: str | None
    additionalSpeedTiers: list[str]
    upgrade: str | None
    upgradeInfo: UpgradeInfo | None
    isDefault: bool


class ModelListParams(TypedDict):
    """Page through the models: limit at a time, on from cursor."""

    limit: NotRequired[int | None]
    cursor: NotRequired[str | None]
    includeHidden: NotRequired[bool | None]


class ModelListResult(TypedDict):
    """A page of models; nextCursor is null on the last one."""

    data: list[Model]
    nextCursor: str | None
