"""`appserver status`: the table, the JSON, and the exit code of every state a login can be in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from appserver import __version__
from appserver.auth.stores.file import FileStore
from appserver.session import PROTOCOL_VERSION
from protocol.base import Secret

if TYPE_CHECKING:
    from tests.commands.running import CommandLine

VERSIONS = {"version": __version__, "protocolVersion": PROTOCOL_VERSION}

pytestmark = pytest.mark.anyio


async def test_nobody_is_signed_in(appserver: CommandLine) -> None:
    done = await appserver("status")
    assert (done.code, done.err) == (1, "")
    assert done.lines == [
        "Signed in    no",
        f"Store        file ({appserver.home / 'auth.json'})",
        "Needs login  yes: appserver login",
    ]


async def test_a_chatgpt_login_is_told_in_a_table(signed_in: CommandLine) -> None:
    done = await signed_in("status")
    assert (done.code, done.err) == (0, "")
    cells = dict(line.split("  ", 1) for line in done.lines)
    told = {label: value.strip() for label, value in cells.items()}
    assert told.pop("Token expires").endswith("Z (in 59 minutes)")
    assert told.pop("Last refresh") == signed_in.stored["last_refresh"]
    assert told == {
        "Signed in": "yes",
        "Mode": "chatgpt",
        "E-mail": "user@example.com",
        "Plan": "pro",
        "Account": "org-1",
        "Store": f"file ({signed_in.home / 'auth.json'})",
        "Needs login": "no",
    }


async def test_a_chatgpt_login_is_told_as_json(signed_in: CommandLine) -> None:
    status = (await signed_in("status", "--json")).json
    assert status.pop("tokenExpiresAt").endswith("Z")
    assert status == {
        **VERSIONS,
        "signedIn": True,
        "mode": "chatgpt",
        "email": "user@example.com",
        "planType": "pro",
        "accountId": "org-1",
        "lastRefresh": signed_in.stored["last_refresh"],
        "store": {"kind": "file", "where": str(signed_in.home / "auth.json")},
        "needsLogin": None,
    }


async def test_an_api_key_is_a_login(appserver: CommandLine) -> None:
    await appserver("login", "--with-api-key", stdin=b"sk-test-0123456789")
    done = await appserver("status", "--json")
    assert done.code == 0
    known = {name: value for name, value in done.json.items() if value is not None and name != "store"}
    assert known == {**VERSIONS, "signedIn": True, "mode": "apikey"}


async def test_a_login_whose_refresh_token_is_dead_needs_another(signed_in: CommandLine) -> None:
    FileStore(str(signed_in.home)).refuse(Secret(signed_in.stored["tokens"]["refresh_token"]), "The login has ended")
    done = await signed_in("status", "--json")
    assert done.code == 1
    assert done.json["signedIn"] is True
    assert done.json["needsLogin"] == {"reason": "The login has ended"}


async def test_a_file_that_makes_no_sense_is_told(appserver: CommandLine) -> None:
    (appserver.home / "auth.json").write_text("{", encoding="utf-8")
    done = await appserver("status")
    assert (done.code, done.err) == (1, "")
    assert done.lines[-1].startswith("Needs login  ")
    assert "it is not JSON" in done.lines[-1]


async def test_a_login_that_is_not_allowed_counts_as_none(signed_in: CommandLine) -> None:
    done = await signed_in("status", "--json", "-c", "forced_login_method=api")
    assert done.code == 1
    assert done.json["signedIn"] is False
    assert "API key login is required" in done.json["needsLogin"]["reason"]


async def test_a_status_changes_nothing(signed_in: CommandLine) -> None:
    before = signed_in.stored
    await signed_in("status")
    assert signed_in.stored == before


async def test_a_plan_that_is_not_known_and_a_time_that_no_calendar_has_are_shown_all_the_same(
    signed_in: CommandLine,
) -> None:
    from appserver.testing import make_jwt

    document = signed_in.stored
    document["tokens"]["id_token"] = make_jwt(plan="brand-new")
    document["tokens"]["access_token"] = make_jwt(exp=10**15)
    (signed_in.home / "auth.json").write_text(json.dumps(document), encoding="utf-8")
    status = (await signed_in("status", "--json")).json
    assert (status["planType"], status["tokenExpiresAt"]) == ("unknown", None)
