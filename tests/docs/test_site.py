"""The documentation is a site that is complete and loads nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from html import unescape
from html.parser import HTMLParser
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from codegen.pages.build import CONFIG, LONG_LINE, ROOT, pages
from codegen.pages.library import PACKAGES, public_names
from codegen.pages.sequence import drawn, read
from protocol.methods import CLIENT_REQUESTS, SERVER_NOTIFICATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("zensical")

LOADING = {"script", "link", "img", "iframe", "source", "object", "embed", "video", "audio", "form", "use"}
"""Elements that have a browser load something, or send it somewhere. A link that a person follows is none."""

PAGES = pages()


class Loads(HTMLParser):
    """Collects what a page has a browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.styles: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag in LOADING and told.get("rel") != "canonical":
            self.urls += [value for name in ("src", "href", "data", "action", "srcset") if (value := told.get(name))]
        self.styles.append(told.get("style") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "codegen.pages", str(directory / "build")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout + done.stderr
    return directory / "build" / "site"


def elsewhere(text: str) -> list[str]:
    return re.findall(r"(?:url\(|@import)\s*['\"]?((?:[a-z]+:)?//[^'\")]+)", text)


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    found = {}
    for file in site.rglob("*.html"):
        loads = Loads()
        text = file.read_text("utf-8")
        loads.feed(text)
        urls = [url for url in loads.urls if re.match(r"(?:[a-z]+:)?//", url)]
        found[file.name] = urls + elsewhere("\n".join(loads.styles)) + re.findall(r"unpkg|googleapis|gtag", text)
    assert len(found) > 15
    assert {name: urls for name, urls in found.items() if urls} == {}


def test_no_style_sheet_loads_anything_from_elsewhere(site: Path) -> None:
    sheets = list(site.rglob("*.css"))
    assert len(sheets) > 1
    assert [url for sheet in sheets for url in elsewhere(sheet.read_text("utf-8"))] == []


def test_no_page_has_a_diagram_that_a_script_would_load_its_drawing_program_for(site: Path) -> None:
    assert [file.name for file in site.rglob("*.html") if "mermaid" in file.read_text("utf-8")] == []


def test_no_cell_of_a_table_shows_the_backslash_before_a_bar(site: Path) -> None:
    assert "login [--device-auth | --with-api-key" in unescape((site / "cli.html").read_text("utf-8"))
    assert [file.name for file in site.rglob("*.html") if re.search(r"<td>[^\n]*\\\|", file.read_text("utf-8"))] == []


def test_a_block_with_a_long_line_is_marked_to_be_wrapped_and_no_other(site: Path) -> None:
    html = (site / "protocol.html").read_text("utf-8")
    blocks = re.findall(r'<div class="([^"]*)highlight">.*?<code>(.*?)</code>', html, re.DOTALL)
    lengths = {("wrapped" in name, longest(code) > LONG_LINE) for name, code in blocks}
    assert lengths == {(True, True), (False, False)}


def longest(code: str) -> int:
    return max(len(unescape(re.sub(r"<[^>]+>", "", line))) for line in code.splitlines())


def test_every_page_is_in_the_navigation_once() -> None:
    listed = list(leaves(tomllib.loads((ROOT / CONFIG).read_text("utf-8"))["project"]["nav"]))
    assert sorted(listed) == sorted(PAGES)


def leaves(entry: object) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    for one in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
        yield from leaves(one)


def test_the_reference_has_every_method_and_notification() -> None:
    shown = set(re.findall(r"^### `([^`]+)`$", PAGES["reference/methods.md"], re.MULTILINE))
    assert set(CLIENT_REQUESTS) | set(SERVER_NOTIFICATIONS) <= shown


def test_the_reference_links_to_types_that_it_has() -> None:
    text = PAGES["reference/types.md"]
    defined = re.findall(r"^### \w+ \{ #(\w+) \}$", text, re.MULTILINE)
    assert len(defined) == len(set(defined)) > 50
    assert set(re.findall(r"types\.md#(\w+)", text + PAGES["reference/methods.md"])) <= set(defined)


@pytest.mark.parametrize(("page", "package"), PACKAGES.items())
def test_the_reference_has_every_public_name(page: str, package: str) -> None:
    public = public_names(import_module(package))
    assert public
    assert [name for name in public if f"\n## {name}\n" not in PAGES[f"reference/{page}.md"]] == []


def test_the_reference_shows_type_aliases_as_they_are_written() -> None:
    assert "Input = str | UserInput | Sequence[str | UserInput]" in PAGES["reference/client.md"]
    assert "Credential = ApiKey | ManagedTokens | " in PAGES["reference/auth.md"]


def test_the_tests_that_the_security_model_names_exist() -> None:
    named = re.findall(r"`(tests/[\w/.]+)`", PAGES["security.md"])
    assert len(named) > 15
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_a_diagram_is_drawn_with_its_words_and_without_a_script() -> None:
    source = (
        "participant A as Client\nparticipant B as Server\nA->>B: turn/start <1>\nB-->>A: done\nNote over A,B: end\n"
    )
    image = drawn(source)
    assert image.startswith("<svg")
    assert "turn/start &lt;1&gt;" in image
    assert "<script" not in image


@pytest.mark.parametrize("line", ["loop every day", "A->>C: to nobody", "A=>B: text"])
def test_what_is_not_understood_in_a_diagram_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match=r"not understood|no such participant"):
        read(f"participant A as Client\n{line}\n")
