"""What is generated, by its path, formatted; and writing it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from codegen.blocking import blocking_file
from codegen.methods import methods_file, options_file
from codegen.types import TypeWriter

ROOT = Path(__file__).resolve().parents[1]
CLIENT = ROOT / "appserver" / "client"

FORMAT_SECONDS = 60
"""A formatter that hangs must not hold up the tests."""


def generated() -> dict[Path, str]:
    """Return the text of every generated file."""
    texts = {CLIENT / "types" / name: text for name, text in TypeWriter().files().items()}
    texts |= {CLIENT / "options.py": options_file(), CLIENT / "methods.py": methods_file()}
    texts[CLIENT / "blocking.py"] = blocking_file(texts[CLIENT / "methods.py"])
    return {path: formatted(path, text) for path, text in texts.items()}


def write() -> None:
    """Write them all."""
    for path, text in generated().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


def formatted(path: Path, text: str) -> str:
    """Return a text as ruff sorts its imports and formats it. Raises CalledProcessError for what is no Python."""
    ours = 'lint.isort.known-first-party=["appserver", "protocol"]'  # also where the folder is not there yet
    for arguments in (["check", "--quiet", "--fix-only", "--config", ours, "--select", "I,UP,RUF022"], ["format"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", str(path), "-"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=FORMAT_SECONDS, check=True)  # noqa: S603 - our own command
        text = done.stdout
    return text
