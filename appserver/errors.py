"""The one tree of errors. Each carries data for programs (code, whether a retry can help) and a message for people.

`rpc/error_map.py` turns them into JSON-RPC errors; `turns/runner.py` into the error of a turn.
Nothing here, and no message passed in here, may contain a credential.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class AppServerError(Exception):
    """Root of everything that this project raises on purpose."""

    retryable = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConfigError(AppServerError):
    """The configuration cannot be used. The message says where; so do `path` and `position` if that is in a file.

    position: line and column, from 1.
    """

    def __init__(self, message: str, *, path: str | None = None, position: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.position = position


class ListenError(AppServerError):
    """There is nowhere to listen for clients, or nobody to connect to. The message names the place."""


class RequestError(AppServerError):
    """A request is well-formed but refused (JSON-RPC -32600, with the words that clients match on)."""

    def __init__(self, message: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.data = data


class ThreadNotFound(RequestError):
    """There is no such thread, or it is not loaded where it must be."""

    def __init__(self, thread_id: str) -> None:
        super().__init__(f"thread not found: {thread_id}", {"kind": "threadNotFound"})
        self.thread_id = thread_id


class InvalidParams(AppServerError):
    """The params of a request do not fit its method (JSON-RPC -32602)."""


class ForwardedError(AppServerError):
    """A request was forwarded to where it can be answered, and refused there, with this error of JSON-RPC."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class MethodNotFound(AppServerError):
    """There is no such method (JSON-RPC -32601)."""


class Overloaded(AppServerError):
    """More requests are in flight than the server takes (JSON-RPC -32001)."""

    retryable = True

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__("Server overloaded; retry later.")
        self.retry_after_ms = retry_after_ms


class Busy(AppServerError):
    """Another process holds what is needed, so nothing was done: trying again can help."""

    retryable = True


class ClientError(AppServerError):
    """The client answered a request of ours with an error, or not in time."""


class ClientTimeout(ClientError):
    """The client did not answer in time."""

    retryable = True


class ClientGone(ClientError):
    """The connection has ended, so the client will not answer."""


class AuthError(AppServerError):
    """Signing in, or using what it gave, did not work."""


class NotSignedIn(AuthError):
    """The operation needs a credential and there is none."""


class LoginError(AuthError):
    """A login attempt ended without a credential."""


class RefreshError(AuthError):
    """New credentials could not be had. `permanent`: asking again with the same credential is pointless."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retryable = not permanent


class ThreadStoreError(AppServerError):
    """The database of threads could not be used. `kind` tells a program why."""

    kind = "threadStoreUnavailable"

    def __init__(self, message: str, kind: str = kind, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.retryable = retryable


class ThreadStoreBusy(ThreadStoreError, Busy):
    """Another process has the database of threads locked, or others wait for it already; nothing was changed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "threadStoreBusy", retryable=True)


class StoreError(AuthError):
    """The credential store could not be read or written."""


class StoreBusy(AuthError, Busy):
    """Another process is changing the stored credential, or the keyring has not answered yet; nothing was changed.

    No StoreError: those are final.
    """


class StoreChangedError(StoreError):
    """Another process has stored something else meanwhile; nothing was written."""


class BackendError(AppServerError):
    """The model backend failed.

    `info` is the protocol's codexErrorInfo; `status` the HTTP status and `headers` those of the answer, if there was
    one; `retry_after` (seconds) and `resets_at` (Unix seconds) what the backend told of when to come back; `type`,
    `code` and `param` what its error object says.
    """

    def __init__(
        self,
        message: str,
        info: str | dict[str, Any] = "other",
        *,
        status: int | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.info = info
        self.status = status
        self.retryable = retryable
        self.headers: Mapping[str, str] = {}
        self.retry_after: float | None = None
        self.resets_at: int | None = None
        self.type: str | None = None
        self.code: str | None = None
        self.param: str | None = None


class Unauthorized(BackendError):
    """The backend answered 401: the credential that was sent is no longer accepted."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "unauthorized", status=401)


def causes_of(exc: Exception) -> list[Exception]:
    """Return the errors in a group, such as a task group raises, however nested: those of this tree first.

    An error that is no group is its own only cause.
    """
    if not isinstance(exc, ExceptionGroup):
        return [exc]
    causes = [cause for member in exc.exceptions for cause in causes_of(member)]
    return sorted(causes, key=lambda cause: not isinstance(cause, AppServerError))
