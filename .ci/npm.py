"""Packages from npm, below `.venv/`: installed when needed, reused while they are the same."""

from __future__ import annotations

import shutil
import subprocess
import sys

import environment

NPM_SECONDS = 240
"""Bounded: a registry that does not answer must not hold up the other checks."""

OPTIONS = ("--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional", "--no-package-lock")
"""Without optional dependencies: those of some packages are binaries."""


def install(name: str, *packages: str) -> None:
    """Install packages into `.venv/NAME`. Raises SystemExit, OSError, SubprocessError."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is not installed")
    home, wanted = environment.ENVIRONMENTS / name, " ".join(packages)
    stamp = home / environment.STAMP
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return
    home.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--silent", "--prefix", str(home), *OPTIONS, *packages]
    subprocess.run(command, check=True, timeout=NPM_SECONDS)  # noqa: S603 - our own command
    stamp.write_text(wanted, encoding="utf-8")  # last: what is half installed has none
