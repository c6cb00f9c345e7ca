"""`appserver login`: sign in with a browser, a device code, or an API key from stdin.

Shows the person what to do, and takes an address that they paste. The flows, the restrictions and the credential
store are those that a client uses.
"""

from __future__ import annotations

import sys
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from anyio import create_task_group, sleep_forever

from appserver.arguments import settings_of
from appserver.auth.policy import check_login_method
from appserver.auth.supplied import supplied_api_key, supplied_personal_token
from appserver.commands.account import kept, whom
from appserver.commands.output import FAILED, complain, say
from appserver.commands.qr import show_qr
from appserver.commands.stdin import each_line, read_secret
from appserver.commands.terminal import log_for_person, with_account
from appserver.errors import AuthError, ConfigError, LoginError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Mapping

    from appserver.auth.login.browser import BrowserLogin
    from appserver.server.account import Account
    from protocol.base import Secret


SECRETS = {"--with-api-key": "an API key", "--with-access-token": "a personal access token"}
"""Options that read a secret from stdin, and what it is."""


def add_options(parser: ArgumentParser) -> None:
    parser.description = "Sign in, with a browser unless you choose another way. A login that exists is replaced."
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--device-auth", action="store_true", help="show a code to type in a browser on any other device")
    for option, what in SECRETS.items():
        # "?", so that a secret in its place is met by our own words, which do not repeat it.
        way.add_argument(option, nargs="?", const="", metavar="< FILE", help=f"read {what} from stdin, or ask for it")
    parser.add_argument("--no-browser", action="store_true", help="show the address, but open no browser")


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    for option, given in (("--with-api-key", options.with_api_key), ("--with-access-token", options.with_access_token)):
        if given:
            raise ConfigError(f"login {option}: it is read from stdin, never from the command line")
    settings = settings_of(options, environ)
    if settings.credentials_store == "ephemeral":
        raise ConfigError('cli_auth_credentials_store is "ephemeral": a login would end with this command')
    log_for_person(settings, environ, "WARNING")
    if options.with_api_key is not None:
        check_login_method(settings, "apiKey")
        key = read_secret("API key", "--with-api-key")  # before there is a loop: Ctrl-C works
        return with_account(settings, partial(_with_key, key))
    if options.with_access_token is not None:
        check_login_method(settings, "personalAccessToken")
        token = read_secret("access token", "--with-access-token")
        return with_account(settings, partial(_with_access_token, token))
    if options.device_auth:
        check_login_method(settings, "chatgptDeviceCode")
        return with_account(settings, partial(_with_device_code, environ))
    check_login_method(settings, "chatgpt")
    return with_account(settings, partial(_with_browser, _may_open(options, environ)))


async def _with_key(key: Secret, account: Account) -> int:
    await account.auth.in_order(partial(account.sign_in, supplied_api_key(key)))
    return _welcome(account)


async def _with_access_token(token: Secret, account: Account) -> int:
    await account.sign_in_with_personal_token(supplied_personal_token(token))
    return _welcome(account)


async def _with_device_code(environ: Mapping[str, str], account: Account) -> int:
    flow = account.device_login(account.session)
    device = await flow.start()
    say("Open this address in a browser, on this or any other device:", "", f"  {device.verification_url}", "")
    show_qr(device.verification_url, environ)
    say("There, type this code, and give it to nobody else:", "", f"  {device.user_code.reveal()}", "")
    say("Waiting for you to sign in. Ctrl-C cancels.")
    await account.finish_login(flow)
    return _welcome(account)


async def _with_browser(opens: bool, account: Account) -> int:
    flow = account.browser_login(account.session)
    try:
        url = flow.start()
    except LoginError as exc:
        raise LoginError(f"{exc.message}. That is: appserver login --device-auth") from None
    say("Open this address in a browser and sign in:", "", f"  {url}", "")
    say("If that browser is on another machine, it will end on a page that it cannot reach. Paste the address of")
    say(f"that page here; it begins with {_redirect_uri(url)}", "", "Waiting for you to sign in. Ctrl-C cancels.")
    if opens:
        _open_browser(url)
    return await _finish(account, flow)


async def _finish(account: Account, flow: BrowserLogin) -> int:
    """Wait for the browser, and for a pasted address, whichever comes first."""
    pasted, failure = _Pasted(flow), None
    async with create_task_group() as group:
        group.start_soon(each_line, pasted.take)
        try:
            await account.finish_login(flow)
        except AuthError as exc:
            failure = exc
        group.cancel_scope.cancel()
    if failure is None:
        return _welcome(account)
    if failure.message != pasted.told:  # else the person knows
        complain(failure.message)
    return FAILED


class _Pasted:
    """Hands pasted lines to a browser login. One that does not belong to it changes nothing."""

    def __init__(self, flow: BrowserLogin) -> None:
        self.told: str | None = None
        """What the person was told last."""
        self._flow = flow

    async def take(self, line: Secret) -> None:
        try:
            await self._flow.paste(line)
        except LoginError as exc:
            self.told = exc.message
            complain(exc.message)
        else:
            await sleep_forever()  # decided: what else was pasted does not count, and the login ends this


def _welcome(account: Account) -> int:
    held = account.auth.current()
    if held is None:  # signed out elsewhere, in this moment
        raise LoginError("The login is gone: somebody has signed out")
    say(f"Signed in {whom(held.credential)}.", f"Kept in: {kept(account)}")
    return 0


def _redirect_uri(url: str) -> str:
    return parse_qs(urlsplit(url).query)["redirect_uri"][0]


def _may_open(options: Namespace, environ: Mapping[str, str]) -> bool:
    """Whether a browser can be opened for the person: they sit at this machine, and it has a display."""
    if options.no_browser or sys.stdin is None or not sys.stdin.isatty():
        return False
    if sys.platform in ("win32", "darwin"):
        return not environ.get("SSH_CONNECTION")
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def _open_browser(url: str) -> None:
    """Open the browser in a thread of its own: it may take its time, or as long as the browser runs."""
    import webbrowser

    Thread(target=webbrowser.open, args=(url,), daemon=True).start()
