"""The demo as a user runs it, and that it notices when something is wrong."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from appserver.testing import FakeBackend, Grant, text
from demo.scenes import SCENES
from demo.show import run_demo
from demo.stage import Printer

if TYPE_CHECKING:
    from collections.abc import Callable

    from appserver.testing import Profile

pytestmark = pytest.mark.usefixtures("callback_ports")

ROOT = Path(__file__).parent.parent

DEMO_SECONDS = 30.0
"""After which it counts as stuck: many times what it takes on a machine that has nothing else to do."""

CREDENTIALS = ("eyJ", "fake-refresh-", "fake-code-", "sk-fake-", "code=", "code_challenge=")


def demo(**environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environ},
        timeout=DEMO_SECONDS,
        check=False,
    )


def test_it_shows_every_scene_and_no_credential() -> None:
    done = demo()
    assert done.returncode == 0, done.stdout + done.stderr
    for title, _ in SCENES:
        assert title in done.stdout
    assert done.stdout.endswith("Everything was as it must be.\n")
    assert not [one for one in CREDENTIALS if one in done.stdout]
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_what_the_environment_holds_does_not_lead_it_astray() -> None:
    nowhere = "http://127.0.0.1:9"
    done = demo(CODEX_APP_SERVER_LOGIN_ISSUER=nowhere, HTTP_PROXY=nowhere, http_proxy=nowhere, APPSERVER_HOME="/nope")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stdout_without_unicode_gets_plain_marks() -> None:
    done = demo(PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "-> account/read" in done.stdout


def test_no_token_that_the_backend_issued_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    issued: list[str] = []

    def remember(backend: FakeBackend) -> None:
        issue = backend.tokens.issue

        def remembered(profile: Profile, expires_in: float | None = 3600) -> Grant:
            grant = issue(profile, expires_in)
            issued.extend(grant.as_dict().values())
            return grant

        monkeypatch.setattr(backend.tokens, "issue", remembered)

    assert run_demo(remember) == 0
    shown = capsys.readouterr().out
    assert len(issued) >= 12
    assert not [token for token in issued if token in shown or token[-20:] in shown]


def no_device_login(backend: FakeBackend) -> None:
    backend.issuer.device.enabled = False


def a_lost_word(backend: FakeBackend) -> None:
    backend.script(text("Hello", " from", " the", " model."))


def no_rotation(backend: FakeBackend) -> None:
    backend.issuer.omit = frozenset({"refresh_token"})


def a_user_who_says_no(backend: FakeBackend) -> None:
    backend.issuer.deny_next()


def a_revocation_that_fails(backend: FakeBackend) -> None:
    backend.issuer.fail_next(500, path="/oauth/revoke")


def a_slow_user(backend: FakeBackend) -> None:
    backend.issuer.device.pending_polls = 3


@pytest.mark.parametrize(
    ("spoil", "scene", "named"),
    [
        (no_device_login, 3, "device"),
        (a_lost_word, 1, "delta"),
        (no_rotation, 5, "is spent"),
        (a_user_who_says_no, 4, "success"),
        (a_revocation_that_fails, 6, "has revoked"),
        (a_slow_user, 3, "asked"),
    ],
)
def test_it_fails_and_names_what_differs(
    spoil: Callable[[FakeBackend], None], scene: int, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_demo(spoil) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"✗ {SCENES[scene][0]}: ")
    assert named in last


def test_it_explains_that_the_callback_ports_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(socket.socket()) as first, closing(socket.socket()) as second:
        for taken, port in ((first, 1455), (second, 1457)):
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port))
            taken.listen()
        assert run_demo() == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert "1455" in last
    assert "1457" in last


def test_colour_is_for_terminals(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(sys.stdout, colour=True).line("→", "coloured")
    Printer(sys.stdout, colour=False).line("→", "plain")
    coloured, plain = capsys.readouterr().out.splitlines()
    assert coloured.startswith("\x1b[36m")
    assert plain == "   → plain"
