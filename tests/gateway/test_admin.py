"""The admin commands as a person calls them, beside a running gateway on either database."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import openai
import pytest
from anyio.streams.text import TextReceiveStream

from appserver.testing.device import Decision
from appserver.testing.signals import WAIT_SECONDS
from protocol.base import Secret
from tests.forked import run_forked
from tests.gateway.rig import KEY, gateway_process, openai_client, running_gateway

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

KEYS = "the-secret-key-of-the-tests"


class Admin:
    """Runs admin commands."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ

    async def __call__(self, *words: str, stdin: str = "", code: int = 0) -> Any:  # noqa: ANN401 - what is printed
        return await anyio.to_thread.run_sync(self._run, words, stdin, code)

    def _run(self, words: tuple[str, ...], stdin: str, code: int) -> Any:  # noqa: ANN401 - what is printed
        ended = run_forked(["gateway", *words], self._environ, stdin, "appserver.gateway.command")
        assert ended.code == code, ended.err
        assert "Traceback" not in ended.err
        return json.loads(ended.out) if code == 0 else ended.err


@pytest.fixture
def environ(backend: FakeBackend, home: Path, database_url: str | None) -> dict[str, str]:
    url = {"GATEWAY_DATABASE_URL": database_url} if database_url else {}
    return {**backend.environ(home), "GATEWAY_SECRET_KEYS": KEYS, **url}


@pytest.fixture
def admin(environ: dict[str, str]) -> Admin:
    return Admin(environ)


def auth_json(backend: FakeBackend) -> str:
    tokens = {**backend.grant().as_dict(), "account_id": "org-1"}
    return json.dumps({"auth_mode": "chatgpt", "tokens": tokens, "last_refresh": "2026-01-01T00:00:00Z"})


async def test_a_user_who_was_added_beside_a_running_gateway_can_use_it(
    backend: FakeBackend, environ: dict[str, str], admin: Admin
) -> None:
    async with gateway_process(environ) as (process, url):
        await admin("user", "add", "ada", stdin="correct horse\n")
        told = await admin("credential", "import", "--user", "ada", stdin=auth_json(backend))
        assert told == {"user": "ada", "kind": "chatgpt", "account_id": "org-1"}
        key = await admin("key", "add", "--user", "ada", "--scopes", "models responses", "--rpm", "100")
        async with openai_client(url, key["key"]) as client:
            question: Any = [{"role": "user", "content": "Hi"}]
            answer = await client.chat.completions.create(model="m", messages=question)
            assert answer.choices[0].message.content == "You said: Hi"
            await admin("key", "revoke", key["id"])
            with pytest.raises(openai.AuthenticationError):
                await client.models.list()
        process.terminate()  # what a key has used is written by the end at the latest
        await process.wait()
    [listed] = (await admin("key", "list"))["keys"]
    assert (listed["user"], listed["requests"], listed["input_tokens"], listed["output_tokens"]) == ("ada", 1, 10, 5)
    assert listed["used_at"] is not None
    assert listed["revoked_at"] is not None
    assert key["key"] not in str(listed)


async def test_a_user_who_signs_in_by_device_code_can_use_a_running_gateway(
    backend: FakeBackend, environ: dict[str, str], admin: Admin
) -> None:
    backend.issuer.device.decision = Decision.OPEN
    await admin("user", "add", "ada")
    key = await admin("key", "add", "--user", "ada")
    words = [sys.executable, "-m", "appserver", "gateway", "credential", "login", "--user", "ada"]
    async with (
        gateway_process(environ) as (_, url),
        openai_client(url, key["key"]) as client,
        await anyio.open_process(words, env=environ) as login,
    ):
        with pytest.raises(openai.AuthenticationError):
            await client.responses.create(model="m", input="Hi")
        assert login.stdout is not None
        assert login.stderr is not None
        shown = ""
        with anyio.fail_after(WAIT_SECONDS):
            async for piece in TextReceiveStream(login.stderr):
                shown += piece
                if any(attempt.user_code in shown for attempt in backend.issuer.device.attempts.values()):
                    backend.issuer.device.approve()
        assert f"{backend.url}/codex/device" in shown
        told = "".join([piece async for piece in TextReceiveStream(login.stdout)])
        assert json.loads(told) == {"user": "ada", "kind": "chatgpt", "account_id": "org-1"}
        assert await login.wait() == 0
        assert (await client.responses.create(model="m", input="Hi")).output_text == "You said: Hi"
    [credential] = (await admin("credential", "list"))["credentials"]
    assert (credential["user"], credential["status"], credential["account_id"]) == ("ada", "active", "org-1")
    assert (await admin("audit", "list"))["entries"][0]["action"] == "credential.login"


@pytest.mark.parametrize(
    ("decision", "enabled", "user", "complaint"),
    [
        (Decision.DENIED, True, "ada", "denied"),
        (Decision.APPROVED, False, "ada", "device"),
        (Decision.APPROVED, True, "nobody", "no such user"),
    ],
)
async def test_a_login_that_fails_leaves_nothing(
    backend: FakeBackend, admin: Admin, decision: Decision, enabled: bool, user: str, complaint: str
) -> None:
    backend.issuer.device.decision, backend.issuer.device.enabled = decision, enabled
    await admin("user", "add", "ada")
    told = await admin("credential", "login", "--user", user, code=1)
    assert complaint in told.splitlines()[-1].lower()
    assert (await admin("credential", "list"))["credentials"] == []
    assert [one["action"] for one in (await admin("audit", "list"))["entries"]] == ["user.add"]


async def test_what_is_there_can_be_listed_and_removed(backend: FakeBackend, admin: Admin) -> None:
    await admin("user", "add", "ada")
    await admin("credential", "import", "--user", "ada", stdin='{"OPENAI_API_KEY": "sk-of-ada"}')
    key = await admin("key", "add", "--user", "ada")
    client = await admin(
        "client", "add", "--id", "gpt", "--redirect-uri", "https://a.example/cb", "https://b.example/cb"
    )
    assert client["client_secret"]
    public = await admin("client", "add", "--id", "app", "--redirect-uri", "http://localhost:1/cb", "--public")
    assert public["client_secret"] is None
    assert [(one["name"], one["status"]) for one in (await admin("user", "list"))["users"]] == [("ada", "active")]
    [credential] = (await admin("credential", "list"))["credentials"]
    assert (credential["kind"], credential["status"]) == ("apikey", "active")
    assert [one["id"] for one in (await admin("client", "list"))["clients"]] == ["app", "gpt"]
    for noun, which in (("client", "gpt"), ("key", key["id"]), ("user", "ada")):
        await admin(noun, "remove", which)
        await admin(noun, "remove", which, code=1)
    assert (await admin("key", "list"))["keys"] == []
    assert (await admin("credential", "list"))["credentials"] == []
    actions = [one["action"] for one in (await admin("audit", "list"))["entries"]]
    assert actions[0] == "user.remove"
    assert {"user.add", "credential.import", "key.add", "client.add", "key.remove", "client.remove"} <= set(actions)


@pytest.mark.parametrize(
    ("words", "stdin", "code", "complaint"),
    [
        (["user", "add", ""], "", 1, "name"),
        (["user", "add", "x"], "short\n", 1, "8 characters"),
        (["key", "add", "--user", "nobody"], "", 1, "no such user"),
        (["credential", "import", "--user", "nobody"], "{}", 1, "no credential"),
        (["credential", "import", "--user", "nobody"], "sk-secret", 1, "auth.json"),
        (["key", "revoke", "nothing"], "", 1, "no such key"),
        (["key", "teach"], "", 2, "expected one of"),
        (["client", "add", "--id", "x", "--redirect-uri", "http://evil.example"], "", 2, "redirect URI"),
        (["client", "add", "--id", "x", "--redirect-uri", "https://a.example/#x"], "", 2, "fragment"),
    ],
)
async def test_what_cannot_be_done_is_told_in_one_line(
    admin: Admin, words: list[str], stdin: str, code: int, complaint: str
) -> None:
    told = await admin(*words, stdin=stdin, code=code)
    assert complaint in told
    assert len(told.strip().splitlines()) == 1
    assert "sk-secret" not in told


async def test_a_name_is_taken_once(admin: Admin) -> None:
    await admin("user", "add", "ada")
    assert "already" in await admin("user", "add", "ada", code=1)


async def test_another_secret_key_is_refused_by_name(
    backend: FakeBackend, environ: dict[str, str], admin: Admin
) -> None:
    await admin("user", "add", "ada")
    await admin("credential", "import", "--user", "ada", stdin=auth_json(backend))
    rotated = Admin({**environ, "GATEWAY_SECRET_KEYS": f"another-secret-key-here,{KEYS}"})
    assert await rotated("credential", "rotate") == {"rotated": 1}
    assert await rotated("credential", "rotate") == {"rotated": 0}


async def test_with_another_secret_key_nothing_is_stored_and_what_cannot_be_read_can_be_removed(
    backend: FakeBackend, environ: dict[str, str], admin: Admin
) -> None:
    for name in ("ada", "ben"):
        await admin("user", "add", name)
    await admin("credential", "import", "--user", "ada", stdin=auth_json(backend))
    other = Admin({**environ, "GATEWAY_SECRET_KEYS": "another-secret-key-here"})
    told = await other("credential", "import", "--user", "ben", stdin=auth_json(backend), code=2)
    assert "GATEWAY_SECRET_KEYS" in told
    assert "(ada)" in told
    assert "GATEWAY_SECRET_KEYS" in await other("credential", "login", "--user", "ben", code=2)
    assert "GATEWAY_SECRET_KEYS" in await other("credential", "rotate", code=1)
    await other("credential", "remove", "--user", "ada")
    assert await other("credential", "rotate") == {"rotated": 0}
    await other("credential", "import", "--user", "ben", stdin=auth_json(backend))


async def test_a_key_has_its_scopes_and_no_other(backend: FakeBackend, home: Path, database_url: str | None) -> None:
    async with running_gateway(
        backend, home, database_url=database_url, openai_api_key=Secret("sk-of-the-platform")
    ) as gateway:
        user_id = await gateway.gateway.user_id("default")
        for scopes, models, responses in ((["models"], 200, 403), (["responses"], 403, 200), (["rpc"], 403, 403)):
            _, key = await gateway.gateway.accounts.add_key(user_id, scopes)
            headers = {"Authorization": f"Bearer {key.reveal()}"}
            listed = await gateway.http.get("/v1/models", headers=headers)
            asked = await gateway.http.post("/v1/responses", json={"model": "m", "input": "Hi"}, headers=headers)
            assert (listed.status_code, asked.status_code) == (models, responses)


async def test_the_key_of_the_environment_makes_its_user(
    backend: FakeBackend, environ: dict[str, str], admin: Admin
) -> None:
    both = {**environ, "GATEWAY_API_KEY": KEY, "OPENAI_API_KEY": "sk-of-the-platform"}
    async with gateway_process(both) as (_, url), openai_client(url) as client:
        assert (await client.responses.create(model="m", input="Hi")).output_text == "You said: Hi"
    assert backend.requests.to("/v1/responses")[-1].bearer == "sk-of-the-platform"
    assert [one["name"] for one in (await admin("user", "list"))["users"]] == ["default"]
