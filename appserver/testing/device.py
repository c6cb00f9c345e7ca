"""Device-code sign-in at the fake issuer (after RFC 8628): a code is shown, polled for, approved or denied.

Owns the attempts and what each poll answers. Gets its authorization codes from the issuer, and issues no
tokens.
"""

from __future__ import annotations

import html
import secrets
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from appserver.loopback import Response
from appserver.testing.service import error_body, respond

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.testing.recording import RecordedRequest
    from appserver.testing.service import Routes

USERCODE_PATH = "/api/accounts/deviceauth/usercode"
POLL_PATH = "/api/accounts/deviceauth/token"
PAGE_PATH = "/codex/device"
REDIRECT_PATH = "/deviceauth/callback"  # what the code exchange must name; nothing is served there


class Decision(Enum):
    """What the user has said to an attempt."""

    OPEN = "open"  # nothing yet: polls are pending until the user decides
    APPROVED = "approved"
    DENIED = "denied"


@dataclass
class Attempt:
    """One sign-in by device code. The poll answers "slow down" and "pending" as often as these say, first."""

    user_code: str
    slow_downs: int
    pending: int
    decision: Decision


class DeviceLogin:
    """How the next attempts go; `attempts` holds those so far, by device_auth_id.

    `enabled`: False answers 404, as an issuer does that has no device login. `interval`: seconds between
    polls, as the string that the real issuer sends; None leaves it out. `slow_down_polls`, `pending_polls`:
    so many polls answer that before anything else. `decision`: what the user will have said after them;
    OPEN waits for `approve` or `deny`. `user_code_field`: the name of the code in the answer (the real
    issuer has used two).
    """

    def __init__(self, make_code: Callable[[str], tuple[str, str, str]]) -> None:
        self.enabled = True
        self.interval: str | None = "0"
        self.slow_down_polls = 0
        self.pending_polls = 1
        self.decision = Decision.APPROVED
        self.user_code_field = "user_code"
        self.attempts: dict[str, Attempt] = {}
        self._make_code = make_code  # redirect path -> authorization code, verifier, challenge

    def approve(self) -> None:
        """Approve every attempt that is still open."""
        self._decide(Decision.APPROVED)

    def deny(self) -> None:
        """Deny every attempt that is still open."""
        self._decide(Decision.DENIED)

    def routes(self) -> Routes:
        return {
            ("POST", USERCODE_PATH): self._start,
            ("POST", POLL_PATH): self._poll,
            ("GET", PAGE_PATH): self._show,
        }

    def _decide(self, decision: Decision) -> None:
        for attempt in list(self.attempts.values()):
            if attempt.decision is Decision.OPEN:
                attempt.decision = decision

    async def _start(self, _: RecordedRequest) -> Response:
        if not self.enabled:
            return respond(error_body("not_found", "Device login is not enabled."), 404)
        device_auth_id = f"device-{secrets.token_hex(8)}"
        user_code = f"FAKE-{len(self.attempts) + 1:04}"
        attempt = Attempt(user_code, self.slow_down_polls, self.pending_polls, self.decision)
        self.attempts[device_auth_id] = attempt
        body = {"device_auth_id": device_auth_id, self.user_code_field: user_code}
        return respond(body if self.interval is None else {**body, "interval": self.interval})

    async def _poll(self, request: RecordedRequest) -> Response:
        params = request.params()
        attempt = self.attempts.get(str(params.get("device_auth_id")))
        if attempt is None or attempt.user_code != params.get("user_code"):
            return respond(error_body("not_found", "There is no such attempt."), 404)
        if attempt.slow_downs:
            attempt.slow_downs -= 1
            return _refusal("slow_down")
        if attempt.pending or attempt.decision is Decision.OPEN:
            attempt.pending = max(0, attempt.pending - 1)
            return respond(error_body("deviceauth_authorization_pending", "Not approved yet."), 403)
        if attempt.decision is Decision.DENIED:
            return _refusal("access_denied")
        code, verifier, challenge = self._make_code(REDIRECT_PATH)
        return respond({"authorization_code": code, "code_verifier": verifier, "code_challenge": challenge})

    async def _show(self, _: RecordedRequest) -> Response:
        rows = "".join(
            f"<li><code>{html.escape(it.user_code)}</code>: {it.decision.value}</li>" for it in self.attempts.values()
        )
        page = (
            "<!doctype html><meta charset=utf-8><title>Fake device login</title><h1>Fake device login</h1>"
            "<p>This is the fake backend: nobody types a code here. The attempts so far, and what becomes of "
            f"them:</p><ul>{rows or '<li>none</li>'}</ul>"
        )
        return Response(200, {"content-type": "text/html; charset=utf-8"}, page.encode())


def _refusal(code: str) -> Response:
    """Answer an error as RFC 8628 (section 3.5) spells it."""
    body: dict[str, Any] = {"error": code, "error_description": f"The fake issuer says {code}."}
    return respond(body, 400)
