"""initialize and initialized: who is on the other end, and what it does not want to hear."""

from typing import NotRequired

from typing_extensions import TypedDict


class ClientInfo(TypedDict):
    """The embedding application. `name` becomes the originator of what is sent upstream."""

    name: str
    title: NotRequired[str | None]
    version: str


class ClientCapabilities(TypedDict):
    experimentalApi: NotRequired[bool]
    optOutNotificationMethods: NotRequired[list[str] | None]


class InitializeParams(TypedDict):
    clientInfo: ClientInfo
    capabilities: NotRequired[ClientCapabilities | None]


class InitializeResult(TypedDict):
    userAgent: str
    codexHome: str
    platformFamily: str
    platformOs: str
