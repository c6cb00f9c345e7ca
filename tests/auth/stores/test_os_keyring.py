"""Which keyring is used, and what happens when it does not answer."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from appserver.auth.stores.os_keyring import KNOWN, SECRET_SERVICE, HomeKey, usable_backend
from appserver.errors import StoreBusy, StoreError

pytest.importorskip("keyring", reason='needs the packages of the extra: pip install "appserverd[keyring]"')

from tests.auth.fake_keyring import FakeKeyring

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_SECONDS = 10.0


@pytest.fixture
def ring() -> FakeKeyring:
    return FakeKeyring()


@pytest.fixture
def silence(ring: FakeKeyring) -> Iterator[Event]:
    """A keyring that does not answer until this is set."""
    ring.silent = Event()
    yield ring.silent
    ring.silent.set()


def test_a_keyring_that_does_not_answer_is_not_waited_for_twice(
    tmp_path: Path, ring: FakeKeyring, silence: Event
) -> None:
    key = HomeKey(str(tmp_path), lambda: ring, patience=0)
    with pytest.raises(StoreError, match="has not answered within 0s"):
        key.get()
    for act in (key.get, key.create, key.delete):
        with pytest.raises(StoreError, match="has still not answered"):
            act()
    assert ring.calls == 1


@pytest.mark.parametrize("change", ["create", "delete"])
def test_a_change_that_does_not_come_back_is_not_waited_for_twice(
    tmp_path: Path, ring: FakeKeyring, silence: Event, change: str
) -> None:
    key = HomeKey(str(tmp_path), lambda: ring, patience=0)
    with pytest.raises(StoreError, match="has not answered within 0s"):
        getattr(key, change)()
    with pytest.raises(StoreError, match="has still not answered"):
        key.get()


def test_a_keyring_that_answers_at_last_is_used_again(tmp_path: Path, ring: FakeKeyring, silence: Event) -> None:
    key = HomeKey(str(tmp_path), lambda: ring, patience=0)
    with pytest.raises(StoreError, match="has not answered"):
        key.get()
    silence.set()
    assert key._question is not None
    key._question.wait(WAIT_SECONDS)
    key._patience = WAIT_SECONDS
    assert key.get() is None


def test_a_keyring_that_is_given_up_lets_the_thread_that_waits_go_on(
    tmp_path: Path, ring: FakeKeyring, silence: Event
) -> None:
    key, told = HomeKey(str(tmp_path), lambda: ring, patience=WAIT_SECONDS), list[str]()

    def wait() -> None:
        with pytest.raises(StoreBusy) as caught:
            key.get()
        told.append(caught.value.message)

    waiting = Thread(target=wait)
    waiting.start()
    assert ring.called.wait(WAIT_SECONDS)
    key.give_up()
    waiting.join(WAIT_SECONDS)
    assert told == ["the keyring has not answered yet"]


def test_a_keyring_that_was_given_up_may_still_answer_at_once(tmp_path: Path, ring: FakeKeyring) -> None:
    created = HomeKey(str(tmp_path), lambda: ring).create()
    key = HomeKey(str(tmp_path), lambda: ring)
    key.give_up()
    assert key.get() == created


@pytest.mark.parametrize(
    "backend", ["keyring.backends.fail.Keyring", "keyring.backends.null.Keyring", "tests.auth.fake_keyring.FakeKeyring"]
)
def test_backends_that_keep_nothing_or_are_not_known_are_refused(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_backend(monkeypatch, backend)
    with pytest.raises(StoreError, match=f"no keyring that a program without a user can use \\(found {backend}\\)"):
        usable_backend()


def test_a_backend_that_cannot_be_loaded_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_backend(monkeypatch, "no.such.Backend")
    with pytest.raises(StoreError, match="the keyring cannot be used: No module named 'no'"):
        HomeKey(str(tmp_path)).get()


@pytest.mark.parametrize("name", [name for name in KNOWN if name != SECRET_SERVICE])
def test_the_keyrings_of_other_platforms_are_used_as_they_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, _, kind = name.rpartition(".")
    theirs = type(kind, (FakeKeyring,), {"__module__": module})()
    monkeypatch.setattr("keyring.core._keyring_backend", theirs)
    assert usable_backend() is theirs


def test_of_several_backends_the_known_one_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    known = type("WinVaultKeyring", (FakeKeyring,), {"__module__": "keyring.backends.Windows"})()
    names = {"__module__": "keyring.backends.chainer", "backends": [FakeKeyring(), known]}
    monkeypatch.setattr("keyring.core._keyring_backend", type("ChainerBackend", (FakeKeyring,), names)())
    assert usable_backend() is known


def use_backend(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Choose keyring's backend as a user does, in a process that has not chosen one yet."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", name)
    monkeypatch.setattr("keyring.core._keyring_backend", None)
