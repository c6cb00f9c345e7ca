"""Failures of HTTP requests, with messages of our own: those of an HTTP library may quote headers and URLs.

Pure, except that it inspects the causes of an error. `HttpFailure.transient` says whether a retry can help; the caller
decides whether there is one.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING

import h11
import httpx

from appserver.log import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator


class HttpFailure(Exception):
    """There is no response, or only a part of it.

    `transient`: the same request may succeed later. `tls`: TLS failed, or the certificate is not trusted.
    """

    def __init__(self, text: str, *, transient: bool = True, tls: bool = False) -> None:
        super().__init__(text)
        self.transient = transient
        self.tls = tls


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn what the HTTP library raises into HttpFailure."""
    try:
        yield
    except (httpx.InvalidURL, UnicodeError):  # the latter of a host that cannot be
        raise _invalid_url() from None
    except ExceptionGroup as group:
        if group.split(OverflowError)[1] is not None:
            raise
        raise _invalid_url() from None  # anyio's, of a port that cannot be
    except (httpx.HTTPError, OSError, h11.LocalProtocolError) as exc:
        # The latter two come through the library: a TLS alert while it reads, a body that its headers contradict.
        raise _failure(exc, url) from None


def place(url: str) -> str:
    """Return a URL without user, password, query (which may hold a key) and fragment, so that it can be shown."""
    try:
        where = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        return "the configured URL"
    return redacted(f"{where.scheme}://{where.netloc.decode('ascii')}{where.path}")


def _invalid_url() -> HttpFailure:
    return HttpFailure("the configured URL is not valid", transient=False)


def _failure(exc: Exception, url: str) -> HttpFailure:
    tls = next((cause for cause in _causes(exc) if isinstance(cause, ssl.SSLError)), None)
    permanent = isinstance(exc, httpx.LocalProtocolError | h11.LocalProtocolError | httpx.UnsupportedProtocol)
    untrusted = isinstance(tls, ssl.SSLCertVerificationError)
    words = _words(exc) if tls is None else _tls_words(tls)
    return HttpFailure(f"{words} ({place(url)})", transient=not (permanent or untrusted), tls=tls is not None)


def _words(exc: Exception) -> str:
    match exc:
        case httpx.ConnectTimeout():
            return "could not connect in time"
        case httpx.WriteTimeout():
            return "the request was not taken in time"
        case httpx.TimeoutException():
            return "no answer in time"
        case httpx.ConnectError():
            return f"could not connect: {_connect_words(exc)}"
        case httpx.ProxyError():
            return f"the proxy refused the connection{_status_in(str(exc))}"
        case httpx.UnsupportedProtocol():
            return "its URL begins with neither http:// nor https://"
        case httpx.LocalProtocolError() | h11.LocalProtocolError():
            return "the request is not valid HTTP"
        case httpx.RemoteProtocolError():
            closed = any(sign in str(exc) for sign in ("disconnected", "closed connection"))
            return "the connection was closed too early" if closed else "the answer is not valid HTTP"
        case _:
            return "the connection broke"


def _tls_words(exc: ssl.SSLError) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"could not connect: its certificate is not trusted ({exc.verify_message})"
    return f"could not connect: TLS failed ({exc.reason or 'no reason given'})"


def _connect_words(exc: BaseException) -> str:
    for cause in _causes(exc):
        if isinstance(cause, socket.gaierror):
            return "the host name was not found"
        if isinstance(cause, OSError) and (number := _error_number(cause)) is not None:
            return os.strerror(number)
    return "no address answered"


def _error_number(exc: OSError) -> int | None:
    """Return the text of errno; if several addresses failed, of the first: asyncio joins their errors in one text."""
    if exc.errno is not None:
        return exc.errno
    found = re.search(r"\[Errno (\d+)\]", str(exc))
    return int(found[1]) if found else None


def _status_in(text: str) -> str:
    """Return the status that a proxy answered, which the library's text begins with."""
    status = text[:3]
    return f" with HTTP {status}" if status.isascii() and status.isdecimal() else ""


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes: the HTTP library wraps errors, and anyio groups them by address."""
    while exc is not None:
        yield exc
        grouped = exc.exceptions[0] if isinstance(exc, BaseExceptionGroup) else None
        exc = grouped or exc.__cause__ or exc.__context__
