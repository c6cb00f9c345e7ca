"""Classes of protocol/handshake.py.

Generated from protocol/ by `python -m codegen`. Do not edit.
"""

from dataclasses import dataclass

from appserver.client.wire import Data


@dataclass(frozen=True)
class ClientInfo(Data):
    """The embedding application. `name` becomes the originator of what is sent upstream."""

    name: str
    version: str
    title: str | None = None


@dataclass(frozen=True)
class ClientCapabilities(Data):
    experimental_api: bool | None = None
    opt_out_notification_methods: list[str] | None = None


@dataclass(frozen=True)
class InitializeResult(Data):
    user_agent: str
    codex_home: str
    platform_family: str
    platform_os: str
