"""A process that tells OpenTelemetry: to a collector on loopback, to none that answers, and to nobody."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from appserver.log_formats import FORMATS
from tests.e2e.run import HELLO, WAIT_SECONDS, end_of_input, exit_code, lines, request, run, started
from tests.e2e.test_output import run_turns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

installed = pytest.mark.skipif(
    find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter.otlp.proto.http") is None,
    reason="the extra otel is not installed",
)

# Runs the program, and tells at its end which modules it has imported.
TELLING = """
import atexit, os, sys
atexit.register(lambda: os.write(2, b"imported" if "opentelemetry" in sys.modules else b"not imported"))
from appserver.cli import main
main()
"""


class Collector(ThreadingHTTPServer):
    """Keeps what is posted to it, by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posted: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.posted[self.path] = self.server.posted.get(self.path, b"") + body
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


@installed
async def test_what_has_happened_is_exported_before_the_process_ends(backend: FakeBackend, home: Path) -> None:
    grant = backend.grant()
    with collecting() as collector:
        environ = {**backend.environ(home), "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        async with started({**environ, "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}) as process:
            await run_turns(process, [grant.access_token])
            await end_of_input(process)
            assert await exit_code(process) == 0
    spans, metrics = collector.posted["/v1/traces"], collector.posted["/v1/metrics"]
    assert all(name in spans for name in (b"appserverd", b"turn/start", b"chat "))
    assert all(name in metrics for name in (b"appserver.turns", b"appserver.tokens", b"appserver.loop.longest_pause"))
    assert grant.access_token.encode() not in spans + metrics


@installed
async def test_a_collector_that_says_nothing_does_not_hold_up_the_end(backend: FakeBackend, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with started({**backend.environ(home), "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}) as process:
            await run_turns(process, [backend.grant().access_token])
            await end_of_input(process)
            assert await exit_code(process) == 0


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_SERVICE_NAME": "editor"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_it_is_not_imported_unless_it_is_asked_for(environ: Mapping[str, str], tmp_path: Path) -> None:
    assert told_imports({"APPSERVER_HOME": str(tmp_path), **environ}) == "not imported"


@installed
def test_it_is_imported_where_it_is_asked_for(tmp_path: Path) -> None:
    told = told_imports({"APPSERVER_HOME": str(tmp_path), "OTEL_TRACES_EXPORTER": "otlp"})
    assert told.endswith("imported")
    assert not told.endswith("not imported")


def test_an_exporter_that_is_not_installed_is_warned_of(tmp_path: Path) -> None:
    done = run(environ={"APPSERVER_HOME": str(tmp_path), "OTEL_TRACES_EXPORTER": "carrier-pigeon"}, stdin=lines(HELLO))
    assert (done.returncode, b'"id":0' in done.stdout) == (0, True)
    assert b"OpenTelemetry" in done.stderr


@installed
@pytest.mark.parametrize(
    "variable", ["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_TRACES_SAMPLER"]
)
def test_a_variable_that_makes_no_sense_keeps_nobody_from_being_served(variable: str, tmp_path: Path) -> None:
    environ = {"APPSERVER_HOME": str(tmp_path), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", variable: "what?"}
    done = run(environ=environ, stdin=lines(HELLO))
    assert (done.returncode, b'"id":0' in done.stdout) == (0, True)
    assert done.stderr


@installed
@pytest.mark.parametrize("form", FORMATS)
def test_the_headers_for_the_collector_are_not_logged(form: str, tmp_path: Path) -> None:
    environ = {
        "APPSERVER_HOME": str(tmp_path),
        "APPSERVER_LOG": "debug",
        "APPSERVER_LOG_FORMAT": form,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=opaque%20value,authorization opaque-key-that-lacks-a-name",
    }
    done = run(environ=environ, stdin=lines(HELLO, request(1, "account/rateLimits/read")))
    assert b"eader" in done.stderr
    assert b"opaque" not in done.stderr


def told_imports(environ: Mapping[str, str]) -> str:
    """Serve a client that shakes hands and goes, and return what is said at the end."""
    done = subprocess.run(
        [sys.executable, "-c", TELLING, "app-server"],
        input=lines(HELLO, request(1, "account/rateLimits/read")),
        capture_output=True,
        env={**os.environ, **environ},
        timeout=WAIT_SECONDS,
        check=False,
    )
    return done.stderr.decode()
