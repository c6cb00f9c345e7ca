"""Requests to the ChatGPT backend about the account: its limits, its credits, and what it has used.

Each raises BackendError, and Unauthorized on 401. limits.py and account_usage.py read the responses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from appserver import json_text
from appserver.errors import BackendError
from appserver.http_failure import HttpFailure
from appserver.llm.events import failure_of_answer, not_connected
from appserver.llm.headers import identity

if TYPE_CHECKING:
    from appserver.http import Http
    from appserver.llm.authorized import Access
    from appserver.session import Session
    from appserver.settings import Settings

ANSWER_SECONDS = 30.0
"""For request and response: clients show limits beside the conversation, and ask again."""


class AccountApi:
    """The endpoints under chatgpt_base_url/wham."""

    def __init__(self, http: Http, settings: Settings, session: Session) -> None:
        self._http = http
        self._settings = settings
        self._session = session

    async def limits(self, access: Access) -> dict[str, Any]:
        """Ask how much of the limits is used."""
        return await self._ask(access, "GET", "usage")

    async def reset_credits(self, access: Access) -> dict[str, Any]:
        """Ask for the credits that reset the limits."""
        return await self._ask(access, "GET", "rate-limit-reset-credits")

    async def profile(self, access: Access) -> dict[str, Any]:
        """Ask for the account's profile: the tokens that it has used."""
        return await self._ask(access, "GET", "profiles/me")

    async def thread_usage(self, access: Access, thread_id: str) -> dict[str, Any]:
        """Ask what one thread has used."""
        return await self._ask(access, "POST", "usage/thread_usage/query", {"thread_ids": [thread_id]})

    async def _ask(self, access: Access, method: str, path: str, body: object = None) -> dict[str, Any]:
        url = f"{self._settings.chatgpt_base_url}/wham/{path}"
        headers = identity(access, self._session)
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json_text.encode(body)  # httpx cannot encode half a surrogate pair, which an id may have
        try:
            answer = await self._http.ask(
                url, lambda client: client.build_request(method, url, headers=headers, content=content), ANSWER_SECONDS
            )
        except HttpFailure as exc:
            raise not_connected(str(exc), retryable=exc.transient) from None
        if answer.status != httpx.codes.OK:
            raise failure_of_answer(answer.status, answer.body)
        found = answer.json()
        if not isinstance(found, dict):
            raise BackendError(f"{path}: the backend answered with something else than a JSON object")
        return found
