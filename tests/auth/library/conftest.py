"""Accounts that are opened as a library opens them, with the fake backend as their issuer and as their model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest

from appserver.auth import Account

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend


class Open(Protocol):
    """Makes an account that is not open yet: on a home, on this test's if none is named, or on a store."""

    def __call__(self, home: Path | None = None, **options: Any) -> Account: ...  # noqa: ANN401 - of Account.open


@pytest.fixture
def open_account(home: Path, backend: FakeBackend) -> Open:
    this_tests = home

    def open_account(home: Path | None = None, **options: Any) -> Account:  # noqa: ANN401 - as above
        where = None if "store" in options else home or this_tests
        return Account.open(where, issuer=backend.url, environ={}, **options)

    return open_account
