"""A browser's part of signing in and consent, without a browser: cookies, forms, and no redirect followed."""

from __future__ import annotations

import base64
import hashlib
import secrets
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from argon2 import PasswordHasher

from appserver.gateway.scopes import ALL
from protocol.base import Secret
from tests.gateway.rig import NO_TLS, managed

if TYPE_CHECKING:
    from tests.gateway.rig import Running

NAME, PASSWORD = "ada", "correct horse battery"
HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
"""As it is stored, but for the time that it takes to check one."""
CLIENT, SECRET, CALLBACK = "gpt", "sk-client-of-the-tests", "https://chat.example/aip/g-1/oauth/callback"
APP, APP_CALLBACK = "app", "http://localhost:7777/cb"


class Page(HTMLParser):
    """The fields of a page's form, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.hidden: dict[str, str] = {}
        self.action = ""
        self.inputs: list[str] = []
        self.buttons: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        members = dict(attrs)
        self.tags.append(tag)
        if tag == "form":
            self.action = members["action"] or ""
        elif tag == "button":
            self.buttons.append(members)
        elif tag == "input" and members.get("type") == "hidden":
            self.hidden[members["name"] or ""] = members.get("value") or ""
        elif tag == "input":
            self.inputs.append(members["name"] or "")


class Pkce(NamedTuple):
    verifier: str
    challenge: str

    @classmethod
    def new(cls) -> Pkce:
        verifier = secrets.token_urlsafe(32)
        digest = hashlib.sha256(verifier.encode()).digest()
        return cls(verifier, base64.urlsafe_b64encode(digest).rstrip(b"=").decode())


class Cookies:
    """Requests that share cookies, each over a connection of its own."""

    def __init__(self, url: str) -> None:
        self.cookies = httpx.Cookies()
        self.headers: dict[str, str] = {}
        self._url = url

    async def get(self, path: str) -> httpx.Response:
        return await self._send("GET", path)

    async def post(self, path: str, data: dict[str, str]) -> httpx.Response:
        return await self._send("POST", path, data)

    async def _send(self, method: str, path: str, data: dict[str, str] | None = None) -> httpx.Response:
        own: dict[str, Any] = {"cookies": self.cookies, "headers": self.headers}
        async with httpx.AsyncClient(base_url=self._url, verify=NO_TLS, **own) as http:
            response = await http.request(method, path, data=data)
            self.cookies = http.cookies
            return response


class Browser:
    """One person's."""

    def __init__(self, url: str) -> None:
        self.http = Cookies(url)

    async def open(self, params: dict[str, Any] | str) -> httpx.Response:
        query = params if isinstance(params, str) else urlencode(params, doseq=True)
        return await self.http.get(f"/oauth/authorize?{query}")

    async def submit(self, page: httpx.Response, **typed: str) -> httpx.Response:
        form = Page(page.text)
        return await self.http.post(form.action, data={**form.hidden, **typed})

    async def sign_in(self, params: dict[str, Any], name: str = NAME, password: str = PASSWORD) -> httpx.Response:
        """Sign in and return the consent page."""
        entered = await self.submit(await self.open(params), name=name, password=password)
        assert entered.status_code == 303, entered.text
        return await self.http.get(entered.headers["location"])

    async def code(self, params: dict[str, Any]) -> str:
        """Sign in, consent, and return the code."""
        return answer_of(await self.submit(await self.sign_in(params), decision="allow"))["code"]


def answer_of(response: httpx.Response) -> dict[str, str]:
    """What a redirect tells the client."""
    assert response.status_code == 303, response.text
    return {name: values[0] for name, values in parse_qs(urlsplit(response.headers["location"]).query).items()}


def request(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - of a query
    """A request for authorization of the confidential client."""
    params = {"response_type": "code", "client_id": CLIENT, "redirect_uri": CALLBACK, "state": "st", **more}
    return {name: value for name, value in params.items() if value is not None}


async def set_up(gateway: Running) -> None:
    """Add a user with a password and an account, and two clients."""
    accounts = gateway.gateway.accounts
    user_id = await accounts.add_user(NAME, HASH)
    await gateway.gateway.store(user_id).save(managed(gateway.backend.grant()))
    await accounts.put_client(CLIENT, "A GPT", Secret(SECRET), ALL, [CALLBACK, f"{CALLBACK}/other"])
    await accounts.put_client(APP, "An app", None, ["models"], [APP_CALLBACK])


async def exchange(gateway: Running, **params: str) -> httpx.Response:
    """Ask for tokens as the confidential client, unless another is named."""
    form = {"client_id": CLIENT, "client_secret": SECRET, **params}
    async with httpx.AsyncClient(base_url=gateway.url, verify=NO_TLS) as http:
        return await http.post("/oauth/token", data={name: value for name, value in form.items() if value})


async def exchange_code(gateway: Running, code: str, **params: str) -> httpx.Response:
    return await exchange(
        gateway, **{"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, **params}
    )


async def refresh(gateway: Running, token: str, **params: str) -> httpx.Response:
    return await exchange(gateway, **{"grant_type": "refresh_token", "refresh_token": token, **params})


async def models_with(gateway: Running, access_token: str) -> int:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {access_token}"}, verify=NO_TLS) as http:
        return (await http.get(f"{gateway.url}/v1/models")).status_code
