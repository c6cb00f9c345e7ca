"""The fixtures that other projects get, as another project sees them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["pytest11"]["appserver"]

FOUND = PLUGIN in {one.value for one in entry_points(group="pytest11")}

NAMED = () if FOUND else ("-p", PLUGIN)
"""Where the environment is older than the plugin, it has to be named."""

RUN_SECONDS = 120.0
"""A run takes a second or two; this is for a loaded machine."""

THREE_LINES = """
from appserver.testing import text

def test_my_application(appserver, fake_backend):
    fake_backend.script(text("Hel", "lo"))
    assert appserver.threads.start().run("Hi").final_response == "Hello"
"""

OTHERS = """
import os
import subprocess
import sys

import pytest

from appserver.client import tool
from appserver.testing import function_call, output


@tool
def lookup(ticket: str) -> str:
    return f"{ticket} is open"


@pytest.mark.parametrize("in_process", [False, True])
def test_a_client_of_my_own(appserver_factory, fake_backend, in_process):
    first = appserver_factory(tools=[lookup], in_process=in_process)
    fake_backend.script(output(function_call("lookup", {"ticket": "A"})))
    first.threads.start().run("Is A open?")
    assert "A is open" in fake_backend.requests[-1].body.decode()
    assert appserver_factory(token_provider=None, in_process=in_process).account.read().account is None


@pytest.mark.anyio
async def test_in_my_event_loop(appserver_factory):
    async with appserver_factory.asynchronous() as server:
        thread = await server.threads.start()
        assert (await thread.run("Hi")).final_response == "You said: Hi"


@pytest.fixture
def anyio_backend():
    return "asyncio"


def test_an_application_that_starts_the_server(appserver_environ):
    command = [sys.executable, "-m", "appserver", "login", "status"]
    done = subprocess.run(command, env={**os.environ, **appserver_environ}, capture_output=True, text=True)
    assert "Not logged in" in done.stderr
"""


def run(project: Path, test: str) -> subprocess.CompletedProcess[str]:
    """Run a test of another project, which makes errors of warnings."""
    (project / "test_theirs.py").write_text(test, "utf-8")
    (project / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", "utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *NAMED],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


def test_an_integration_test_is_three_lines(tmp_path: Path) -> None:
    done = run(tmp_path, THREE_LINES)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_factory_the_event_loop_and_the_environment(tmp_path: Path) -> None:
    done = run(tmp_path, OTHERS)
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_a_run_that_does_not_use_it_imports_nothing_of_ours_but_the_plugin(tmp_path: Path) -> None:
    loaded = "{name for name in sys.modules if name.partition('.')[0] in ('appserver', 'protocol')}"
    done = run(tmp_path, f"import sys\n\ndef test_nothing():\n    assert {loaded} == {{'appserver', '{PLUGIN}'}}\n")
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_plugin_itself_imports_nothing_that_pytest_has_not() -> None:
    command = [sys.executable, "-X", "importtime", "-c", f"import pytest; import {PLUGIN}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=RUN_SECONDS, check=True)
    names = re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE)
    assert names[names.index("pytest") + 1 :] == ["appserver", PLUGIN]


def test_pytest_finds_it_where_we_are_installed() -> None:
    if not FOUND:
        pytest.skip("this environment was made before the plugin was: .ci/test makes it anew")
    assert FOUND
