"""`appserver doctor`: what each thing that can be wrong looks like, and which of them fail."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from appserver.auth.login.browser import PORTS
from appserver.auth.stores.file_lock import FileLock
from appserver.loopback import Request, Response, bind, serve
from appserver.testing import make_jwt
from tests.auth.disks import occupy

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend
    from tests.commands.running import CommandLine, Done

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("callback_ports")]

NOWHERE = "http://127.0.0.1:9"  # the discard service, which nobody runs


def checks(done: Done) -> dict[str, Any]:
    return {check["name"]: check for check in done.json["checks"]}


def states(done: Done) -> dict[str, str]:
    """The checks that are not ok."""
    return {name: check["state"] for name, check in checks(done).items() if check["state"] != "ok"}


async def test_a_healthy_installation_passes(signed_in: CommandLine, backend: FakeBackend) -> None:
    done = await signed_in("doctor", "--json")
    assert (done.code, done.err, states(done)) == (0, "", {})
    found = checks(done)
    assert {"config", "home", "store", "auth.json", "storing", "login", "token", "certificates"} <= found.keys()
    assert {"login ports", "issuer", "backend", "proxies", "packages", "python", "platform"} <= found.keys()
    asked = [request for request in backend.requests if request.method == "HEAD"]
    assert sorted(request.path for request in asked) == ["/", "/v1"]
    assert not any("authorization" in request.headers for request in asked)


async def test_the_table_has_a_line_for_each_check_and_says_what_to_do(appserver: CommandLine) -> None:
    done = await appserver("doctor", "--offline")
    assert (done.code, done.err) == (0, "")
    at = done.lines.index("warn  login         nobody is signed in")
    assert done.lines[at + 1] == "      -> appserver login"
    assert done.lines[-1].endswith(" checks, 0 failed, 1 with a warning")


async def test_offline_asks_nobody(signed_in: CommandLine, backend: FakeBackend) -> None:
    done = await signed_in("doctor", "--offline", "--json")
    assert done.code == 0
    assert not checks(done).keys() & {"issuer", "backend"}
    assert not [request for request in backend.requests if request.method == "HEAD"]


async def test_a_broken_configuration_fails_and_the_rest_is_told(appserver: CommandLine) -> None:
    (appserver.home / "config.toml").write_text("model = ", encoding="utf-8")
    done = await appserver("doctor", "--json")
    assert (done.code, states(done)) == (1, {"config": "fail"})
    assert "config.toml" in checks(done)["config"]["detail"]
    assert "python" in checks(done)


async def test_a_refresher_that_is_not_installed_fails(appserver: CommandLine) -> None:
    done = await appserver("doctor", "--offline", "--json", "-c", "refresher.name=nobodys")
    assert (done.code, states(done)) == (1, {"config": "fail"})


async def test_a_home_that_does_not_exist_is_a_warning_and_is_not_made(appserver: CommandLine, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    done = await appserver("doctor", "--offline", "--json", APPSERVER_HOME=str(missing))
    assert (done.code, states(done)) == (0, {"home": "warn", "login": "warn"})
    assert not missing.exists()


async def test_a_home_that_is_no_directory_fails(appserver: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = await appserver("doctor", "--offline", "--json", APPSERVER_HOME=str(tmp_path / "file"))
    assert done.code == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there, modes say nothing about other users")
async def test_what_other_users_can_read_or_change_is_a_warning(signed_in: CommandLine) -> None:
    (signed_in.home / "auth.json").chmod(0o644)
    signed_in.home.chmod(0o777)
    done = await signed_in("doctor", "--offline", "--json")
    assert (done.code, states(done)) == (0, {"auth.json": "warn", "home": "warn"})
    assert checks(done)["auth.json"]["remedy"] == f"chmod 600 {signed_in.home / 'auth.json'}"


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="this user may write anywhere")
async def test_a_home_that_cannot_be_written_fails(signed_in: CommandLine) -> None:
    signed_in.home.chmod(0o500)
    (signed_in.home / "auth.json").chmod(0o400)
    done = await signed_in("doctor", "--offline", "--json")
    assert (done.code, states(done)) == (1, {"home": "warn", "storing": "fail"})


async def test_a_file_that_makes_no_sense_fails(appserver: CommandLine) -> None:
    (appserver.home / "auth.json").write_text("{", encoding="utf-8")
    done = await appserver("doctor", "--offline", "--json")
    assert (done.code, done.err) == (1, "")
    assert states(done).items() >= {"auth.json": "fail", "login": "fail"}.items()


@pytest.mark.parametrize("kind", ["directory", "loop"])
async def test_what_is_no_file_fails_and_a_login_is_not_the_remedy(appserver: CommandLine, kind: str) -> None:
    occupy(appserver.home / "auth.json", kind)
    done = await appserver("doctor", "--offline", "--json")
    assert (done.code, done.err) == (1, "")
    assert checks(done)["auth.json"]["remedy"] == f"move it away: {appserver.home / 'auth.json'}"


@pytest.mark.parametrize(("purpose", "state", "code"), [("change", "fail", 1), ("refresh", "warn", 0)])
async def test_a_lock_that_is_held_is_told_with_its_holder(
    signed_in: CommandLine, purpose: str, state: str, code: int
) -> None:
    with FileLock(signed_in.home / "auth.json", purpose, 0).held():
        done = await signed_in("doctor", "--offline", "--json")
    assert (done.code, states(done)) == (code, {f"lock: {purpose}": state})
    assert str(os.getpid()) in checks(done)[f"lock: {purpose}"]["detail"]


@pytest.mark.parametrize(
    ("expires_in", "refresh_token", "state"),
    [(3600, "kept", "ok"), (-60, "kept", "ok"), (3600, "", "warn"), (-60, "", "fail"), (None, "", "ok")],
)
async def test_an_expiry_matters_where_the_token_cannot_be_renewed(
    signed_in: CommandLine, expires_in: float | None, refresh_token: str, state: str
) -> None:
    document = signed_in.stored
    document["tokens"] |= {"access_token": make_jwt(expires_in=expires_in), "refresh_token": refresh_token}
    (signed_in.home / "auth.json").write_text(json.dumps(document), encoding="utf-8")
    done = await signed_in("doctor", "--offline", "--json")
    assert checks(done)["token"]["state"] == state
    assert done.code == (1 if state == "fail" else 0)


async def test_ports_that_are_taken_are_told(appserver: CommandLine) -> None:
    first = bind(PORTS[0])
    try:
        some = await appserver("doctor", "--offline", "--json")
        second = bind(PORTS[1])
        try:
            none = await appserver("doctor", "--offline", "--json")
        finally:
            second.close()
    finally:
        first.close()
    assert (some.code, states(some)["login ports"]) == (0, "warn")
    assert (none.code, states(none)["login ports"]) == (1, "fail")


async def test_an_issuer_that_cannot_be_reached_fails(appserver: CommandLine) -> None:
    done = await appserver("doctor", "--json", CODEX_APP_SERVER_LOGIN_ISSUER=NOWHERE)
    assert (done.code, states(done)["issuer"]) == (1, "fail")
    assert NOWHERE in checks(done)["issuer"]["detail"]
    assert "HTTPS_PROXY" in checks(done)["issuer"]["remedy"]


async def test_a_backend_that_is_not_well_is_a_warning(appserver: CommandLine, backend: FakeBackend) -> None:
    async def unwell(_: Request) -> Response:
        return Response(503)

    listener = bind(0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    backend.write_config(appserver.home, provider={"base_url": url})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, listener, unwell)
        done = await appserver("doctor", "--json")
        tasks.cancel_scope.cancel()
    assert (done.code, states(done)) == (0, {"backend": "warn", "login": "warn"})


async def test_what_stands_in_a_url_beside_the_place_is_neither_sent_nor_shown(
    appserver: CommandLine, backend: FakeBackend
) -> None:
    secret = backend.url.replace("http://", "http://user:hidden-word@") + "/v1?key=hidden-word"
    backend.write_config(appserver.home, provider={"base_url": secret})
    done = await appserver("doctor", "--json", HTTPS_PROXY="http://user:hidden-word@127.0.0.1:9", NO_PROXY="127.0.0.1")
    assert "hidden-word" not in done.out
    assert checks(done)["proxies"]["detail"] == "HTTPS_PROXY=http://***@127.0.0.1:9, NO_PROXY=127.0.0.1"
    assert not any("authorization" in request.headers or request.query for request in backend.requests)


async def test_a_tls_problem_names_the_variable_that_may_solve_it(appserver: CommandLine, backend: FakeBackend) -> None:
    issuer = backend.url.replace("http:", "https:")  # where no TLS is spoken
    done = await appserver("doctor", "--json", CODEX_APP_SERVER_LOGIN_ISSUER=issuer)
    assert done.code == 1
    assert "CODEX_CA_CERTIFICATE" in checks(done)["issuer"]["remedy"]


async def test_a_certificate_file_that_cannot_be_read_fails(appserver: CommandLine, tmp_path: Path) -> None:
    missing = str(tmp_path / "none.pem")
    done = await appserver("doctor", "--offline", "--json", SSL_CERT_FILE=missing)
    assert (done.code, states(done)["certificates"]) == (1, "fail")
    assert f"SSL_CERT_FILE={missing}" in checks(done)["certificates"]["detail"]
