"""What `doctor` finds on this machine: configuration, home, credential store, locks, login, ports.

Writes nothing but a lock file. Checks that need a network are in probes.py.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from anyio import move_on_after

from appserver.auth.stores.atomic_file import OF_OTHERS, OccupiedError
from appserver.auth.stores.file_lock import FileLock
from appserver.commands.account import distance, kept, moment, whom
from appserver.errors import AuthError, ConfigError, LoginError, StoreBusy, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from appserver.auth.credentials import Credential
    from appserver.auth.stores.base import CredentialStore
    from appserver.server.account import Account

LOCK_PATIENCE = 1.0
"""Seconds to wait for a lock: a change takes milliseconds, so one that is held longer is worth a line."""

SIGN_IN_AGAIN = "appserver login"

CREDENTIAL_FILES = {"file": "auth.json", "keyring": "auth.enc"}
"""The file of each kind of store. Their locks are beside them."""

State = Literal["ok", "warn", "fail"]


class Check(NamedTuple):
    """The result of one check, and what to do about it."""

    name: str
    state: State
    detail: str
    remedy: str | None = None


def check_home(home: str) -> Check:
    """Check the home directory."""
    try:
        found = os.stat(home)
    except FileNotFoundError:
        return Check("home", "warn", f"{home} does not exist", "nothing: a login makes it")
    except OSError as exc:
        return Check("home", "fail", f"{home}: {exc.strerror}", "give this user access to it")
    if not stat.S_ISDIR(found.st_mode):
        return Check("home", "fail", f"{home} is no directory", "remove it, or set APPSERVER_HOME")
    if os.name != "nt" and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return Check("home", "warn", f"{home} can be changed by other users", f"chmod go-w {home}")
    if not os.access(home, os.W_OK):
        return Check("home", "warn", f"{home} cannot be written", "make it writable: refreshed tokens are stored there")
    return Check("home", "ok", home)


async def check_machine(account: Account) -> list[Check]:
    """Check what can be checked without a network."""
    unreadable = await _problem(account.store.load())
    unwritable = await _problem(_prepare(account.store)) if _has_home(account) else None
    return [*_checks(account, unreadable, unwritable)]


async def _problem(use: Awaitable[object]) -> StoreError | StoreBusy | None:
    try:
        await use
    except (StoreError, StoreBusy) as exc:
        return exc
    return None


async def _prepare(store: CredentialStore) -> None:
    """Do what a redemption does before it redeems: it finds out whether new tokens could be stored.

    Not while another process redeems, which has found it out itself.
    """
    with move_on_after(LOCK_PATIENCE):
        async with store.redeeming() as redemption:
            if await store.record() is None:  # which a redemption has written not long ago
                await redemption.prepare()


def _checks(account: Account, unreadable: AuthError | None, unwritable: AuthError | None) -> Iterator[Check]:
    yield Check("store", "ok", kept(account))
    name = CREDENTIAL_FILES.get(account.store.kind)
    if name is not None and os.path.lexists(path := Path(account.settings.home, name)):
        yield _check_file(path, unreadable)
        yield from _check_locks(path)
    yield _check_storable(account, unwritable)
    yield _check_login(account)
    yield _check_expiry(account)
    yield _check_certificates(account)
    yield _check_ports(account)


def _check_file(path: Path, unreadable: AuthError | None) -> Check:
    if unreadable is not None:
        remedy = f"{SIGN_IN_AGAIN} (a file that makes no sense is kept aside)"
        if isinstance(unreadable, OccupiedError):
            remedy = f"move it away: {path}"
        return Check(path.name, "fail", unreadable.message, remedy)
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name != "nt" and mode & OF_OTHERS:
        return Check(path.name, "warn", f"other users have access to it (mode {mode:03o})", f"chmod 600 {path}")
    return Check(path.name, "ok", "whole, and for this user only" if os.name != "nt" else "whole")


def _check_locks(path: Path) -> Iterator[Check]:
    """A refresh may wait for the issuer; nothing else holds a lock for long."""
    busy: tuple[tuple[str, State], ...] = (("change", "fail"), ("refresh", "warn"))
    for purpose, state in busy:
        try:
            with FileLock(path, purpose, LOCK_PATIENCE).held():
                yield Check(f"lock: {purpose}", "ok", "free")
        except StoreError as exc:
            remedy = "look what that process does, and end it if it hangs; the lock goes with it"
            yield Check(f"lock: {purpose}", state, exc.message, remedy)


def _check_storable(account: Account, unwritable: AuthError | None) -> Check:
    if not _has_home(account):
        return Check("storing", "ok", "not tried: there is no home yet")
    if unwritable is not None:
        held = account.auth.current()
        state: State = "warn" if held and held.credential.mode == "apikey" else "fail"
        remedy = "make it writable: tokens that cannot be stored are not refreshed"
        return Check("storing", state, unwritable.message, remedy)
    return Check("storing", "ok", "a login could be stored now")


def _has_home(account: Account) -> bool:
    return os.path.isdir(account.settings.home)


def _check_login(account: Account) -> Check:
    held, reason = account.auth.current(), account.auth.needs_login
    if reason:
        return Check("login", "fail", reason, SIGN_IN_AGAIN)
    if held is None:
        return Check("login", "warn", "nobody is signed in", SIGN_IN_AGAIN)
    return Check("login", "ok", f"signed in {whom(held.credential)}")


def _check_expiry(account: Account) -> Check:
    held = account.auth.current()
    if held is None:
        return Check("token", "ok", "there is none")
    if held.credential.mode == "apikey":
        return Check("token", "ok", "an API key does not expire")
    return _expiry(held.credential, held.credential.expires_at, time.time())


def _expiry(credential: Credential, expires_at: float | None, now: float) -> Check:
    if expires_at is None or (at := moment(expires_at)) is None:
        return Check("token", "ok", "it does not say when it expires")
    verb, after = ("expires", "") if expires_at > now else ("expired", "; it is refreshed when it is used")
    detail = f"{verb} {distance(expires_at - now)} ({at})"
    if credential.refresh_token is not None:
        return Check("token", "ok", detail + after)
    return Check("token", "warn" if expires_at > now else "fail", f"{detail}, and cannot be refreshed", SIGN_IN_AGAIN)


def _check_certificates(account: Account) -> Check:
    variable, file = account.settings.ca_variable, account.settings.ca_file
    if file is None:
        return Check("certificates", "ok", "the usual authorities")
    try:
        account.runtime.http.client("https://localhost")  # made, not used: it reads the file
    except ConfigError as exc:
        return Check("certificates", "fail", exc.message, f"let {variable} name a PEM file, or unset it")
    return Check("certificates", "ok", f"the usual authorities, and those in {variable}={file}")


def _check_ports(account: Account) -> Check:
    """Try as a browser login does, on one port at a time."""
    from appserver.auth.login.browser import PORTS, BrowserLogin

    free = []
    for port in PORTS:
        flow = BrowserLogin(account.token_client(account.session), account.settings, account.session, (port,))
        try:
            flow.start()
            free.append(port)
        except LoginError:
            pass  # in use, or kept from us by the system
        finally:
            flow.close()
    taken = [str(port) for port in PORTS if port not in free]
    if not taken:
        return Check("login ports", "ok", f"{' and '.join(map(str, PORTS))} are free")
    detail = f"{' and '.join(taken)} cannot be had: in use, or reserved by the system"
    return Check("login ports", "warn" if free else "fail", detail, "appserver login --device-auth needs no port")
