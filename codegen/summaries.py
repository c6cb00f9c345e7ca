"""What each method does, in a sentence: from the README's table, which a test keeps complete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

README: Final = Path(__file__).resolve().parents[1] / "README.md"


def summaries() -> dict[str, str]:
    """Return the sentence of each method, as Markdown. A link is relative to docs/."""
    rows = re.findall(r"^\| `([^`]+)` \| [→←] \w+ \| (.+) \|$", README.read_text("utf-8"), re.MULTILINE)
    return {method: _sentence(re.sub(r"\[docs/([\w-]+)\.md\]\(docs/", r"[\1](", summary)) for method, summary in rows}


def _sentence(summary: str) -> str:
    return summary[0].upper() + summary[1:] + ("" if summary.endswith(".") else ".")
