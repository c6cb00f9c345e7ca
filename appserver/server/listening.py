"""`--listen` with anything but stdio alone: opens what the URLs name, and serves the clients that come.

All sockets are open before the first client is served; one that cannot be opened ends the process before it has begun.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from appserver.arguments import STDIO
from appserver.errors import ConfigError, ListenError
from appserver.log import log_info, warn
from appserver.server.process import Process, Standard
from appserver.server.serve import Server
from appserver.transport.passed_sockets import is_unix, passed_sockets
from appserver.transport.unix_path import Bound, bind, default_path

if TYPE_CHECKING:
    import socket

    from appserver.arguments import Serving
    from appserver.settings import Settings
    from appserver.transport.listener import Listener
    from appserver.transport.stdio import Stdio

UNIX, WS, FD = "unix://", "ws://", "fd://"


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
    stdout = None if stdio else _claim_stdout()
    stderr = claim_stderr(settings.log_level)
    if options.ignored:
        log_info(f"ignored, as they have no meaning here: {', '.join(dict.fromkeys(options.ignored))}")
    with ExitStack() as stack:
        listeners = _open(settings, options, stdout, stack)
        if stdout is not None:
            os.close(stdout)
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
        stderr.close()
        os._exit(code)  # a thread may be blocked in a read that nothing can end
    return code


def _check(urls: list[str]) -> None:
    """See that each URL names a transport, and none comes twice. Raises ConfigError."""
    for url in urls:
        if url not in (STDIO, FD) and not url.startswith((UNIX, WS)):
            raise ConfigError(f"--listen {url}: expected {STDIO}, {UNIX}, {UNIX}PATH, {WS}IP:PORT or {FD}")
        if urls.count(url) > 1:
            raise ConfigError(f"--listen {url}: given more than once")


def _stdio(settings: Settings, urls: list[str]) -> Stdio | None:
    if STDIO not in urls:
        return None
    from appserver.transport.stdio import Stdio

    return Stdio.claim(settings.max_line_bytes)


def _claim_stdout() -> int:
    """Move stdout to a private descriptor, so that only what is meant for it gets there; the rest goes to stderr."""
    stdout = os.dup(1)
    os.dup2(2, 1)
    return stdout


def _open(settings: Settings, options: Serving, stdout: int | None, stack: ExitStack) -> list[Listener]:
    """Open all sockets; `stack` closes them. Raises ListenError, ConfigError.

    `stdout`: a descriptor on which clients are told where to connect; None: it belongs to a client.
    """
    unix: list[Bound] = []
    tcp: list[socket.socket] = []
    for url in options.listen:
        if url == FD:
            for passed in passed_sockets(os.environ):
                if is_unix(passed):
                    unix.append(Bound(passed))
                else:
                    tcp.append(passed)
        elif url.startswith(UNIX):
            unix.append(bind(url.removeprefix(UNIX) or default_path(settings.home)))
            stack.callback(unix[-1].release)
        elif url.startswith(WS):
            tcp.append(_bind_tcp(url))
    listeners = [*_unix_listeners(unix, settings), *_tcp_listeners(tcp, settings, options, stdout)]
    for listener in listeners:
        stack.callback(listener.close)
    return listeners


def _unix_listeners(bound: list[Bound], settings: Settings) -> list[Listener]:
    from appserver.transport.unix import UnixListener

    for one in bound:
        log_info(f"listening at {UNIX}{one.path or one.socket.getsockname()}")
    return [UnixListener(one, settings.max_line_bytes) for one in bound]


def _bind_tcp(url: str) -> socket.socket:
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    from appserver.transport.tcp_port import bind_port

    try:
        parts = urlsplit(url)
        host, port = ip_address(parts.hostname or ""), parts.port
        if port is None or parts.path or parts.query or parts.username is not None:
            raise ValueError
    except ValueError:
        raise ConfigError(f"--listen {url}: expected {WS}IP:PORT") from None
    if not host.is_loopback:
        warn(f"{url}: what is sent is not encrypted; let a proxy with TLS stand between other machines and this one")
    return bind_port(str(host), port)


def _tcp_listeners(
    sockets: list[socket.socket], settings: Settings, options: Serving, stdout: int | None
) -> list[Listener]:
    if not sockets:
        return []
    try:
        from appserver.server.ws_policy import announce, policy
        from appserver.transport.tcp import TcpListener
        from appserver.transport.tcp_port import url_of
    except ModuleNotFoundError as exc:
        raise ListenError(f"{WS} needs the extra: pip install 'appserverd[ws]' ({exc.name} is missing)") from None

    allowed, token = policy(options, has_stdout=stdout is not None)
    urls = [url_of(one) for one in sockets]
    for url in urls:
        log_info(f"listening at {url}")
    if stdout is not None:
        announce(stdout, urls, token)
    return [TcpListener(one, allowed, settings.max_line_bytes) for one in sockets]
