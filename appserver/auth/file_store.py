"""auth.json in the home directory: plain JSON, readable by its owner only, shared with other programs.

What happens to the file is `document_store`'s and `private_file`'s business; what stands in it is `auth_json`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from appserver.auth.auth_json import document_bytes, parse_document
from appserver.auth.document_store import DocumentStore
from appserver.auth.private_file import PrivateFile

if TYPE_CHECKING:
    from typing import Any

FILE_NAME = "auth.json"


class FileStore(DocumentStore):
    """Keeps the credential in auth.json."""

    def __init__(self, home: str) -> None:
        super().__init__(PrivateFile(Path(home, FILE_NAME)), _Plain())


class _Plain:
    """A document as JSON that a person can read."""

    blank = b"{}"

    def opened(self, data: bytes | None) -> dict[str, Any]:
        return {} if data is None else parse_document(data)

    def sealed(self, document: dict[str, Any]) -> bytes:
        return document_bytes(document)
