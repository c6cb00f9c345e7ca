"""One directory with all pages as Markdown, and the site generator's run over it. Needs no network."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from codegen.pages.library import library_pages
from codegen.pages.sequence import draw_diagrams
from codegen.pages.wire import methods_page, types_page

ROOT: Final = Path(__file__).resolve().parents[2]
CONFIG: Final = "zensical.toml"

BAR: Final = "\\|"

LONG_LINE: Final = 140
"""Code and columns do not reach as far; what does is a message or an address, and is wrapped instead of scrolled."""

BUILD_SECONDS: Final = 120
"""A build takes a second; this is for a loaded machine."""

OF_THE_PROJECT: Final = ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md")
"""Documents at the top of the repository that are pages, too: project/architecture.md and so on."""


def build(directory: Path) -> int:
    """Build `directory`/site from `directory`/pages, which is written anew. Returns the generator's exit code."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for path, text in pages().items():
        target = directory / "pages" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="\n")
    for asset in (ROOT / "docs" / "assets").iterdir():
        (directory / "pages" / "assets").mkdir(exist_ok=True)
        shutil.copy(asset, directory / "pages" / "assets")
    shutil.copy(ROOT / CONFIG, directory)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", CONFIG]
    return subprocess.run(command, cwd=directory, timeout=BUILD_SECONDS, check=False).returncode  # noqa: S603 - our own command


def pages() -> dict[str, str]:
    """Return the text of every page, by its path."""
    docs = ROOT / "docs"
    texts = {path.relative_to(docs).as_posix(): path.read_text("utf-8") for path in docs.rglob("*.md")}
    found = {path: _rendered(path, text) for path, text in texts.items()}
    for name in OF_THE_PROJECT:
        found[_project(name)] = _of_the_project((ROOT / name).read_text("utf-8"))
    found |= {"reference/methods.md": methods_page(), "reference/types.md": types_page()}
    return {path: _bars_in_cells(_long_lines(text)) for path, text in (found | library_pages()).items()}


def _rendered(path: str, text: str) -> str:
    """Return a page of docs/ for the site: a link out of docs/ leads to the page that the document has become."""
    up = "../" * path.count("/")

    def link(found: re.Match[str]) -> str:
        name, target = found[1], found[2]
        return f"[{name}]({up}{_project(target)})" if target in OF_THE_PROJECT else name  # no page: its name remains

    return draw_diagrams(re.sub(rf"\[([^\]]+)\]\({re.escape(up)}\.\./([\w./-]+)\)", link, text))


def _bars_in_cells(text: str) -> str:
    """Write `|` in code in a table as HTML: forges take the backslash before it out, Python's Markdown does not."""

    def code(found: re.Match[str]) -> str:
        return f"<code>{html.escape(found[1]).replace(BAR, '&#124;')}</code>"

    rows = re.compile(r"^\|.*$", re.MULTILINE)
    return rows.sub(lambda row: re.sub(r"`([^`]*\\\|[^`]*)`", code, row[0]), text)


def _long_lines(text: str) -> str:
    """Mark blocks with a long line, for the style sheet to wrap."""

    def marked(found: re.Match[str]) -> str:
        language, block = found[1] or "text", found[2]
        is_long = any(len(line) > LONG_LINE for line in block.splitlines())
        return f"```{language} {{ .wrapped }}\n{block}```" if is_long and language.isalpha() else found[0]

    return re.sub(r"^```(.*)\n([\s\S]*?)^```$", marked, text, flags=re.MULTILINE)


def _of_the_project(text: str) -> str:
    """Return a document at the top of the repository as a page in project/."""
    text = re.sub(r"\]\(docs/", "](../", text)
    return re.sub(r"\]\(([A-Z]+\.md)", lambda found: f"]({found[1].lower()}", text)


def _project(name: str) -> str:
    return f"project/{name.lower()}"
