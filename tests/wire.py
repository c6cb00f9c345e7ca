"""Servers that speak HTTP badly on purpose: they write bytes as a test says, to real sockets on loopback."""

from __future__ import annotations

import datetime
import itertools
import ssl
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from anyio.abc import ByteStream

GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError, OSError)

DRIP_SECONDS = 0.001
"""Between two bytes of a drip: far below any bound that a test sets."""


@asynccontextmanager
async def answering(
    *pieces: bytes, forever: bytes = b"", drip: bytes = b"", tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Answer each request with these pieces; then repeat `forever` without a pause, or `drip` byte by byte.

    Yields the URL. A connection is closed after its answer.
    """

    async def serve(connection: ByteStream) -> None:
        async with connection:
            with suppress(*GONE):
                stream = await _wrapped(connection, tls)
                await stream.receive()
                for piece in filter(None, pieces):
                    await stream.send(piece)
                for piece in itertools.repeat(forever) if forever else ():
                    await stream.send(piece)
                for code in itertools.cycle(drip):
                    await stream.send(bytes([code]))
                    await anyio.sleep(DRIP_SECONDS)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra_attributes[SocketAttribute.local_port]()
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        tasks.cancel_scope.cancel()


async def _wrapped(stream: ByteStream, tls: ssl.SSLContext | None) -> ByteStream:
    return await TLSStream.wrap(stream, ssl_context=tls, standard_compatible=False) if tls else stream


def head(*lines: str, status: int = 200) -> bytes:
    """Return the head of an answer."""
    return "\r\n".join((f"HTTP/1.1 {status} Some Reason", *lines, "", "")).encode()


def chunked(parts: Iterable[bytes]) -> bytes:
    """Return chunks (RFC 9112, section 7.1), without the last one."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def self_signed(directory: Path) -> ssl.SSLContext:
    """Make a certificate for 127.0.0.1 that nobody vouches for; `directory`/cert.pem holds it."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (directory / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return context
