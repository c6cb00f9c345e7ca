from __future__ import annotations

import json
from pathlib import Path

import pytest

from protocol.methods import CLIENT_NOTIFICATIONS, CLIENT_REQUESTS, SERVER_NOTIFICATIONS, SERVER_REQUESTS
from protocol.schema_export import SCHEMA_FILE, schema, write_schema

pytestmark = pytest.mark.xdist_group("schema")  # so that one process builds pydantic's validators of all types

COMMITTED = Path(__file__).parents[2] / "schema" / SCHEMA_FILE


def test_the_committed_schema_is_what_the_method_table_says(tmp_path: Path) -> None:
    write_schema(tmp_path)
    assert COMMITTED.read_text("utf-8") == (tmp_path / SCHEMA_FILE).read_text("utf-8"), (
        "schema/ is stale: run `appserver generate-json-schema --out schema`"
    )


@pytest.mark.parametrize(
    ("section", "table"),
    [
        ("clientRequests", CLIENT_REQUESTS),
        ("clientNotifications", CLIENT_NOTIFICATIONS),
        ("serverRequests", SERVER_REQUESTS),
        ("serverNotifications", SERVER_NOTIFICATIONS),
    ],
)
def test_every_method_is_in_the_schema(section: str, table: dict[str, object]) -> None:
    assert list(schema()["methods"][section]) == list(table)


def test_every_reference_leads_to_a_definition() -> None:
    document = schema()
    text = json.dumps(document)
    for name in {part.split('"')[0] for part in text.split("#/$defs/")[1:]}:
        assert name in document["$defs"]
