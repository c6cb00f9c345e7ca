"""`--listen` with anything but stdio alone: opens what the URLs name, and serves the clients that come.

All sockets are open before the first client is served; one that cannot be opened ends the process before it has begun.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from appserver.arguments import STDIO
from appserver.errors import ConfigError
from appserver.log import log_info
from appserver.server.process import Process, Standard
from appserver.server.serve import Server

if TYPE_CHECKING:
    from appserver.arguments import Serving
    from appserver.settings import Settings
    from appserver.transport.base import Listener
    from appserver.transport.stdio import Stdio

UNIX = "unix://"


def serve_listeners(settings: Settings, options: Serving, *, lenient: bool) -> int:
    """Serve the clients of all transports and return the exit code. Raises ConfigError, ListenError."""
    import anyio

    from appserver.log import set_up_logging
    from appserver.memory import collect_rarely, return_large_blocks
    from appserver.signals import end_at_once
    from appserver.stderr import claim_stderr

    _check(options.listen)
    collect_rarely()
    end_at_once()
    stdio = _stdio(settings, options.listen)
    stderr = claim_stderr(settings.log_level)
    with ExitStack() as opened:
        listeners = [_open(url, settings) for url in options.listen if url != STDIO]
        for listener in listeners:
            opened.callback(listener.close)
        server = Server(settings)
        process = Process(server)
        server.check_configuration(lenient=lenient)
        set_up_logging()
        return_large_blocks()
        standard = None
        if stdio is not None:
            # An application that starts us as its own names stdio first; elsewhere it is one client of several.
            standard = Standard(server.connection(), stdio, ends_process=options.listen[0] == STDIO)
        loop = {"loop_factory": server.runtime.loop_pauses.new_event_loop}
        code = anyio.run(process.listen, listeners, standard, options.idle_exit, backend_options=loop)
    if stdio is not None and stdio.uses_threads:
        import os

        stderr.close()
        os._exit(code)  # a thread may be blocked in a read that nothing can end
    return code


def _check(urls: list[str]) -> None:
    """See that each URL names a transport, and none comes twice. Raises ConfigError."""
    for url in urls:
        if url != STDIO and not url.startswith(UNIX):
            raise ConfigError(f"--listen {url}: expected {STDIO}, {UNIX} or {UNIX}PATH")
        if urls.count(url) > 1:
            raise ConfigError(f"--listen {url}: given more than once")


def _stdio(settings: Settings, urls: list[str]) -> Stdio | None:
    if STDIO not in urls:
        return None
    from appserver.transport.stdio import Stdio

    return Stdio.claim(settings.max_line_bytes)


def _open(url: str, settings: Settings) -> Listener:
    from appserver.transport.unix import UnixListener
    from appserver.transport.unix_path import bind, default_path

    path = url.removeprefix(UNIX) or default_path(settings.home)
    listener = UnixListener(bind(path), settings.max_line_bytes)
    log_info(f"listening at {UNIX}{path}")
    return listener
