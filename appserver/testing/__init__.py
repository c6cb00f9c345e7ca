"""A fake backend for integration tests: an OAuth issuer and a Responses API on loopback. Public API.

    async with FakeBackend() as backend:              # or: with running_backend() as backend:
        backend.write_config(home)                    # then start a daemon with backend.environ(home)
        backend.script(text("Hello", " world"), http_error(500), cut("Hel"))
        backend.issuer.fail_next(503)
        ...
        assert len(backend.requests.to("/oauth/token")) == 2

Gates and `wait_for` replace sleeping: `gate = Gate(); backend.script(stalled(gate, "Hel"))`, then
`await gate.reached.wait()`. Nothing here is needed by, or imported into, a daemon that runs for real.
"""

from __future__ import annotations

from appserver.testing.backend import FakeBackend, run_forever, running_backend
from appserver.testing.device import Decision
from appserver.testing.ledger import RefreshState
from appserver.testing.recording import RecordedRequest, RequestLog
from appserver.testing.replies import (
    CustomToolCall,
    FunctionCall,
    HttpError,
    Message,
    RawItem,
    Reasoning,
    Refusal,
    Reply,
    Stream,
    cut,
    error_event,
    failed,
    function_call,
    http_error,
    incomplete,
    message,
    output,
    reasoning,
    stalled,
    text,
    usage_limit,
)
from appserver.testing.signals import Gate, Signal
from appserver.testing.tokens import Grant, Profile, make_grant, make_jwt

__all__ = [
    "CustomToolCall",
    "Decision",
    "FakeBackend",
    "FunctionCall",
    "Gate",
    "Grant",
    "HttpError",
    "Message",
    "Profile",
    "RawItem",
    "Reasoning",
    "RecordedRequest",
    "RefreshState",
    "Refusal",
    "Reply",
    "RequestLog",
    "Signal",
    "Stream",
    "cut",
    "error_event",
    "failed",
    "function_call",
    "http_error",
    "incomplete",
    "make_grant",
    "make_jwt",
    "message",
    "output",
    "reasoning",
    "run_forever",
    "running_backend",
    "stalled",
    "text",
    "usage_limit",
]
