"""The checks of `doctor` that need a network: whether issuer and backend answer.

Sends no credential, and reads no more of an answer than its status. A request goes through the same HTTP stack as all
others, so it meets the same proxies and certificates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from anyio import create_task_group

from appserver.commands.checks import Check
from appserver.errors import ConfigError
from appserver.http_failure import HttpFailure
from appserver.settings import DEFAULT_API_BASE_URL

if TYPE_CHECKING:
    from appserver.server.account import Account
    from appserver.settings import Settings

PROBE_SECONDS = 10.0
"""For one answer. Both are asked at the same time, so this is what a machine without a network waits."""

SERVER_ERROR = 500

CONNECTION_REMEDY = "check the address, the network, and the proxies (HTTPS_PROXY, NO_PROXY)"


async def check_network(account: Account) -> list[Check]:
    """Send all requests at once; return the checks in a fixed order."""
    found: dict[str, Check] = {}

    async def ask(name: str, url: str) -> None:
        found[name] = await _probe(account, name, url)

    places = {"issuer": account.settings.issuer, "backend": _backend_url(account)}
    async with create_task_group() as group:
        for name, url in places.items():
            group.start_soon(ask, name, url)
    return [found[name] for name in places]


async def _probe(account: Account, name: str, configured: str) -> Check:
    settings = account.settings
    try:
        url = str(httpx.URL(configured).copy_with(userinfo=b"", query=None, fragment=None))
    except httpx.InvalidURL:
        return Check(name, "fail", "the configured URL is not valid", "correct it in config.toml or the environment")
    try:
        status = await _status(account, url)
    except ConfigError as exc:
        of_file = settings.ca_variable is not None and exc.message.startswith(settings.ca_variable)
        remedy = f"let {settings.ca_variable} name a PEM file, or unset it" if of_file else CONNECTION_REMEDY
        return Check(name, "fail", exc.message, remedy)
    except HttpFailure as exc:
        return Check(name, "fail", str(exc), _remedy(settings) if exc.tls else CONNECTION_REMEDY)
    if status >= SERVER_ERROR:
        return Check(name, "warn", f"{url} answers HTTP {status}", "try later; a proxy may not reach it")
    return Check(name, "ok", f"{url} answers (HTTP {status}; nothing is asked of it)")


async def _status(account: Account, url: str) -> int:
    headers = {"User-Agent": account.session.user_agent}
    answer = await account.runtime.http.ask(
        url, lambda client: client.build_request("HEAD", url, headers=headers), PROBE_SECONDS
    )
    return answer.status


def _backend_url(account: Account) -> str:
    """Return where turns would go, for the way the user is signed in."""
    provider, held = account.settings.provider, account.auth.current()
    if provider.base_url is not None:
        return provider.base_url
    if held is not None and not held.credential.identity.is_chatgpt:
        return DEFAULT_API_BASE_URL
    return account.settings.chatgpt_base_url


def _remedy(settings: Settings) -> str:
    """Say what helps where TLS is the problem."""
    if settings.ca_variable:
        return f"{settings.ca_variable}={settings.ca_file} does not vouch for this certificate: add its authority there"
    return "if a proxy inspects TLS, let CODEX_CA_CERTIFICATE (or SSL_CERT_FILE) name a file with its authority"
