"""Credentials of a provider's own: a token in the configuration, and a command that prints one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import pytest

from appserver.settings import load_settings
from tests.peer import in_memory

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.peer import Peer

pytestmark = pytest.mark.anyio

USER_KEY = "sk-the-users-own-key"
OWN = {"requires_openai_auth": False}


class Serve(Protocol):
    """Serves with these settings of the provider, and these variables."""

    def __call__(self, provider: dict[str, object], **environ: str) -> AbstractAsyncContextManager[Peer]: ...


@pytest.fixture
def serve(home: Path, backend: FakeBackend) -> Serve:
    def serve(provider: dict[str, object], **environ: str) -> AbstractAsyncContextManager[Peer]:
        backend.write_config(home, provider=provider)
        return in_memory(load_settings({**backend.environ(home), **environ}))

    return serve


@pytest.mark.parametrize(
    ("provider", "bearer"),
    [
        ({**OWN, "experimental_bearer_token": "token-in-config"}, "token-in-config"),
        ({"experimental_bearer_token": "token-in-config", "requires_openai_auth": True}, "token-in-config"),
        ({**OWN, "experimental_bearer_token": "token-in-config", "env_key": "MY_KEY"}, "key-in-variable"),
        ({"env_key": "MY_KEY", "requires_openai_auth": True}, "key-in-variable"),
        ({"requires_openai_auth": True}, USER_KEY),
        (OWN, None),
    ],
)
async def test_the_providers_own_credential_goes_before_the_users(
    serve: Serve,
    backend: FakeBackend,
    provider: dict[str, object],
    bearer: str | None,
) -> None:
    async with serve(provider, MY_KEY="key-in-variable") as peer:
        await peer.result("account/login/start", {"type": "apiKey", "apiKey": USER_KEY})
        await peer.turn(await peer.start_thread())
        assert backend.requests.to("/v1/responses")[-1].bearer == bearer


@pytest.mark.parametrize(("needed", "account", "method"), [(True, {"type": "apiKey"}, "apikey"), (False, None, None)])
async def test_a_login_that_the_provider_does_not_need_is_not_told(
    serve: Serve,
    needed: bool,
    account: object,
    method: str | None,
) -> None:
    async with serve({"requires_openai_auth": needed}) as peer:
        await peer.result("account/login/start", {"type": "apiKey", "apiKey": USER_KEY})
        told = await peer.result("account/read", {})
        assert (told["account"], told["requiresOpenaiAuth"]) == (account, needed)
        status = await peer.result("getAuthStatus", {"includeToken": True})
        assert (status["authMethod"], status["authToken"]) == (method, USER_KEY if needed else None)


async def test_a_missing_variable_is_told_with_the_hint_of_the_configuration(
    serve: Serve,
) -> None:
    async with serve({**OWN, "env_key": "NO_SUCH_KEY", "env_key_instructions": "Ask Ada for one."}) as peer:
        turn = await peer.turn(await peer.start_thread())
        assert turn["error"]["message"] == "Missing environment variable: `NO_SUCH_KEY`. Ask Ada for one."


async def test_turns_that_meet_one_refused_token_run_the_command_once_more(
    serve: Serve,
    backend: FakeBackend,
    tmp_path: Path,
) -> None:
    tokens = [backend.grant().access_token for _ in range(2)]
    (tmp_path / "tokens").write_text("\n".join(tokens), encoding="utf-8")
    code = """
import pathlib, sys
ran = pathlib.Path(sys.argv[1], "ran")
with ran.open("a") as file: file.write("x")
print(pathlib.Path(sys.argv[1], "tokens").read_text().splitlines()[len(ran.read_text()) - 1])
"""
    auth = {"command": sys.executable, "args": ["-c", code, str(tmp_path)], "timeout_ms": 20_000}
    async with serve({**OWN, "auth": auth}) as peer:
        threads = [await peer.start_thread() for _ in range(6)]
        assert (await peer.turn(threads[0]))["status"] == "completed"
        backend.tokens.reject(tokens[0])
        turns: list[Any] = []

        async def turn(thread_id: str) -> None:
            turns.append(await peer.turn(thread_id))

        async with anyio.create_task_group() as group:
            for thread_id in threads:
                group.start_soon(turn, thread_id)
        assert [one["status"] for one in turns] == ["completed"] * 6
        assert (tmp_path / "ran").read_text() == "xx"
        assert {one.bearer for one in backend.requests.to("/v1/responses")} == set(tokens)


async def test_a_command_that_fails_ends_the_turn_and_sends_nothing(
    serve: Serve,
    backend: FakeBackend,
) -> None:
    auth = {"command": sys.executable, "args": ["-c", "import sys; sys.exit('key: secret-value')"]}
    async with serve({**OWN, "auth": auth}) as peer:
        turn = await peer.turn(await peer.start_thread())
        assert turn["status"] == "failed"
        assert turn["error"]["message"] == f"{sys.executable} failed with exit code 1"
        assert "secret-value" not in str(peer.messages)
        assert not backend.requests.to("/v1/responses")
