"""`appserver login`: the three ways in, what is refused, and what is never shown."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from appserver.auth.login.browser import PORTS
from appserver.loopback import bind
from appserver.testing import Decision, Profile

if TYPE_CHECKING:
    from appserver.testing import FakeBackend
    from tests.commands.running import CommandLine

pytestmark = pytest.mark.anyio

KEY = "sk-test-0123456789"
AUTHORIZE = r"^  (http\S+/oauth/authorize\S+)$"
BROWSER_SECONDS = 20.0


async def browse(url: str, *, follow: bool = True) -> httpx.Response:
    """Open an address as a browser does."""
    async with httpx.AsyncClient(timeout=BROWSER_SECONDS, follow_redirects=follow) as browser:
        return await browser.get(url)


# With a browser


@pytest.mark.usefixtures("callback_ports")
async def test_a_browser_login_shows_the_address_and_waits_for_the_callback(appserver: CommandLine) -> None:
    async with appserver.started("login") as running:
        page = await browse(await running.shows(AUTHORIZE))
        assert "Signed in" in page.text
        done = await running.done()
    assert (done.code, done.err) == (0, "")
    assert "Signed in as user@example.com (plan pro, account org-1)." in done.lines
    assert appserver.stored["tokens"]["account_id"] == "org-1"
    assert not any(token in done.out for token in appserver.stored["tokens"].values() if token != "org-1")


@pytest.mark.usefixtures("callback_ports")
async def test_the_address_of_an_unreachable_callback_can_be_pasted(appserver: CommandLine) -> None:
    async with appserver.started("login", "--no-browser") as running:
        answer = await browse(await running.shows(AUTHORIZE), follow=False)
        await running.type(answer.headers["location"])
        done = await running.done()
    assert (done.code, done.err) == (0, "")
    assert (await appserver("status")).code == 0


@pytest.mark.usefixtures("callback_ports")
async def test_an_address_of_another_login_is_refused_and_the_login_goes_on(appserver: CommandLine) -> None:
    async with appserver.started("login") as running:
        answer = await browse(await running.shows(AUTHORIZE), follow=False)
        await running.type("")
        await running.type("http://localhost:1455/auth/callback?code=other&state=other")
        await running.complains("belongs to another sign-in")
        await running.type(f"  {answer.headers['location']}\r")
        assert (await running.done()).code == 0


@pytest.mark.usefixtures("callback_ports")
async def test_what_is_pasted_after_the_address_does_not_count(appserver: CommandLine) -> None:
    async with appserver.started("login") as running:
        answer = await browse(await running.shows(AUTHORIZE), follow=False)
        await running.type("\n".join([answer.headers["location"], *["more"] * 100]))
        done = await running.done()
    assert (done.code, done.err) == (0, "")


@pytest.mark.usefixtures("callback_ports")
async def test_the_end_of_input_does_not_end_a_browser_login(appserver: CommandLine) -> None:
    async with appserver.started("login") as running:
        assert running.process.stdin is not None
        await running.process.stdin.aclose()
        await browse(await running.shows(AUTHORIZE))
        assert (await running.done()).code == 0


@pytest.mark.usefixtures("callback_ports")
@pytest.mark.parametrize("pasted", [False, True], ids=["callback", "pasted"])
async def test_a_refusal_of_the_issuer_is_told_once(appserver: CommandLine, backend: FakeBackend, pasted: bool) -> None:
    backend.issuer.deny_next()
    async with appserver.started("login") as running:
        answer = await browse(await running.shows(AUTHORIZE), follow=not pasted)
        if pasted:
            await running.type(answer.headers["location"])
        done = await running.done()
    assert (done.code, done.err) == (1, "appserver: The issuer ended the sign-in: The fake user said no.\n")
    assert not (appserver.home / "auth.json").exists()


@pytest.mark.usefixtures("callback_ports")
async def test_without_a_port_a_browser_login_points_to_the_device_code(appserver: CommandLine) -> None:
    listeners = [bind(port) for port in PORTS]
    try:
        done = await appserver("login")
    finally:
        for listener in listeners:
            listener.close()
    assert done.code == 1
    assert done.err.endswith("appserver login --device-auth\n")
    assert len(done.err.splitlines()) == 1


@pytest.mark.usefixtures("callback_ports")
@pytest.mark.skipif(sys.platform == "win32", reason="there, a process cannot be sent SIGINT alone")
@pytest.mark.parametrize("way", [(), ("--device-auth",)], ids=["browser", "device"])
async def test_an_interrupt_cancels_a_login(appserver: CommandLine, backend: FakeBackend, way: tuple[str, ...]) -> None:
    backend.issuer.device.decision = Decision.OPEN
    async with appserver.started("login", *way) as running:
        await running.shows("(Waiting)")
        running.process.send_signal(signal.SIGINT)
        done = await running.done()
    assert (done.code, done.err) == (130, "appserver: cancelled\n")
    bind(PORTS[0]).close()


# With a device code


async def test_a_device_login_shows_address_and_code(appserver: CommandLine, backend: FakeBackend) -> None:
    done = await appserver("login", "--device-auth")
    assert (done.code, done.err) == (0, "")
    assert f"  {backend.url}/codex/device" in done.lines
    assert "  FAKE-0001" in done.lines
    assert "Signed in as user@example.com (plan pro, account org-1)." in done.lines
    assert "█" not in done.out  # stdout is no terminal
    assert appserver.stored["auth_mode"] == "chatgpt"


async def test_a_login_replaces_the_one_before(signed_in: CommandLine, backend: FakeBackend) -> None:
    backend.issuer.profile = Profile("org-2", "user-2", "second@example.com", "plus")
    assert (await signed_in("login", "--device-auth")).code == 0
    assert (await signed_in("status", "--json")).json["accountId"] == "org-2"


async def test_a_device_login_that_is_denied_fails(appserver: CommandLine, backend: FakeBackend) -> None:
    backend.issuer.device.decision = Decision.DENIED
    done = await appserver("login", "--device-auth")
    assert (done.code, done.err) == (1, "appserver: The login was denied in the browser (access_denied)\n")


async def test_a_device_login_that_is_not_enabled_says_so(appserver: CommandLine, backend: FakeBackend) -> None:
    backend.issuer.device.enabled = False
    done = await appserver("login", "--device-auth")
    assert (done.code, done.out) == (1, "")
    assert "not enabled" in done.err


async def test_a_login_survives_a_file_that_makes_no_sense(appserver: CommandLine) -> None:
    (appserver.home / "auth.json").write_text("{", encoding="utf-8")
    assert (await appserver("login", "--device-auth")).code == 0
    assert (appserver.home / "auth.json.corrupt").read_text("utf-8") == "{"


async def test_what_a_token_says_cannot_control_the_terminal(appserver: CommandLine, backend: FakeBackend) -> None:
    backend.issuer.profile = Profile(email="a\x1b[2J@example.com")
    assert "Signed in as a?[2J@example.com" in (await appserver("login", "--device-auth")).out


# With an API key


async def test_an_api_key_is_read_from_stdin(appserver: CommandLine) -> None:
    done = await appserver("login", "--with-api-key", stdin=f"{KEY}\r\n".encode())
    assert (done.code, done.err) == (0, "")
    assert done.lines[0] == "Signed in with an API key."
    assert appserver.stored["OPENAI_API_KEY"] == KEY


@pytest.mark.parametrize("words", [("--with-api-key", KEY), (f"--with-api-key={KEY}",), (KEY,), (f"--key={KEY}",)])
async def test_an_api_key_on_the_command_line_is_refused_and_not_repeated(
    appserver: CommandLine, words: tuple[str, ...]
) -> None:
    done = await appserver("login", *words, stdin=KEY.encode())
    assert (done.code, done.out) == (2, "")
    assert KEY not in done.err
    assert not (appserver.home / "auth.json").exists()


@pytest.mark.parametrize("stdin", [b"", b" \n", b"sk-one\nsk-two\n", "sk-ключ".encode()])
async def test_what_cannot_be_an_api_key_is_refused(appserver: CommandLine, stdin: bytes) -> None:
    done = await appserver("login", "--with-api-key", stdin=stdin)
    assert (done.code, done.out) == (1, "")
    assert len(done.err.splitlines()) == 1
    assert "sk-" not in done.err
    assert not (appserver.home / "auth.json").exists()


# What is allowed


@pytest.mark.parametrize(
    ("forced", "way", "text"),
    [
        ("chatgpt", "--with-api-key", "API key login is disabled. Use ChatGPT login instead."),
        ("api", "--device-auth", "ChatGPT login is disabled. Use API key login instead."),
        ("api", "--no-browser", "ChatGPT login is disabled. Use API key login instead."),
    ],
)
async def test_a_way_that_is_not_allowed_is_refused(appserver: CommandLine, forced: str, way: str, text: str) -> None:
    done = await appserver("-c", f"forced_login_method={forced}", "login", way, stdin=KEY.encode())
    assert (done.code, done.out, done.err) == (1, "", f"appserver: {text}\n")


async def test_a_login_to_a_workspace_that_is_not_allowed_is_not_kept(appserver: CommandLine) -> None:
    done = await appserver("-c", "forced_chatgpt_workspace_id=org-2", "login", "--device-auth")
    assert done.code == 1
    assert "restricted to workspace(s) org-2" in done.err
    assert not (appserver.home / "auth.json").exists()


async def test_a_login_that_would_end_with_the_command_is_refused(appserver: CommandLine) -> None:
    done = await appserver("-c", "cli_auth_credentials_store=ephemeral", "login", "--device-auth")
    assert (done.code, done.out) == (2, "")
    assert "ephemeral" in done.err


async def test_a_personal_access_token_is_read_from_stdin(appserver: CommandLine, backend: FakeBackend) -> None:
    token = backend.personal_access_token(account="org-7")
    done = await appserver("login", "--with-access-token", stdin=f"{token}\n".encode())
    assert done.code == 0
    assert done.lines[0] == "Signed in as user@example.com (plan pro, account org-7)."
    assert appserver.stored["personal_access_token"] == token
    assert await appserver("login", "status") == (0, "", "Logged in using personal access token\n")
    assert (await appserver("status", "--json")).json["mode"] == "personalAccessToken"
    assert (await appserver("logout")).code == 0
    assert not (appserver.home / "auth.json").exists()


@pytest.mark.parametrize(
    ("stdin", "options", "problem"),
    [
        (b"\n", (), "There is no access token on stdin"),
        (b"eyJhbGciOi.x.y", (), "That is no personal access token: they begin with at-"),
        (b"at-of-nobody", (), "The personal access token is not accepted: "),
        (b"at-x y", (), "characters that cannot be sent"),
        (b"at-x", ("-c", "forced_login_method=api"), "Access token login is disabled. Use API key login instead."),
        (b"MINE", ("-c", "forced_chatgpt_workspace_id=org-1"), "Login is restricted to workspace(s) org-1"),
    ],
)
async def test_a_token_that_cannot_be_used_is_refused(
    appserver: CommandLine, backend: FakeBackend, stdin: bytes, options: tuple[str, ...], problem: str
) -> None:
    stdin = stdin.replace(b"MINE", backend.personal_access_token(account="org-7").encode())
    done = await appserver("login", "--with-access-token", *options, stdin=stdin)
    assert done.code == 1
    assert problem in done.err
    assert not (appserver.home / "auth.json").exists()


async def test_a_token_on_the_command_line_is_refused_and_not_repeated(appserver: CommandLine) -> None:
    done = await appserver("login", "--with-access-token=at-secret")
    assert (done.code, "at-secret" in done.err) == (2, False)
