"""One request to the issuer: sent, bounded in time, and its answer read with distrust.

Knows no endpoint and no grant. It asks once; when to ask again is the caller's to know.
Tokens, codes and verifiers travel in bodies only, never in a URL, an error text or a log record. Brings httpx with
it, so import it late.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from appserver.errors import ConfigError
from appserver.http_failure import HttpFailure
from protocol.base import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from appserver.http import Http
    from appserver.session import Session

    Params: TypeAlias = Mapping[str, str | Secret]

REQUEST_SECONDS: Final = 45.0
"""For one whole request and its answer, however it trickles in."""


class Failure(Exception):
    """There is no usable answer. `status` and `code` are those of a refusal, None where there was none."""

    def __init__(self, text: str, status: int | None = None, code: str | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class Unusable(Failure):
    """The answer is not what was agreed. The text names the field, and never its value."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"the issuer's answer cannot be used: {problem}")


class IssuerResponse:
    """The JSON of a 2xx answer, or None if it was none. Its repr shows none of it."""

    __slots__ = ("_body",)

    def __init__(self, body: object) -> None:
        self._body = body

    def member(self, name: str) -> object:
        """Return a member of any type. Raises Unusable if there are no members."""
        if not isinstance(self._body, dict):
            raise Unusable("it is not a JSON object")
        return self._body.get(name)

    def required(self, *names: str) -> Secret:
        """Return the first of these strings that is there. Raises Unusable."""
        for name in names:
            if value := self.optional(name):
                return value
        raise Unusable(f"{names[0]} is missing")

    def optional(self, name: str) -> Secret | None:
        """Return a string that may be missing (null and "" count as missing), and may be sent in a header.

        Raises Unusable. RFC 6749, appendix A: tokens and codes are visible ASCII.
        """
        value = self.member(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise Unusable(f"{name} is not a string of visible ASCII")
        return Secret(value)


class IssuerHttp:
    """Asks the issuer, once for each call: no method retries.

    Secrets are revealed where the request is built and in no variable of ours: an error may be recorded with those.
    """

    def __init__(self, http: Http, session: Session) -> None:
        self._http = http
        self._session = session

    async def post_form(self, url: str, form: Params, seconds: float = REQUEST_SECONDS) -> IssuerResponse:
        """Post a form. Raises Failure unless the answer is 2xx."""
        return await self._ask(url, seconds, lambda client: client.build_request("POST", url, data=_revealed(form)))

    async def post_json(self, url: str, params: Params, seconds: float = REQUEST_SECONDS) -> IssuerResponse:
        """Post JSON, in the client's name. Raises Failure unless the answer is 2xx."""
        headers = {"originator": self._session.originator, "User-Agent": self._session.user_agent}
        return await self._ask(
            url, seconds, lambda client: client.build_request("POST", url, json=_revealed(params), headers=headers)
        )

    async def get_json(self, url: str, token: Secret, seconds: float = REQUEST_SECONDS) -> IssuerResponse:
        """Get JSON as the owner of a token. Raises Failure unless the answer is 2xx."""
        return await self._ask(
            url,
            seconds,
            lambda client: client.build_request(
                "GET",
                url,
                headers={
                    "Authorization": f"Bearer {token.reveal()}",
                    "originator": self._session.originator,
                    "User-Agent": self._session.user_agent,
                },
            ),
        )

    async def _ask(
        self, url: str, seconds: float, build: Callable[[httpx.AsyncClient], httpx.Request]
    ) -> IssuerResponse:
        try:
            answer = await self._http.ask(url, build, seconds)
        except HttpFailure as exc:
            raise Failure(str(exc)) from None
        except ConfigError as exc:  # of the CA file, or a proxy
            raise Failure(exc.message) from None
        if answer.is_success:
            return IssuerResponse(answer.json())
        code = _code(answer.json())
        raise Failure(f"the issuer answered HTTP {answer.status}{f', {code}' if code else ''}", answer.status, code)


def _revealed(params: Params) -> dict[str, str]:
    return {name: value.reveal() if isinstance(value, Secret) else value for name, value in params.items()}


def _code(body: object) -> str | None:
    """Return the error code of an answer: at error.code, error (RFC 6749, section 5.2), or top-level code.

    Only if it looks like one: anything might stand there, what we sent included.
    """
    if not isinstance(body, dict):
        return None
    error = body.get("error")
    code = error.get("code") if isinstance(error, dict) else (error or body.get("code"))
    return code if isinstance(code, str) and re.fullmatch("[a-z_]{1,64}", code) else None
