"""What the server really sends, in a session that calls every method, fits the reference's own schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft7Validator

from appserver.server import subscriptions
from protocol.methods import CLIENT_REQUESTS, SERVER_NOTIFICATIONS, SERVER_REQUESTS
from tests.protocol.session import whole_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.testing import FakeBackend
    from tests.conftest import ServerFactory
    from tests.peer import Peer
    from tests.protocol.reference_schema import Reference, Schema

ONLY_OURS = {"getAuthStatus", "thread/rollback"}

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def closed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close a thread as soon as nobody listens to it."""
    monkeypatch.setattr(subscriptions, "CLOSE_SECONDS", 0.0)


@pytest.mark.usefixtures("callback_ports")
async def test_every_message_of_a_session_fits_the_references_schema(
    server: ServerFactory, backend: FakeBackend, reference: Reference
) -> None:
    async with server(initialize=False) as peer:
        await whole_session(peer, backend)
    assert list(problems(peer, reference)) == []


@pytest.mark.usefixtures("callback_ports")
async def test_the_session_leaves_no_method_out(server: ServerFactory, backend: FakeBackend) -> None:
    async with server(initialize=False) as peer:
        await whole_session(peer, backend)
    assert {one.method for one in peer.posted} == set(CLIENT_REQUESTS)
    assert {one["method"] for one in peer.requests} == set(SERVER_REQUESTS)
    assert set(peer.methods) == set(SERVER_NOTIFICATIONS)


def problems(peer: Peer, reference: Reference) -> Iterator[str]:
    """Say what in the server's messages does not fit, and where."""
    requests, notifications = (
        reference.params_documents("ServerRequest"),
        reference.params_documents("ServerNotification"),
    )
    for sent in peer.posted:
        if sent.method not in ONLY_OURS:
            assert sent.reply is not None
            yield from _problems(f"{sent.method} result", sent.reply["result"], reference.result_document(sent.method))
    for message in (*peer.requests, *peer.notifications):
        documents = requests if "id" in message else notifications
        yield from _problems(message["method"], message["params"], documents[message["method"]])


def _problems(place: str, value: Any, schema: Schema) -> Iterator[str]:  # noqa: ANN401 - what was sent
    for error in Draft7Validator(schema).iter_errors(value):
        yield f"{place}: {error.json_path}: {error.message}"
