"""Finds the program that a name without a folder means. Never in the current directory: another user may own it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

EXTENSIONS = ".COM;.EXE;.BAT;.CMD"
"""What Windows takes for a program unless PATHEXT says otherwise."""


def find_executable(name: str, environ: Mapping[str, str], *, windows: bool = os.name == "nt") -> str | None:
    """Return the path of a program: the name itself if it has a folder in it, else what PATH leads to; None: nothing.

    Windows would look in the current directory first, and elsewhere an empty or relative part of PATH leads there.
    """
    if os.path.dirname(name):
        return name
    extensions = ["", *environ.get("PATHEXT", EXTENSIONS).split(";")] if windows else [""]
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        for extension in extensions:
            path = os.path.join(folder, name + extension)
            if os.path.isabs(folder) and os.path.isfile(path) and os.access(path, os.X_OK):
                return path
    return None
