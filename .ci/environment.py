"""Virtual environments for the scripts beside this file: made when needed, reused while pyproject.toml is the same.

Standard library only, and no assumption about the machine but Python with venv and pip. Does not know what is run.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".venv"
STAMP = "appserver-stamp"

INSTALL_SECONDS = 480
"""A first installation, on a slow line; the whole check is to stay under ten minutes."""


def python_of(name: str, *requirements: str) -> Path:
    """Return the Python of the environment `name` with these requirements in it; make it if it is missing or stale."""
    home = ENVIRONMENTS / name
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp, wanted = home / STAMP, _fingerprint(requirements)
    if python.exists() and stamp.exists() and stamp.read_text("utf-8") == wanted:
        return python
    _tell(f"building {home.relative_to(ROOT)} (once; reused until pyproject.toml changes)")
    _make(home)
    _install(python, requirements)
    stamp.write_text(wanted, encoding="utf-8")  # last: an environment that is half built has none
    return python


def run(python: Path, *arguments: str) -> int:
    """Run this Python with arguments, in the project's directory, and return the exit code."""
    try:
        return subprocess.run([str(python), *arguments], cwd=ROOT, check=False).returncode  # noqa: S603 - our own command
    except KeyboardInterrupt:
        return 130


def _fingerprint(requirements: tuple[str, ...]) -> str:
    project = (ROOT / "pyproject.toml").read_bytes()
    parts = [project, sys.version.encode(), str(ROOT).encode(), *(one.encode() for one in requirements)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _make(home: Path) -> None:
    try:
        venv.create(home, with_pip=True, clear=True)
    except (subprocess.CalledProcessError, ImportError):
        sys.exit(
            "This Python cannot make a virtual environment with pip in it. Install your system's package "
            "for that (often called python3-venv), or use another Python."
        )


def _install(python: Path, requirements: tuple[str, ...]) -> None:
    options = ("--quiet", "--disable-pip-version-check", "--no-compile")  # Python compiles what is imported: far less
    command = [str(python), "-m", "pip", "install", *options, *requirements]
    try:
        done = subprocess.run(command, cwd=ROOT, check=False, timeout=INSTALL_SECONDS)  # noqa: S603 - our own command
    except subprocess.TimeoutExpired:
        sys.exit(f"pip has not finished within {INSTALL_SECONDS} s: see whether the network lets it through.")
    if done.returncode:
        sys.exit(f"pip could not install {' '.join(requirements)}; what it wrote above says why.")


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
