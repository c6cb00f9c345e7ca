from __future__ import annotations

import pytest

from appserver import errors
from appserver.rpc.error_map import wire_error


@pytest.mark.parametrize(
    ("exc", "code", "message"),
    [
        (errors.MethodNotFound("Method not found: m"), -32601, "Method not found: m"),
        (errors.InvalidParams("Invalid params"), -32602, "Invalid params"),
        (errors.RequestError("refused"), -32600, "refused"),
        (errors.Overloaded(1), -32001, "Server overloaded; retry later."),
        (errors.ForwardedError(-32601, "not there"), -32601, "not there"),
        (errors.NotSignedIn("sign in"), -32600, "sign in"),
        (errors.LoginError("no login"), -32600, "no login"),
        (errors.RefreshError("no refresh", permanent=True), -32600, "no refresh"),
        (errors.StoreError("disk full"), -32603, "disk full"),
        (errors.BackendError("backend down"), -32603, "backend down"),
        (errors.ClientTimeout("late"), -32603, "late"),
        (errors.ConfigError("bad file"), -32603, "bad file"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_is_raised_on_purpose_speaks_for_itself(exc: Exception, code: int, message: str) -> None:
    error = wire_error(exc)
    assert (error.code, error.message) == (code, message)


@pytest.mark.parametrize("exc", [ValueError("inner secret"), KeyError("x"), RecursionError(), OSError(5, "EIO")])
def test_anything_else_is_internal_to_the_peer_and_whole_in_the_log(
    exc: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    error = wire_error(exc)
    assert (error.code, error.message, error.data) == (-32603, "Internal error", None)
    assert type(exc).__name__ in caplog.text


def test_of_a_group_the_first_error_of_ours_counts_and_the_others_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    ours = errors.ThreadStoreError("threads.db: locked", "threadStoreBusy")
    inner = ExceptionGroup("inner", [KeyError("insides"), ours])
    error = wire_error(ExceptionGroup("outer", [ValueError("x"), inner, errors.RequestError("second")]))
    assert (error.message, error.data) == ("threads.db: locked", {"kind": "threadStoreBusy"})
    assert "KeyError" in caplog.text
    assert "second" in caplog.text


def all_errors(root: type[errors.AppServerError] = errors.AppServerError) -> list[type[errors.AppServerError]]:
    return [root, *(found for child in root.__subclasses__() for found in all_errors(child))]


def test_no_error_of_ours_counts_as_unexpected(caplog: pytest.LogCaptureFixture) -> None:
    for kind in all_errors():
        exc = kind.__new__(kind)
        errors.AppServerError.__init__(exc, "in its own words")
        exc.__dict__ |= {"code": -32600, "data": None, "retry_after_ms": 1}
        assert wire_error(exc).message == "in its own words", kind
    assert not caplog.records
