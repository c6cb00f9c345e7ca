"""Refreshes and logins in processes that die in the middle. Prints what it found, one JSON line for each round.

    python -m tests.e2e.crash_driver HOME SEED ROUNDS

Drives the credential manager on the real file store and its real locks. The children are forked from one process that
has imported everything, so that a round takes milliseconds, and redeem at an issuer that this process plays over a
socket: a refresh token is good once. Two ways to die, both by SIGKILL: at the n-th line of our own code (and that of
the lock library) that a child executes, and after a random time, while a sibling wants the same.
"""

from __future__ import annotations

import json
import os
import random
import selectors
import socket
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import filelock

from appserver.auth.stores.file import FileStore
from tests.e2e.crash_child import be_child, login
from tests.processes import kill_by_id

ROUND_SECONDS = 20.0
"""What a round may take before its processes count as stuck. A lock waits 60 s, so a stuck one shows."""


@dataclass
class Child:
    """A forked process and what it has told."""

    pid: int
    channel: socket.socket
    told: list[str] = field(default_factory=list)
    got: str | None = None
    """The refresh token that the issuer gave it."""
    deaf: bool = False
    """Whether it died before it had read that answer."""
    killed: bool = False
    unread: bytes = b""


@dataclass
class Round:
    """What one round did and found. A token is named by its refresh token."""

    number: int
    action: str
    death: str
    old: str
    new: str | None = None
    told: list[str] = field(default_factory=list)
    sibling: list[str] = field(default_factory=list)
    killed: bool = False
    deaf: bool = False
    """Whether it died with the issuer's answer unread."""
    stuck: bool = False
    whole: bool = False
    found: str | None = None
    recovered: list[str] | None = None
    """What the next process told, if auth.json holds a spent token."""
    lost: bool = False
    """Whether somebody has to sign in again."""
    locks_free: bool = False
    leftovers: int = 0
    private: bool = True


class Driver:
    """Plays the issuer, starts children, kills them, and looks at what they left."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home = home
        self.store = FileStore(str(home))
        self.random = random.Random(seed)
        self.live: set[str] = set()
        self._tokens = 0

    def issue(self) -> str:
        """Make a refresh token that is good once."""
        self._tokens += 1
        token = f"rt-{self._tokens}"
        self.live.add(token)
        return token

    def stored(self) -> str | None:
        """The refresh token on disk. Raises whatever a file that is not whole makes the reader raise."""
        token: str = json.loads((self.home / "auth.json").read_bytes())["tokens"]["refresh_token"]
        return token

    def start(self, action: str, line: int | None = None) -> Child:
        """Fork a child that refreshes or signs in."""
        ours, theirs = socket.socketpair()
        if sys.platform == "win32":
            raise NotImplementedError
        pid = os.fork()
        if pid == 0:
            ours.close()
            be_child(str(self.home), theirs, action, line)
        theirs.close()
        return Child(pid, ours)

    def serve(self, children: list[Child], doomed: Child | None, seconds: float) -> bool:
        """Answer the children until all have ended, killing one after so many seconds. False: they were stuck."""
        started = time.monotonic()
        with selectors.DefaultSelector() as waiting:
            for child in children:
                waiting.register(child.channel, selectors.EVENT_READ, child)
            while waiting.get_map():
                elapsed = time.monotonic() - started
                if doomed is not None and elapsed >= seconds:
                    kill_by_id(doomed.pid)
                    doomed = None
                if elapsed > ROUND_SECONDS:
                    self._give_up(children)
                    return False
                for key, _ in waiting.select(max(0.0, seconds - elapsed) if doomed is not None else 1.0):
                    if not self._hear(key.data):
                        waiting.unregister(key.fileobj)
                        doomed = None if doomed is key.data else doomed
        return True

    def _hear(self, child: Child) -> bool:
        """Take what a child says. False: it has ended."""
        try:
            data = child.channel.recv(4096)
        except ConnectionResetError:  # how a socket says that its other end was closed with something unread in it
            data, child.deaf = b"", True
        if not data:
            child.channel.close()
            _, status = os.waitpid(child.pid, 0)
            child.killed = os.waitstatus_to_exitcode(status) < 0  # by a signal
            return False
        *lines, child.unread = (child.unread + data).split(b"\n")
        for line in lines:
            word, _, token = line.decode().partition(" ")
            if word == "redeem":
                self._redeem(child, token)
            else:
                child.told.append(line.decode())
        return True

    def _redeem(self, child: Child, token: str) -> None:
        answer = "reused"
        if token in self.live:
            self.live.remove(token)
            answer = child.got = self.issue()
        try:
            child.channel.sendall(answer.encode())
        except OSError:  # it has died while it asked: the issuer has rotated all the same
            child.deaf = True

    def _give_up(self, children: list[Child]) -> None:
        for child in children:
            if child.channel.fileno() != -1:
                kill_by_id(child.pid)
                os.waitpid(child.pid, 0)
                child.channel.close()

    def run(self, number: int, lines: dict[str, int], seconds: float) -> Round:
        """One round: a victim, half the time with a sibling, then a look at what is there."""
        action = self.random.choice(["refresh", "refresh", "login"])
        wanted = f"login {self.issue()}" if action == "login" else action
        at_line = self.random.random() < 0.5
        line = self.random.randint(1, lines[action]) if at_line else None
        delay = self.random.uniform(0, seconds)
        found = Round(number, action, f"line {line}" if at_line else f"{delay * 1000:.1f} ms", str(self.stored()))
        victim = self.start(wanted, line)
        children = [victim] if at_line else [victim, self.start("refresh")]
        found.stuck = not self.serve(children, None if at_line else victim, delay)
        found.told, found.killed, found.deaf = victim.told, victim.killed, victim.deaf
        found.new = wanted.partition(" ")[2] if action == "login" else victim.got
        found.sibling = [] if at_line else children[1].told
        self.look(found)
        self.recover(found)
        return found

    def undisturbed(self, number: int) -> Round:
        """One refresh that nobody disturbs, after everything."""
        found, child = Round(number, "refresh", "none", str(self.stored())), self.start("refresh")
        found.stuck = not self.serve([child], None, 0)
        found.told, found.killed, found.new = child.told, child.killed, child.got
        self.look(found)
        return found

    def look(self, found: Round) -> None:
        """Note what stands on disk."""
        try:
            found.found = self.stored()
            found.whole = self.store.load() is not None
        except (ValueError, KeyError, OSError):
            found.whole = False
        found.locks_free = all(is_free(path) for path in self.home.glob("*.lock"))
        leftovers = list(self.home.glob(".*"))
        found.leftovers = len([path for path in leftovers if path.suffix == ".tmp"])
        found.private = all(path.stat().st_mode & 0o077 == 0 for path in leftovers)

    def recover(self, found: Round) -> None:
        """Let the next process refresh if what stands on disk is spent, and sign in again if that did not help."""
        if found.found in self.live:
            return
        child = self.start("refresh")
        found.stuck = not self.serve([child], None, 0) or found.stuck
        found.recovered = child.told
        found.lost = self.stored() not in self.live
        if found.lost:
            self.store.save(login(self.issue()))

    def measure(self) -> tuple[dict[str, int], float]:
        """Count the lines of a refresh and of a login, and time a refresh."""
        lines = {}
        for action in ("refresh", "login"):
            child = self.start(action if action == "refresh" else f"login {self.issue()}", 0)
            self.serve([child], None, 0)
            lines[action] = int(child.told[-1].removeprefix("lines "))
        started = time.monotonic()
        self.serve([self.start("refresh")], None, 0)
        return lines, time.monotonic() - started


def is_free(path: Path) -> bool:
    """Whether the next process would get a lock at once."""
    lock = filelock.FileLock(path, preserve_lock_file=True)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        return False
    lock.release()
    return True


def main(home: str, seed: str, rounds: str) -> None:
    driver = Driver(Path(home), int(seed))
    driver.store.save(login(driver.issue()))
    lines, seconds = driver.measure()
    for number in range(int(rounds)):
        sys.stdout.write(json.dumps(asdict(driver.run(number, lines, seconds * 1.5))) + "\n")
    sys.stdout.write(json.dumps(asdict(driver.undisturbed(int(rounds)))) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
