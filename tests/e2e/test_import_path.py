"""What lies in the current directory is not run: it is the folder that a person has open, and may be anybody's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appserver.client.process import default_command
from tests.e2e.run import HELLO, WAIT_SECONDS, decoded, lines, request

ROOT = Path(__file__).parents[2]
SCRIPT = shutil.which("appserver", path=os.path.dirname(sys.executable))

WAYS = {
    "python -m appserver": [sys.executable, "-m", "appserver", "app-server"],
    "python -P -m appserver": [sys.executable, "-P", "-m", "appserver", "app-server"],
    "python appserver/__main__.py": [sys.executable, str(ROOT / "appserver" / "__main__.py"), "app-server"],
    "the client's": default_command(),
    "appserver": [SCRIPT or "appserver", "app-server"],
}

OPTIONAL = {
    "sniffio",
    "trio",
    "uvloop",
    "exceptiongroup",
    "h2",
    "socksio",
    "brotli",
    "zstandard",
    "rich",
    "email_validator",
}
"""What the libraries that we use look for, and may not find."""

NAMES = sorted(
    (set(sys.stdlib_module_names) | {name.partition(".")[0] for name in sys.modules} | OPTIONAL) - {"__main__"}
)

STRAY = """
import os
os.write(os.open({mark!r}, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), (__name__ + " ").encode())
raise ImportError("this is not the module that was meant")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module of every name that a server may import, and a package that offers a refresher."""
    folder = tmp_path / "open"
    info = folder / "stray-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stray\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[appserver.refreshers]\nstray = stray:create\n")
    for name in (*NAMES, "stray", "sitecustomize", "usercustomize"):
        (folder / f"{name}.py").write_text(STRAY.format(mark=str(tmp_path / "mark")))
    return folder


def remove_what_comes_before_us(folder: Path) -> None:
    """Remove the modules that `python -m` itself imports before any line of ours, and the one that it is to run."""
    probe = folder.parent / "probe.py"
    probe.write_text("import sys; sys.stdout.write(' '.join(sys.modules))")
    command = [sys.executable, "-m", "probe"]
    done = subprocess.run(command, cwd=probe.parent, capture_output=True, timeout=WAIT_SECONDS, check=True)
    for name in {module.partition(".")[0] for module in done.stdout.decode().split()} | {"appserver"}:
        (folder / f"{name}.py").unlink(missing_ok=True)


def serve(way: str, folder: Path, *options: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """Serve until everything that a server needs has been imported."""
    if way == "appserver" and SCRIPT is None:
        pytest.skip("the package is not installed")
    return subprocess.run(
        [*WAYS[way], *options],
        cwd=folder,
        env={**os.environ, "APPSERVER_HOME": str(folder.parent), **environ},
        input=lines(
            HELLO, request(1, "account/rateLimits/read"), request(2, "thread/start"), [request(3, "model/list")]
        ),
        capture_output=True,
        timeout=WAIT_SECONDS,
        check=False,
    )


def imported(folder: Path) -> set[str]:
    mark = folder.parent / "mark"
    return set(mark.read_text().split()) if mark.exists() else set()


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_imported_from_the_current_directory(way: str, folder: Path) -> None:
    if way == "python -m appserver":
        remove_what_comes_before_us(folder)
    done = serve(way, folder)
    assert imported(folder) == set()
    assert done.stderr == b""
    said = decoded(done.stdout)
    assert {one["id"] for one in said if isinstance(one, dict) and "id" in one} == {0, 1, 2}
    assert done.returncode == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_refresher_is_not_taken_from_the_current_directory(way: str, folder: Path) -> None:
    if way == "python -m appserver":
        remove_what_comes_before_us(folder)
    done = serve(way, folder, "-c", "refresher.name=stray")
    assert imported(folder) == set()
    assert b'no installed package supplies "stray"' in done.stderr


@pytest.mark.parametrize("way", ["python -m appserver", "python appserver/__main__.py", "the client's"])
def test_a_checkout_that_is_not_installed_runs_its_own_code(way: str, tmp_path: Path) -> None:
    # The one that is installed, if there is one, must lend it no module either.
    checkout = tmp_path / "checkout"
    for package in ("appserver", "protocol"):
        shutil.copytree(ROOT / package, checkout / package, ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / "anyio.py").write_text("raise ImportError('not this one')")
    parts = [checkout / "appserver" / "handlers" / "handshake.py", checkout / "protocol" / "handshake.py"]
    for part in parts:
        part.write_text(f"{part.read_text()}\nimport sys\nsys.stderr.write(__file__ + '\\n')\n")
    python, *words = WAYS[way]
    command = [python, *(word.replace(str(ROOT), str(checkout)) for word in words)]
    done = subprocess.run(
        command,
        cwd=checkout,
        env={**os.environ, "APPSERVER_HOME": str(tmp_path)},
        input=lines(HELLO, request(1, "account/rateLimits/read")),
        capture_output=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert [one["id"] for one in decoded(done.stdout)] == [0, 1]
    told = done.stderr.decode()
    assert all(str(part) in told for part in parts), told
