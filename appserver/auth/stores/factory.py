"""Which store the settings ask for. What the others need is not imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appserver.auth.stores.base import MemoryStore
from appserver.auth.stores.file import FileStore
from appserver.auth.stores.off_loop import OffLoopStore

if TYPE_CHECKING:
    from appserver.auth.stores.base import CredentialStore
    from appserver.settings import Settings


def open_store(settings: Settings) -> CredentialStore:
    """Return the store of cli_auth_credentials_store. Touches neither disk nor keyring yet."""
    match settings.credentials_store:
        case "ephemeral":
            return MemoryStore()
        case "keyring":
            from appserver.auth.stores.keyring import KeyringStore

            return OffLoopStore(KeyringStore(settings.home))
        case "auto":
            from appserver.auth.stores.auto import AutoStore

            return OffLoopStore(AutoStore(settings.home))
        case _:
            return OffLoopStore(FileStore(settings.home))
