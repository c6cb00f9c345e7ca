"""The method table as JSON Schema (2020-12): one document that holds every type and says which method uses which.

Pure but for `write_schema`. Run it as `appserver generate-json-schema --out schema`; a test compares the result with
what is committed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from protocol.methods import CLIENT_NOTIFICATIONS, CLIENT_REQUESTS, SERVER_NOTIFICATIONS, SERVER_REQUESTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from protocol.methods import Method

DIALECT = GenerateJsonSchema.schema_dialect
SCHEMA_FILE = "appserver.schema.json"


class _Untitled(GenerateJsonSchema):
    """Leaves out titles that only repeat a member's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401 - pydantic's signature
        return False


def schema() -> dict[str, Any]:
    """Return the whole schema: `methods` maps each method to its params and result, `$defs` holds the types."""
    wanted = _wanted()
    mode: Literal["validation"] = "validation"
    adapters = [(key, mode, TypeAdapter[Any](kind)) for key, kind in wanted.items()]
    references, definitions = TypeAdapter.json_schemas(
        adapters, ref_template="#/$defs/{model}", schema_generator=_Untitled
    )
    of = {key: reference for (key, _), reference in references.items()}
    return {
        "$schema": DIALECT,
        "title": "The app-server protocol",
        "methods": {
            "clientRequests": _requests(CLIENT_REQUESTS, of),
            "clientNotifications": _notifications(CLIENT_NOTIFICATIONS, of),
            "serverRequests": _requests(SERVER_REQUESTS, of),
            "serverNotifications": _notifications(SERVER_NOTIFICATIONS, of),
        },
        "$defs": definitions.get("$defs", {}),
    }


def write_schema(directory: Path) -> None:
    """Write the schema into a directory, which is made if it is missing."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(schema(), indent=2, sort_keys=True) + "\n"
    (directory / SCHEMA_FILE).write_text(text, encoding="utf-8", newline="\n")


def _wanted() -> dict[str, Any]:
    """Return every type that a method uses, under a key that names its use."""
    wanted: dict[str, Any] = {}
    for method, types in {**CLIENT_REQUESTS, **SERVER_REQUESTS}.items():
        wanted[f"{method} params"] = types.params
        wanted[f"{method} result"] = types.result
    for method, params in {**CLIENT_NOTIFICATIONS, **SERVER_NOTIFICATIONS}.items():
        wanted[f"{method} params"] = params
    return {key: kind for key, kind in wanted.items() if kind is not None}


def _requests(methods: Mapping[str, Method], of: Mapping[str, Any]) -> dict[str, Any]:
    return {method: {"params": of.get(f"{method} params"), "result": of.get(f"{method} result")} for method in methods}


def _notifications(methods: Mapping[str, Any], of: Mapping[str, Any]) -> dict[str, Any]:
    return {method: {"params": of.get(f"{method} params")} for method in methods}
