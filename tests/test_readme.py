"""What README.md and docs/ say is true: tables are complete, links lead somewhere. tests/docs runs the examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from protocol.methods import CLIENT_NOTIFICATIONS, CLIENT_REQUESTS, SERVER_NOTIFICATIONS, SERVER_REQUESTS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text("utf-8")
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").glob("*.md")),
]


def test_the_table_of_methods_is_complete() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| ([→←] \w+) \| .+ \|$", README, re.MULTILINE)
    assert len(rows) == len(set(rows))
    documented = {direction: {name for name, its in rows if its == direction} for _, direction in rows}
    assert documented == {
        "→ request": set(CLIENT_REQUESTS),
        "→ notification": set(CLIENT_NOTIFICATIONS),
        "← request": set(SERVER_REQUESTS),
        "← notification": set(SERVER_NOTIFICATIONS),
    }


def test_every_setting_is_documented() -> None:
    files = sorted((ROOT / "appserver" / "settings").glob("*.py"))
    source = "".join(file.read_text("utf-8") for file in [*files, *(ROOT / "appserver").glob("log_*.py")])
    keys = set(
        re.findall(r'(?:config|table|server|refresher)\.(?:get|one_of|seconds|strings|table|error)\("(\w+)"', source)
    )
    variables = set(re.findall(r'"((?:CODEX|APPSERVER|LOG|SSL|RUST)_[A-Z_]+)"', source))
    assert len(keys) > 15
    assert len(variables) > 6
    assert {one for one in keys | variables if one not in CONFIGURATION} == set()


def test_every_key_of_the_readme_is_a_setting() -> None:
    table = README[README.index("## Configuration") : README.index("## Where it differs")]
    keys = re.findall(r"`\[?([a-z_]+|[A-Z_]{6,})[\].`]", table)
    assert len(keys) > 15
    assert {key for key in keys if key not in CONFIGURATION} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_the_documents_lead_somewhere(document: Path) -> None:
    # Pages in reference/ are made with the site, whose build checks the links to them.
    links = re.findall(r"\]\((?!https?:|reference/)([^)#]+)", document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_shows_a_credential(document: Path) -> None:
    assert re.findall(r"eyJ[\w-]{8,}|fake-refresh-\w+|sk-\w{8,}", document.read_text("utf-8")) == []


def test_the_clients_that_the_tests_run_are_told_with_their_versions() -> None:
    clients = re.findall(r'"(@?[\w/-]+?)(?:==|@)([\d.]+)"', (ROOT / ".ci" / "clients").read_text("utf-8"))
    told = re.findall(r"^\| `([^`]+)`, [^|]*\| ([\d.]+) \|", README, re.MULTILINE)
    assert len(clients) >= 3
    assert sorted(told) == sorted(clients)
