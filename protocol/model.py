"""model/list: the models that a thread can be started with."""

from typing import NotRequired

from typing_extensions import TypedDict


class ReasoningEffortOption(TypedDict):
    """An effort that a model takes."""

    reasoningEffort: str
    description: str


class Model(TypedDict):
    """A model. Exactly one in the list is the default."""

    id: str
    model: str
    displayName: str
    description: str
    hidden: bool
    supportedReasoningEfforts: list[ReasoningEffortOption]
    defaultReasoningEffort: str
    inputModalities: list[str]
    supportsPersonality: bool
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
