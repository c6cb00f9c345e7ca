"""A refresher that another package supplies, through an entry point, to the real daemon."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
import pytest

from tests.peer import subprocess_peer

if TYPE_CHECKING:
    from pathlib import Path

    from appserver.testing import FakeBackend

pytestmark = pytest.mark.anyio

MODULE = """
import json
from pathlib import Path

from appserver.auth.refresh.base import RefreshedTokens
from protocol.base import Secret


class FromFile:
    def __init__(self, path):
        self._path = Path(path)

    async def refresh(self, request):
        print("a stray print of a foreign package")
        return RefreshedTokens(access_token=Secret(self._path.read_text()))


def create(options):
    if options.get("fault"):
        raise KeyError("fault")
    return None if options.get("nothing") else FromFile(options["path"])
"""


@pytest.fixture
def distribution(tmp_path: Path) -> dict[str, str]:
    """An installed package that supplies the refresher "from-file", as environment variables."""
    site = tmp_path / "site"
    info = site / "token_file-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "token_file.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: token-file\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[appserver.refreshers]\nfrom-file = token_file:create\n")
    return {"PYTHONPATH": os.pathsep.join([str(site), *sys.path])}


async def test_another_package_supplies_a_refresher_through_an_entry_point(
    distribution: dict[str, str], home: Path, backend: FakeBackend, tmp_path: Path
) -> None:
    old = backend.grant()
    backend.expire_access_tokens()
    (tmp_path / "token").write_text(backend.grant().access_token)
    options = ('refresher.name="from-file"', f'refresher.path="{(tmp_path / "token").as_posix()}"')
    async with subprocess_peer({**backend.environ(home), **distribution}, options) as peer:
        await peer.login_with_tokens(old.access_token)
        turn = await peer.turn(await peer.start_thread())
        assert turn["status"] == "completed", turn
        assert peer.requests == []


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ('refresher.name="other"', 'no installed package supplies "other"'),
        ("refresher.fault=true", "refresher \"from-file\" cannot be used: KeyError: 'fault'"),
        ("refresher.nothing=true", 'refresher "from-file" has no method refresh'),
    ],
)
async def test_a_refresher_that_cannot_be_used_is_told_of_at_the_start(
    distribution: dict[str, str], home: Path, backend: FakeBackend, option: str, words: str
) -> None:
    overrides = ["-c", "refresher.name=from-file", "-c", option]
    command = [sys.executable, "-m", "appserver", "--strict-config", *overrides]
    done = await anyio.run_process(
        command,
        env={**os.environ, **backend.environ(home), **distribution},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 2
    assert words in done.stderr.decode()
    assert b"Traceback" not in done.stderr
