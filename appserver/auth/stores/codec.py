"""A document to bytes, and back: how a store's file is written. `Plain` is JSON; `encrypted.Encrypted` is the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from appserver.auth.stores.auth_json import document_bytes, parse_document

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Codec(Protocol):
    """A document to bytes, and back."""

    blank: bytes
    """What stands for no document where the file cannot be removed."""

    def opened(self, data: bytes | None) -> dict[str, Any]:
        """Return the document in these bytes, empty if there is no file.

        Raises ValueError if they make no sense, StoreError if they cannot be opened now.
        """

    def sealed(self, document: dict[str, Any]) -> bytes:
        """Return a document as bytes, in place of what was opened last. Raises ValueError or StoreError."""

    def sealing_beside(self) -> Callable[[dict[str, Any]], bytes]:
        """Return what seals a document beside what was opened last, whatever is opened then. Raises StoreError."""

    def opened_beside(self, data: bytes) -> dict[str, Any]:
        """Return the document in bytes that were sealed beside what was opened last. Raises ValueError."""


class Plain:
    """A document as JSON that a person can read."""

    blank = b"{}"

    def opened(self, data: bytes | None) -> dict[str, Any]:
        """Return the document in these bytes, empty if there is no file. Raises ValueError."""
        return {} if data is None else parse_document(data)

    def sealed(self, document: dict[str, Any]) -> bytes:
        """Return a document as bytes. Raises ValueError."""
        return document_bytes(document)

    def sealing_beside(self) -> Callable[[dict[str, Any]], bytes]:
        """Return what makes bytes of a document."""
        return document_bytes

    def opened_beside(self, data: bytes) -> dict[str, Any]:
        """Return the document in these bytes. Raises ValueError."""
        return parse_document(data)
