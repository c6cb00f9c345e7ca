"""The scenes of the demo: what is asked of the daemon, and what must be seen then.

Each function is one scene; the order at the end of the file is that of the show, and later scenes build on earlier
ones. How things are shown is stage.py's work.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx

from appserver.client import ServerError
from appserver.testing import Gate, stalled
from appserver.testing.ledger import RefreshState
from demo.stage import WAIT_SECONDS, Difference, Stage, label

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend

REFRESH: Final = "account/chatgptAuthTokens/refresh"
RESPONSES: Final = "/v1/responses"
TOKEN: Final = "/oauth/token"  # noqa: S105 - a path
REVOKE: Final = "/oauth/revoke"
POLL: Final = "/api/accounts/deviceauth/token"
CHUNKS: Final = ("Hello", " from", " the", " fake", " model.")


@dataclass
class Show:
    """What every scene works with."""

    backend: FakeBackend
    stage: Stage
    home: Path
    external_token: str = ""
    thread_id: str = ""

    def bearers(self, since: int = 0) -> list[str | None]:
        """The tokens that model requests carried, from request number `since` on."""
        return [request.bearer for request in self.backend.requests.to(RESPONSES)[since:]]

    def token_requests(self, grant_type: str) -> int:
        """How often the issuer was asked for tokens by this grant."""
        asked = self.backend.requests.to(TOKEN)
        return sum(request.params().get("grant_type") == grant_type for request in asked)

    def stored(self) -> dict[str, Any] | None:
        """What auth.json holds, None without the file."""
        path = self.home / "auth.json"
        if not path.exists():
            return None
        document: dict[str, Any] = json.loads(path.read_bytes())
        return document

    def refresh_token(self) -> str:
        """The refresh token in auth.json, empty without one."""
        tokens = (self.stored() or {}).get("tokens") or {}
        return str(tokens.get("refresh_token") or "")


# The scenes


async def external_tokens(show: Show) -> None:
    """The client signs in with tokens of its own."""
    stage = show.stage
    show.external_token = show.backend.grant().access_token
    await stage.call("account/login/start", {"type": "chatgptAuthTokens", "accessToken": show.external_token})
    await stage.expect("account/login/completed", loginId=None, success=True, error=None)
    await stage.expect("account/updated", authMode="chatgptAuthTokens", planType="pro")
    account = (await stage.call("account/read"))["account"]
    stage.check("The account comes from the token's claims", account["email"], "user@example.com")
    stage.check("The client's tokens are not written to disk", show.stored(), None)


async def streaming_turn(show: Show) -> None:
    """A turn streams: the client has the first words before the model has said the last."""
    stage, gate = show.stage, Gate()
    thread = (await stage.call("thread/start", {"model": "fake-model"}))["thread"]
    show.thread_id = thread["id"]
    await stage.expect("thread/started")
    show.backend.script(stalled(gate, *CHUNKS))
    await _begin_turn(show, "Hello")
    await _read_deltas(show)
    stage.check("All words were here while the model was still holding the end back", gate.reached.is_set)
    gate.release()
    await _end_turn(show)
    stage.check("The backend saw the client's token", show.bearers(), [show.external_token])


async def expired_token(show: Show) -> None:
    """The token expires: the server asks the client for a new one and sends the request again."""
    stage, gate = show.stage, Gate()
    gate.release()
    stage.take_requests(REFRESH)
    show.backend.expire_access_tokens()
    stage.tell(f"The backend no longer accepts {label(show.external_token)}")
    show.backend.script(stalled(gate, *CHUNKS))
    await _begin_turn(show, "And now?")
    asked = await stage.asked(REFRESH)
    stage.compare(REFRESH, asked, {"reason": "unauthorized", "previousAccountId": "org-1"})
    renewed = show.backend.grant().access_token
    await stage.answer({"accessToken": renewed, "chatgptAccountId": "org-1"})
    await _read_deltas(show)
    await _end_turn(show)
    seen = show.bearers(since=1)
    stage.check(
        f"One refresh, one retry: the backend saw {', then '.join(map(label, seen))}",
        seen,
        [show.external_token, renewed],
    )
    await _log_out(show)


async def device_code(show: Show) -> None:
    """The user types a code on another device; the server keeps the login."""
    stage = show.stage
    started = await stage.call("account/login/start", {"type": "chatgptDeviceCode"})
    stage.tell(f"A user would now open {started['verificationUrl']} and type {started['userCode']}")
    await stage.expect("account/login/completed", loginId=started["loginId"], success=True, error=None)
    await stage.expect("account/updated", authMode="chatgpt", planType="pro")
    polls = len(show.backend.requests.to(POLL))
    stage.check(f"The issuer was asked {polls} times until the code was typed", polls, 2)
    _check_stored(show)


async def browser(show: Show) -> None:
    """The user signs in with a browser, which comes back to a port on this machine."""
    stage = show.stage
    try:
        started = await stage.call("account/login/start", {"type": "chatgpt"})
    except ServerError as exc:
        raise Difference(f"The browser login could not be shown: {exc.message}") from None
    async with httpx.AsyncClient(follow_redirects=True, trust_env=False, timeout=WAIT_SECONDS) as visitor:
        page = await visitor.get(started["authUrl"])
    path = [f"{page.url.scheme}://{page.url.netloc.decode()}{page.url.path}", f"{page.status_code}"]
    stage.tell(f"The browser follows authUrl to {' → '.join(path)}")
    stage.check("The browser shows the page of success", page.status_code, 200)
    stage.check("The page is not kept by the browser", page.headers.get("cache-control"), "no-store")
    await stage.expect("account/login/completed", loginId=started["loginId"], success=True, error=None)
    await stage.expect("account/updated", authMode="chatgpt", planType="pro")
    _check_stored(show)


async def managed_refresh(show: Show) -> None:
    """The token expires again: now the server redeems its refresh token, once, and keeps the new one."""
    stage, gate = show.stage, Gate()
    gate.release()
    spent, before = show.refresh_token(), show.token_requests("refresh_token")
    seen_before = len(show.bearers())
    show.backend.expire_access_tokens()
    stage.tell("The backend no longer accepts any access token from before")
    show.backend.script(stalled(gate, *CHUNKS))
    await _begin_turn(show, "Once more?")
    await _read_deltas(show)
    await _end_turn(show)
    kept, ledger = show.refresh_token(), show.backend.tokens
    stage.check("One token request to the issuer", show.token_requests("refresh_token") - before, 1)
    bearers = show.bearers(since=seen_before)
    stage.check(f"One retry: {', then '.join(map(label, bearers))}", len(set(bearers)), 2)
    stage.check(f"The refresh token {label(spent)} is spent", ledger.refresh_state(spent), RefreshState.USED)
    stage.check(f"{label(kept)} is stored in its place", ledger.refresh_state(kept), RefreshState.LIVE)
    _check_stored(show)


async def log_out(show: Show) -> None:
    """The user signs out: the issuer is told, and nothing is left on disk."""
    stage, token = show.stage, show.refresh_token()
    await _log_out(show)
    await show.backend.requests.wait_for(REVOKE, timeout=WAIT_SECONDS)
    state = show.backend.tokens.refresh_state(token)
    stage.check(f"The issuer has revoked {label(token)}", state, RefreshState.INVALIDATED)
    stage.check("auth.json is gone", show.stored(), None)


# What scenes have in common


async def _begin_turn(show: Show, text: str) -> None:
    stage = show.stage
    await stage.call("turn/start", {"threadId": show.thread_id, "input": [{"type": "text", "text": text}]})
    await stage.expect("thread/status/changed", status={"type": "active", "activeFlags": []})
    await stage.expect("turn/started")
    await stage.expect("item/started")
    await stage.expect("item/completed")


async def _read_deltas(show: Show) -> None:
    await show.stage.expect("item/started")
    for chunk in CHUNKS:
        await show.stage.expect("item/agentMessage/delta", delta=chunk)


async def _end_turn(show: Show) -> None:
    stage = show.stage
    item = (await stage.expect("item/completed"))["item"]
    stage.compare("the whole message", item.get("text"), "".join(CHUNKS))
    await stage.expect("thread/tokenUsage/updated")
    await stage.expect("account/rateLimits/updated")
    await stage.expect("thread/status/changed", status={"type": "idle"})
    turn = (await stage.expect("turn/completed"))["turn"]
    stage.compare("the turn's status", turn["status"], "completed")


async def _log_out(show: Show) -> None:
    await show.stage.call("account/logout")
    await show.stage.expect("account/updated", authMode=None, planType=None)
    account = (await show.stage.call("account/read"))["account"]
    show.stage.check("Nobody is signed in", account, None)


def _check_stored(show: Show) -> None:
    mode = (show.stored() or {}).get("auth_mode")
    show.stage.check("The login is stored in auth.json", mode, "chatgpt")
    if os.name == "posix":  # elsewhere, the mode says nothing of who can read a file
        found = stat.S_IMODE((show.home / "auth.json").stat().st_mode)
        show.stage.check("Only its owner can read it (0600)", oct(found), oct(0o600))


SCENES: Final = (
    ("Sign in with the client's own tokens", external_tokens),
    ("A turn, streamed token by token", streaming_turn),
    ("The token expires: refresh and retry", expired_token),
    ("Sign in with a device code", device_code),
    ("Sign in with a browser", browser),
    ("The token expires: the server renews it by itself", managed_refresh),
    ("Sign out", log_out),
)
