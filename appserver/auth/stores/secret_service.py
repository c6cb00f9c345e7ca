"""The Secret Service (GNOME Keyring, KWallet, KeePassXC) without its prompts. Imported only where it is there.

keyring's own backend unlocks a locked collection, and creates a missing one, by asking the user. Here both are
errors; and should the service want to ask for any other reason, the message that lets it is not sent.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import secretstorage
from jeepney import HeaderFields
from keyring.errors import InitError, KeyringLocked

if TYPE_CHECKING:
    from jeepney import Message
    from jeepney.io.blocking import DBusConnection
    from keyring.backends.SecretService import Keyring

PROMPT = "org.freedesktop.Secret.Prompt"
DEFAULT_COLLECTION = "/org/freedesktop/secrets/aliases/default"

LOCKED = "it is locked, and this program does not ask for its password: unlock it, or sign in to the desktop"


class QuietBus:
    """A connection to the session bus that does not let a service show a prompt."""

    def __init__(self, bus: DBusConnection) -> None:
        self._bus = bus

    def send_and_get_reply(self, message: Message) -> Message:
        """Send a message, unless it is one that opens a prompt."""
        if message.header.fields.get(HeaderFields.interface) == PROMPT:
            raise KeyringLocked(LOCKED)
        return self._bus.send_and_get_reply(message)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the connection has
        return getattr(self._bus, name)


def promptless(backend: Keyring) -> Keyring:
    """Return a copy of keyring's backend that raises KeyringLocked where it would ask the user."""
    # A collection of the user's choice, from the environment variable KEYRING_PROPERTY_PREFERRED_COLLECTION.
    path = getattr(backend, "preferred_collection", DEFAULT_COLLECTION)
    return backend.with_properties(get_preferred_collection=partial(_open_collection, path), unlock=_check_unlocked)


def _open_collection(path: str) -> secretstorage.Collection:
    bus = QuietBus(secretstorage.dbus_init())
    try:
        collection = secretstorage.Collection(bus, path)
        _check_unlocked(collection)
    except secretstorage.ItemNotFoundException:
        bus.close()
        raise InitError("the Secret Service has no default collection: sign in to the desktop once") from None
    except BaseException:
        bus.close()
        raise
    return collection  # keyring closes its connection


def _check_unlocked(item: secretstorage.Collection | secretstorage.Item) -> None:
    if item.is_locked():
        raise KeyringLocked(LOCKED)
