"""What the browser comes back with (RFC 6749, section 4.1.2): a code, or the issuer's refusal.

Pure. Reads it with distrust and wraps what is secret at once; whether it belongs to a login is login_browser's to say.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from appserver.errors import LoginError
from appserver.log import redacted
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DESCRIPTION: Final = 200
"""Characters shown of the issuer's description of an error."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """The state that it was sent with, and the code or the issuer's error. None: there is neither."""

    state: Secret
    result: Secret | LoginError | None


def read_redirect(query_string: str) -> Redirect:
    """Read the query of a redirect. A parameter that stands there twice counts as missing (RFC 6749, section 3.1)."""
    query = _once(parse_qsl(query_string, keep_blank_values=True))
    state, code = query.get("state", ""), query.get("code", "")
    if "error" in query:
        return Redirect(Secret(state), _issuer_error(query))
    usable = code and code.isascii() and code.isprintable()  # RFC 6749, appendix A.11
    return Redirect(Secret(state), Secret(code) if usable else None)


def read_pasted(url: Secret) -> Redirect:
    """Read the whole URL of a redirect. Raises LoginError if it is no URL."""
    try:
        return read_redirect(urlsplit(url.reveal().strip()).query)
    except ValueError:
        raise LoginError("That is not a URL") from None


def _once(parameters: list[tuple[str, str]]) -> dict[str, str]:
    times = Counter(name for name, _ in parameters)
    return {name: value for name, value in parameters if times[name] == 1}


def _issuer_error(query: Mapping[str, str]) -> LoginError:
    """Put the issuer's refusal (RFC 6749, section 4.1.2.1) into words; its own are cut to one short line."""
    said = " ".join((query.get("error_description") or query["error"]).split())
    shown = "".join(char for char in redacted(said) if char.isprintable())
    return LoginError(f"The issuer ended the sign-in: {shown[:MAX_DESCRIPTION] or 'it does not say why'}")
