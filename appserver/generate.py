"""`generate-json-schema` and `generate-ts`: the protocol in a form that other programs are built with."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from appserver.errors import AppServerError
from appserver.parser import Parser
from protocol.schema_export import write_schema
from protocol.typescript_export import write_typescript

if TYPE_CHECKING:
    from collections.abc import Iterator


def generate_json_schema(words: list[str]) -> int:
    """Write the JSON Schema and return the exit code. Raises AppServerError."""
    parser = Parser("generate-json-schema", "Write the protocol's JSON Schema.")
    parser.add_generation("schema")
    out = parser.parse(words).out
    with _writing(out):
        write_schema(Path(out))
    return 0


def generate_typescript(words: list[str]) -> int:
    """Write the TypeScript and return the exit code. Raises AppServerError."""
    parser = Parser("generate-ts", "Write the protocol as TypeScript.")
    parser.add_generation("schema/typescript")
    parser.add_argument("-p", "--prettier", metavar="PROGRAM", help="have this program format what is written")
    options = parser.parse(words)
    with _writing(options.out):
        written = write_typescript(Path(options.out))
    if options.prettier is None:
        return 0
    try:
        done = subprocess.run([options.prettier, "--write", *written], stdout=subprocess.DEVNULL, check=False)  # noqa: S603 - the user names it
    except OSError as exc:
        raise AppServerError(f"--prettier: {exc.strerror}") from None
    return done.returncode


@contextmanager
def _writing(directory: str) -> Iterator[None]:
    """Say in one line why files cannot be written."""
    try:
        yield
    except OSError as exc:
        raise AppServerError(f"{directory}: {exc.strerror}") from None
