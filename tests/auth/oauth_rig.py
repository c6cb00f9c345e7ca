"""What the tests of requests to the issuer share: a way to send them, secrets to send, answers that make no sense."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from appserver.auth.oauth.device import DeviceClient, DeviceCode
from appserver.auth.oauth.http import IssuerHttp
from appserver.auth.oauth.tokens import TokenClient
from appserver.http import Http
from appserver.session import Session
from appserver.settings import Settings
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CODE = Secret("code-of-the-issuer-0123456789")
VERIFIER = Secret("verifier-of-this-login-0123456789")
REFRESH = Secret("refresh-token-of-the-user-0123456789")
ID_TOKEN = Secret("id-token-of-the-user-0123456789")
TOKEN_PATH, REVOKE_PATH = "/oauth/token", "/oauth/revoke"
DEVICE = DeviceCode(Secret("device-auth-id-0123456789"), Secret("ABCD-1234"), 5, "http://issuer.test/codex/device")
SECRETS = tuple(it.reveal() for it in (CODE, VERIFIER, REFRESH, ID_TOKEN, DEVICE.device_auth_id, DEVICE.user_code))

MALFORMED = [
    pytest.param("no JSON at all", id="text"),
    pytest.param("[" * 100_000, id="nested"),
    pytest.param("[]", id="list"),
    pytest.param({}, id="empty"),
    pytest.param({"id_token": "i", "access_token": 7}, id="number"),
    pytest.param({"id_token": "i", "access_token": ["a"]}, id="array"),
    pytest.param({"id_token": "i", "access_token": "line\nbreak"}, id="control character"),
    pytest.param({"id_token": "i", "access_token": "ünicode"}, id="not ASCII"),
    pytest.param({"id_token": None, "access_token": "", "refresh_token": None}, id="null"),
]


def settings_for(url: str) -> Settings:
    return Settings(home="unused", issuer=url, token_url=f"{url}{TOKEN_PATH}", revoke_url=f"{url}{REVOKE_PATH}")


def named_session() -> Session:
    session = Session()
    session.begin("lab", "1", frozenset())
    return session


class Clients(NamedTuple):
    tokens: TokenClient
    devices: DeviceClient


@asynccontextmanager
async def clients_for(settings: Settings) -> AsyncIterator[Clients]:
    http = Http(settings)
    issuer = IssuerHttp(http, named_session())
    try:
        yield Clients(TokenClient(issuer, settings), DeviceClient(issuer, settings))
    finally:
        await http.close()


def closed_port_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def assert_no_secret(text: str) -> None:
    for secret in SECRETS:
        assert secret not in text
