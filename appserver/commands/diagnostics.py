"""`appserver diagnostics`: figures about the server that listens in the home, or of a fresh one where none does."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, cast

from appserver import __version__
from appserver.arguments import settings_of
from appserver.commands.output import say, say_json, table
from appserver.errors import AppServerError, ListenError
from appserver.server.diagnostics import diagnostics
from appserver.server.runtime import Runtime
from appserver.server.workspace import Workspace
from appserver.settings.load import home_directory
from appserver.transport.framing import LineSplitter, Oversized
from appserver.transport.unix_path import connect_if_listening, default_path

if TYPE_CHECKING:
    import socket
    from argparse import ArgumentParser, Namespace
    from collections.abc import Mapping

    from protocol.diagnostics import ServerDiagnosticsResult

ANSWER_SECONDS = 10.0
"""What a running server gets to answer: one that takes longer is the fault that was looked for."""

CHUNK_BYTES = 64 * 1024

CLIENT = {"name": "appserver-diagnostics", "version": __version__}
ASKED = (
    {"id": 1, "method": "initialize", "params": {"clientInfo": CLIENT}},
    {"method": "initialized"},
    {"id": 2, "method": "server/diagnostics", "params": {}},
)


def add_options(parser: ArgumentParser) -> None:
    parser.description = "Tell figures about the server that listens in the home, or about a fresh one if none does."
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.add_argument("--sock", metavar="PATH", help="the socket, if it is not the one in the home")


def run(options: Namespace, environ: Mapping[str, str]) -> int:
    """Tell the figures. Raises ConfigError, and ListenError if a server does not answer."""
    path = os.path.abspath(options.sock or default_path(home_directory(environ)))
    told = _of_running(path)
    is_running = told is not None
    if told is None:
        if options.sock:
            raise ListenError(f"{path}: no server is listening there")
        told = diagnostics(Workspace(Runtime(settings_of(options, environ))))
    if options.json:
        say_json({"running": is_running, **told})
    else:
        say(*table(_rows(told, path if is_running else None)))
        say(*_connections(told))
    return 0


def _of_running(path: str) -> ServerDiagnosticsResult | None:
    """Ask the server behind a socket. None: there is none. Raises ListenError."""
    if not os.path.exists(path):
        return None  # also where no socket can be: on Windows, or at the end of a path that is too long for one
    try:
        connected = connect_if_listening(path)
        if connected is None:
            return None
        with connected:
            return _asked(connected)
    except OSError as exc:
        raise ListenError(f"{path}: the server does not answer: {exc.strerror or exc}") from None


def _asked(connected: socket.socket) -> ServerDiagnosticsResult:
    """Raises OSError, AppServerError."""
    connected.settimeout(ANSWER_SECONDS)
    connected.sendall(b"".join(json.dumps(message).encode() + b"\n" for message in ASKED))
    splitter = LineSplitter()
    while chunk := connected.recv(CHUNK_BYTES):
        for line in splitter.feed(chunk):
            answer: dict[str, Any] = {} if isinstance(line, Oversized) else json.loads(line)
            if answer.get("id") == ASKED[-1]["id"]:
                if "result" not in answer:
                    raise AppServerError(f"the server cannot tell: {answer['error']['message']}")
                if "versions" not in answer["result"]:
                    raise AppServerError("what listens there is not this program, and tells less")
                return cast("ServerDiagnosticsResult", answer["result"])
    raise OSError("it has closed the connection")


def _rows(told: ServerDiagnosticsResult, path: str | None) -> list[tuple[str, str]]:
    versions, process, refreshes = told["versions"], told["process"], told["refreshes"]
    gauges = {gauge["name"]: gauge["value"] for gauge in told["gauges"]}
    memory, pause = process["residentMemoryBytes"], told["longestLoopPauseMs"]
    return [
        ("Server", f"process {process['id']}, at {path}" if path else "none is running; this is a fresh one"),
        ("Versions", f"appserver {versions['server']}, protocol {versions['protocol']}, Python {versions['python']}"),
        ("Home", told["home"]),
        ("Uptime", f"{told['uptimeSeconds']:.1f} s"),
        ("Memory", "not known" if memory is None else f"{memory / 2**20:.1f} MiB"),
        ("Turns running", str(gauges["core.turns.active"])),
        ("Threads loaded", str(gauges["core.threads.live"])),
        ("Requests waiting", str(gauges["app.requests.in_flight"])),
        ("Bytes unsent", str(gauges["app.outbox.bytes"])),
        ("Refreshes", f"{refreshes['started']}, of which {refreshes['failed']} failed"),
        ("Longest pause", "not measured" if pause is None else f"{pause:.1f} ms in the last minute"),
    ]


def _connections(told: ServerDiagnosticsResult) -> list[str]:
    """Lay out the clients below a line that is empty, if there are any."""
    rows = [
        (str(one["id"]), one["clientName"], one["clientVersion"], str(one["queuedBytes"]), str(one["requestsInFlight"]))
        for one in told["connections"]
    ]
    heads = ("Connection", "Client", "Version", "Bytes unsent", "Requests waiting")
    return ["", *table([heads, *rows])] if rows else []
