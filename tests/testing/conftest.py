"""A running fake backend, and an HTTP client for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from appserver.testing import FakeBackend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def backend() -> AsyncIterator[FakeBackend]:
    async with FakeBackend() as running:
        yield running


@pytest.fixture
async def client(backend: FakeBackend) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=backend.url, trust_env=False) as http:
        yield http
