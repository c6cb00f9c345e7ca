"""The 401 loop."""

from __future__ import annotations

import pytest

from appserver.errors import BackendError, RefreshError, Unauthorized
from appserver.llm.authorized import Access, authorized
from protocol.base import Secret

pytestmark = pytest.mark.anyio


def access(generation: int) -> Access:
    return Access(Secret(f"token-{generation}"), None, is_chatgpt=True, generation=generation)


class Authority:
    def __init__(self, failure: Exception | None = None) -> None:
        self.refused: list[int] = []
        self._failure = failure

    async def access(self) -> Access:
        return access(1)

    async def refreshed(self, refused: Access) -> Access:
        self.refused.append(refused.generation)
        if self._failure is not None:
            raise self._failure
        return access(refused.generation + 1)


class Attempt:
    """Fails as often, and so, as it is told; then returns the generation it was given."""

    def __init__(self, *failures: Exception) -> None:
        self.given: list[int] = []
        self._failures = list(failures)

    async def __call__(self, given: Access) -> int:
        self.given.append(given.generation)
        if self._failures:
            raise self._failures.pop(0)
        return given.generation


async def test_a_good_credential_is_used_as_it_is() -> None:
    authority = Authority()
    assert await authorized(authority, Attempt()) == 1
    assert not authority.refused


async def test_a_401_is_answered_with_a_new_credential_once() -> None:
    authority = Authority()
    assert await authorized(authority, Attempt(Unauthorized("x"))) == 2
    assert authority.refused == [1]


async def test_a_second_401_is_final() -> None:
    authority, attempt = Authority(), Attempt(Unauthorized("x"), Unauthorized("y"), Unauthorized("z"))
    with pytest.raises(Unauthorized, match="y"):
        await authorized(authority, attempt)
    assert attempt.given == [1, 2]


async def test_other_failures_renew_nothing() -> None:
    authority = Authority()
    with pytest.raises(BackendError, match="busy"):
        await authorized(authority, Attempt(BackendError("busy")))
    assert not authority.refused


async def test_a_credential_that_cannot_be_renewed_is_told() -> None:
    with pytest.raises(RefreshError):
        await authorized(Authority(RefreshError("gone")), Attempt(Unauthorized("x")))
