"""The keyring store with GNOME Keyring, on a D-Bus session of its own. Skipped where the programs are missing.

`.ci/system-packages` installs them. The keyring's password is made up, and everything it keeps goes with the test.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from appserver.auth.stores.auto import AutoStore
from appserver.auth.stores.keyring import KeyringStore
from appserver.auth.stores.off_loop import OffLoopStore
from appserver.auth.stores.os_keyring import SECRET_SERVICE, HomeKey
from appserver.errors import StoreError
from tests.auth.store_kit import SharedStoreKit, api_key, login, prepare_redemption
from tests.peer import subprocess_peer

pytest.importorskip("secretstorage", reason="the Secret Service is Linux's, and comes with appserverd[keyring] there")

import sys

import secretstorage
from jeepney import HeaderFields, MatchRule, message_bus
from jeepney.bus_messages import Monitoring
from jeepney.io.blocking import Proxy, open_dbus_connection
from keyring.errors import KeyringLocked

from appserver.auth.stores.secret_service import PROMPT, QuietBus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jeepney.io.blocking import DBusConnection
    from jeepney.io.common import FilterHandle

    from appserver.auth.stores.base import CredentialStore
    from appserver.testing import FakeBackend
    from tests.auth.store_kit import Reopen

MISSING = [name for name in ("dbus-daemon", "gnome-keyring-daemon") if shutil.which(name) is None]

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {' '.join(MISSING)} (see .ci/system-packages)"),
    pytest.mark.usefixtures("patient"),
    pytest.mark.xdist_group("keyring"),  # side by side, keyring services take longer to start than anybody waits
]

PASSWORD = b"throwaway"
WAIT_SECONDS = 20.0
START_SECONDS = 8.0
"""What the keyring gets to start: it takes less than one second, or hangs."""
BUS_NAME = "org.freedesktop.secrets"


@dataclass
class Session:
    """A D-Bus session, what its programs have in their environment, and its keyring once there is one."""

    environ: dict[str, str]
    keyring: subprocess.Popen[bytes] | None = None

    def start_keyring(self, *options: str) -> subprocess.Popen[bytes]:
        """Start the keyring and wait until it is there; again if it is not, as now and then it hangs at its start."""
        for _ in range(2):
            try:
                return self._start_keyring(*options)
            except TimeoutError:
                assert self.keyring is not None
                self.keyring.kill()
                self.keyring.wait()
        return self._start_keyring(*options)

    def _start_keyring(self, *options: str) -> subprocess.Popen[bytes]:
        command = ["gnome-keyring-daemon", "--foreground", "--components=secrets", *options]
        with closing(open_dbus_connection()) as watcher, watching_for_owner(watcher) as owned:
            self.keyring = subprocess.Popen(
                command, env=self.environ, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            assert self.keyring.stdin is not None
            self.keyring.stdin.write(PASSWORD)
            self.keyring.stdin.close()
            watcher.recv_until_filtered(owned, timeout=START_SECONDS)
        return self.keyring

    def lock(self) -> None:
        with closing(secretstorage.dbus_init()) as bus:
            secretstorage.Collection(bus).lock()


def watching_for_owner(watcher: DBusConnection) -> FilterHandle:
    rule = MatchRule(type="signal", interface=message_bus.interface, member="NameOwnerChanged")
    rule.add_arg_condition(0, BUS_NAME)
    Proxy(message_bus, watcher).AddMatch(rule)
    return watcher.filter(rule)


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A D-Bus session, with nobody on it yet, that this process and its children use."""
    place = tmp_path / "session"
    environ = {"PATH": os.environ["PATH"], "HOME": str(place), "LANG": "C.UTF-8"}
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        environ[name] = str(place / name.lower())
        (place / name.lower()).mkdir(0o700, parents=True)
    # A configuration of our own: the system's would start whatever is installed there when it is asked for.
    (place / "bus.conf").write_text(
        f"<busconfig><type>session</type><listen>unix:path={place}/bus</listen><policy context='default'>"
        "<allow send_destination='*' eavesdrop='true'/><allow eavesdrop='true'/><allow own='*'/></policy></busconfig>"
    )
    command = ["dbus-daemon", f"--config-file={place}/bus.conf", "--nofork", "--print-address=1"]
    with ExitStack() as stack:
        daemon = stack.enter_context(subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True))
        stack.callback(daemon.kill)
        assert daemon.stdout is not None
        environ["DBUS_SESSION_BUS_ADDRESS"] = daemon.stdout.readline().strip()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", environ["DBUS_SESSION_BUS_ADDRESS"])
        # keyring looks for backends once per process; being told which one, it looks at each test's session.
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", SECRET_SERVICE)
        monkeypatch.setattr("keyring.core._keyring_backend", None)
        session = Session(environ)
        yield session
        if session.keyring is not None:
            session.keyring.kill()
            session.keyring.wait()


@pytest.fixture
def session(bus: Session) -> Session:
    """A D-Bus session with an unlocked keyring."""
    bus.start_keyring("--unlock")
    return bus


class Prompts:
    """Sees every message that opens a prompt, whoever sends it."""

    def __init__(self) -> None:
        self._monitor = open_dbus_connection()
        rules = [
            MatchRule(type="method_call", interface=PROMPT).serialise(),
            MatchRule(type="method_call", member="GetId").serialise(),
        ]
        Proxy(Monitoring(), self._monitor).BecomeMonitor(rules)

    def seen(self) -> int:
        """Count them. Everything that was sent before this call has arrived when the monitor sees our own message."""
        with closing(open_dbus_connection()) as marker:
            Proxy(message_bus, marker).GetId()
        count = 0
        while True:
            fields = self._monitor.receive(timeout=WAIT_SECONDS).header.fields
            if fields.get(HeaderFields.member) == "GetId":
                return count
            count += fields.get(HeaderFields.interface) == PROMPT

    def close(self) -> None:
        self._monitor.close()


@pytest.fixture
def prompts(bus: Session) -> Iterator[Prompts]:
    with closing(Prompts()) as watch:
        yield watch


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def store(session: Session, home: Path) -> KeyringStore:
    return KeyringStore(str(home))


class TestWithGnomeKeyring(SharedStoreKit):
    """With a real one."""

    @pytest.fixture
    def store(self, session: Session, home: Path) -> CredentialStore:
        return OffLoopStore(KeyringStore(str(home)))

    @pytest.fixture
    def reopen(self, session: Session, home: Path) -> Reopen:
        return lambda: OffLoopStore(KeyringStore(str(home)))


def test_the_keyring_has_the_key_under_the_home_and_nothing_else(store: KeyringStore, home: Path) -> None:
    store.save(login())
    with closing(secretstorage.dbus_init()) as bus:
        [item] = secretstorage.Collection(bus).search_items({"service": "appserverd"})
        assert item.get_attributes()["username"] == str(home)
        assert len(item.get_secret()) == 44
    store.delete()
    with closing(secretstorage.dbus_init()) as bus:
        assert list(secretstorage.Collection(bus).search_items({"service": "appserverd"})) == []


def test_auto_uses_it(session: Session, home: Path) -> None:
    store = AutoStore(str(home))
    store.save(login())
    assert store.kind == "keyring"
    assert SECRET_SERVICE in store.where
    assert not (home / "auth.json").exists()


def test_a_locked_keyring_is_refused_without_a_prompt(session: Session, home: Path, prompts: Prompts) -> None:
    KeyringStore(str(home)).save(login())
    session.lock()
    store = KeyringStore(str(home))
    for act in (store.load, lambda: prepare_redemption(store), store.check, lambda: store.save(api_key())):
        with pytest.raises(StoreError, match="it is locked, and this program does not ask"):
            act()
    assert prompts.seen() == 0


def test_auto_falls_back_when_it_is_locked(session: Session, home: Path, prompts: Prompts) -> None:
    session.lock()
    store = AutoStore(str(home))
    store.save(login())
    assert store.kind == "file"
    assert "it is locked" in store.where
    assert prompts.seen() == 0


def test_the_service_cannot_prompt_even_if_it_locks_in_between(session: Session, prompts: Prompts) -> None:
    with closing(secretstorage.dbus_init()) as bus:
        collection = secretstorage.Collection(QuietBus(bus))
        session.lock()
        with pytest.raises(KeyringLocked):
            collection.unlock()
    assert prompts.seen() == 0


def test_a_prompt_would_have_been_seen(session: Session, prompts: Prompts) -> None:
    session.lock()
    with closing(secretstorage.dbus_init()) as bus:
        secretstorage.Collection(bus).unlock(timeout=WAIT_SECONDS)
    assert prompts.seen() == 1


def test_a_session_without_a_collection_is_refused_without_a_prompt(bus: Session, home: Path, prompts: Prompts) -> None:
    bus.start_keyring()
    with pytest.raises(StoreError, match="has no default collection"):
        KeyringStore(str(home)).save(login())
    assert prompts.seen() == 0


def test_a_session_without_a_keyring_is_refused(bus: Session, home: Path) -> None:
    with pytest.raises(StoreError, match="neither running nor activatable"):
        KeyringStore(str(home)).save(login())


@pytest.mark.parametrize("address", [None, "", "unix:path=/nowhere", "tcp:host=localhost,port=1"])
def test_without_a_session_auto_uses_the_file(home: Path, address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    if address is not None:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", SECRET_SERVICE)
    monkeypatch.setattr("keyring.core._keyring_backend", None)
    store = AutoStore(str(home))
    store.save(login())
    assert store.kind == "file"
    assert "the keyring cannot be used" in store.where


def test_a_service_that_hangs_is_given_up_and_used_again_later(session: Session, home: Path) -> None:
    key = HomeKey(str(home), patience=1.0)
    created = key.create()
    assert session.keyring is not None
    if sys.platform == "win32":
        pytest.skip("there is no signal that suspends a process")
    session.keyring.send_signal(signal.SIGSTOP)
    with pytest.raises(StoreError, match="has not answered within 1s"):
        key.get()
    session.keyring.send_signal(signal.SIGCONT)
    assert key._question is not None
    key._question.wait(WAIT_SECONDS)
    assert key.get() == created


@pytest.mark.anyio
async def test_a_login_lasts_from_one_process_to_the_next(session: Session, backend: FakeBackend, home: Path) -> None:
    backend.write_config(home, cli_auth_credentials_store="keyring")
    for signs_in in (True, False):
        async with subprocess_peer(backend.environ(home)) as peer:
            if signs_in:
                await peer.result("account/login/start", {"type": "apiKey", "apiKey": "sk-test"})
            account = await peer.result("account/read", {})
            assert account["account"]["type"] == "apiKey"
    assert not (home / "auth.json").exists()
    assert b"sk-test" not in (home / "auth.enc").read_bytes()
