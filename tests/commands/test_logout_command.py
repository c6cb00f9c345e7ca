"""`appserver logout`: gone here, revoked there, and never held up by an issuer that cannot be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from appserver.testing import FakeBackend
    from tests.commands.running import CommandLine

pytestmark = pytest.mark.anyio


async def test_a_logout_removes_the_login_and_revokes_it(signed_in: CommandLine, backend: FakeBackend) -> None:
    token = signed_in.stored["tokens"]["refresh_token"]
    done = await signed_in("logout")
    assert (done.code, done.err) == (0, "")
    assert done.lines == ["Signed out. You were signed in as user@example.com (plan pro, account org-1)."]
    assert not (signed_in.home / "auth.json").exists()
    assert [request.params()["token"] for request in backend.requests.to("/oauth/revoke")] == [token]


async def test_a_local_logout_revokes_nothing(signed_in: CommandLine, backend: FakeBackend) -> None:
    assert (await signed_in("logout", "--local")).code == 0
    assert not (signed_in.home / "auth.json").exists()
    assert not backend.requests.to("/oauth/revoke")


async def test_a_logout_without_a_login_is_no_failure(appserver: CommandLine) -> None:
    done = await appserver("logout")
    assert (done.code, done.out, done.err) == (0, "Nobody was signed in.\n", "")


async def test_a_logout_removes_what_could_not_be_used(appserver: CommandLine) -> None:
    (appserver.home / "auth.json").write_text("{", encoding="utf-8")
    done = await appserver("logout")
    assert done.code == 0
    assert done.out.startswith("Nobody was signed in. What could not be used has been removed")
    assert not (appserver.home / "auth.json").exists()


async def test_a_logout_needs_no_issuer(signed_in: CommandLine, backend: FakeBackend) -> None:
    backend.issuer.fail_next(503)
    done = await signed_in("logout")
    assert done.code == 0
    assert "a token was not revoked" in done.err
    assert not (signed_in.home / "auth.json").exists()
