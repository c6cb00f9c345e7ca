"""The image starts the gateway as Dockerfile says: not as root, and with nothing but its home to write to; deploy/."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
import yaml

from appserver.gateway.environment import Environment
from tests.gateway.rig import KEY, START_SECONDS, is_ready
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.testing import FakeBackend

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def instructions(stage: int) -> list[tuple[str, str]]:
    """The instructions of a stage of the Dockerfile, with their arguments."""
    lines = [line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    found = [(name, rest.strip()) for line in joined if line for name, _, rest in [line.partition(" ")]]
    begins = [index for index, (name, _) in enumerate(found) if name == "FROM"]
    return found[begins[stage] : [*begins, len(found)][stage + 1]]


def said(name: str) -> str:
    """The argument of the image's last instruction of this name."""
    return [rest for instruction, rest in instructions(1) if instruction == name][-1]


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    return document


def test_all_that_is_copied_into_the_image_is_there_and_not_ignored() -> None:
    copied = [shlex.split(rest)[:-1] for name, rest in instructions(0) if name == "COPY"]
    kept = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    for source in (one for words in copied for one in words):
        assert (ROOT / source).exists()
        assert f"!{source}" in kept


def test_the_image_holds_what_was_built_and_neither_sources_nor_tools() -> None:
    copied = [rest for name, rest in instructions(1) if name == "COPY"]
    assert copied == ["--from=build /opt/gateway /opt/gateway"]


def test_the_image_runs_as_a_user_without_a_name_in_the_host() -> None:
    user, _, group = said("USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0


def test_the_nodes_may_do_no_more_than_they_need() -> None:
    nodes = [compose()["services"][name] for name in ("node-1", "node-2")]
    for node in nodes:
        assert node["read_only"] is True
        assert node["cap_drop"] == ["ALL"]
        assert "ports" not in node
        assert "volumes" not in node  # what is kept is in the database


def test_a_node_gets_more_time_to_end_than_it_takes() -> None:
    node = compose()["services"]["node-1"]
    given = {name: str(value) for name, value in node["environment"].items()}
    environment = Environment.read({**given, "GATEWAY_PUBLIC_URL": "https://gateway.example"})
    assert environment.shutdown < float(node["stop_grace_period"].removesuffix("s"))
    assert environment.database_url is not None


def test_the_balancer_takes_bodies_as_long_as_a_node_does_and_holds_no_stream_back() -> None:
    text = (DEPLOY / "nginx.conf").read_text("utf-8")
    assert f"client_max_body_size {Environment().max_body_bytes // 1024**2}m;" in text
    for node in ("node-1", "node-2"):
        assert f"server {node}:{dict(_variables())['PORT']}" in text
    for setting in ("proxy_buffering off;", "proxy_request_buffering off;", "proxy_set_header Upgrade $http_upgrade;"):
        assert setting in text


def test_an_address_that_a_client_makes_up_is_not_passed_on() -> None:
    assert compose()["services"]["node-1"]["environment"]["FORWARDED_ALLOW_IPS"] == "*"
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in (DEPLOY / "nginx.conf").read_text("utf-8")


def _variables() -> list[tuple[str, str]]:
    pairs = [word.partition("=") for name, rest in instructions(1) if name == "ENV" for word in shlex.split(rest)]
    return [(name, value) for name, _, value in pairs]


def confined(home: Path) -> list[str]:
    """Words before a command that run it with a file system of which only the home can be written."""
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro / && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, str(home)]


def as_user(home: Path) -> list[str]:
    """Words before a command that run it as the image's user, where that one can read the interpreter."""
    if any(not path.stat().st_mode & 0o005 for path in Path(sys.executable).resolve().parents):
        return []
    if sys.platform != "linux":
        raise NotImplementedError
    user, _, group = said("USER").partition(":")
    for path in (home, *home.rglob("*")):
        os.chown(path, int(user), int(group))
    return ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]


@pytest.fixture
def home_alone(backend: FakeBackend) -> Iterator[Path]:
    """A home that another user can be given: the directories of pytest are closed to others."""
    with tempfile.TemporaryDirectory(prefix="gateway-") as directory:
        backend.write_config(Path(directory))
        yield Path(directory)


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="mounting takes root, and Linux")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="util-linux is not installed")
async def test_the_images_command_serves_with_a_read_only_file_system(backend: FakeBackend, home_alone: Path) -> None:
    port = free_port()
    variables = {**dict(_variables()), **backend.environ(home_alone), "PORT": str(port)}
    variables |= {"PATH": os.environ["PATH"], "GATEWAY_API_KEY": KEY, "OPENAI_API_KEY": "sk-of-the-platform"}
    program, *words = json.loads(said("ENTRYPOINT"))
    command = [sys.executable, "-m", program, *words, *json.loads(said("CMD"))]
    url = f"http://127.0.0.1:{port}"
    async with await anyio.open_process(
        [*confined(home_alone), *as_user(home_alone), *command], env=variables, cwd=ROOT, stdout=None, stderr=None
    ) as process:
        with anyio.fail_after(START_SECONDS):
            while not await is_ready(url):
                assert process.returncode is None
                await anyio.sleep(0.02)  # nothing but the port says when it serves
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {KEY}"}) as client:
            answer = await client.post("/v1/responses", json={"model": "m", "input": "Hi"})
            thread = await client.post("/jsonrpc", json={"jsonrpc": "2.0", "id": 1, "method": "thread/start"})
        process.terminate()
        with anyio.fail_after(START_SECONDS):
            assert await process.wait() == 128 + 15
    assert answer.status_code == 200
    assert "result" in thread.json()
