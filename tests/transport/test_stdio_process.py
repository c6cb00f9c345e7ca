"""Whoever writes to stdout, and however: only the protocol gets there. It takes a process, since it is its stdout."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

CLAIM = """
import os, subprocess, sys
from appserver.transport.stdio import Stdio
stdio = Stdio.claim(1024)
{action}
sys.stdout.flush()
line = stdio.receive_blocking()[0]
stdio.send_blocking(b"protocol " + line + b"\\n")
"""

CHILD = "import sys; print('stray', repr(sys.stdin.read()))"


def run(action: str) -> tuple[bytes, bytes]:
    done = subprocess.run(
        [sys.executable, "-c", CLAIM.format(action=action)],
        input=b"request\n",
        capture_output=True,
        timeout=20,
        check=True,
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    "action",
    [
        "print('stray')",
        "sys.stdout.write('stray\\n')",
        "sys.__stdout__.write('stray\\n')",
        "os.write(1, b'stray\\n')",
        "os.system('echo stray')",
        "subprocess.run([sys.executable, '-c', \"print('stray')\"])",
        "open('/dev/fd/1', 'w').write('stray\\n')" if sys.platform != "win32" else "print('stray')",
    ],
)
def test_stray_output_goes_to_stderr(action: str) -> None:
    output, errors = run(action)
    assert output == b"protocol request\n"
    assert b"stray" in errors


def test_a_child_process_gets_neither_our_input_nor_our_output() -> None:
    output, errors = run(f"subprocess.run([sys.executable, '-c', {CHILD!r}])")
    assert output == b"protocol request\n"
    assert b"stray ''" in errors


def test_a_library_that_reads_stdin_gets_nothing_of_the_protocol() -> None:
    output, errors = run("sys.stderr.write(repr(sys.stdin.read()))")
    assert output == b"protocol request\n"
    assert errors == b"''"


def test_a_child_that_outlives_us_does_not_keep_our_output_open() -> None:
    # capture_output waits for the end of stdout: a child that had inherited it would hold it for a minute. Its stderr
    # is its own business.
    sleeper = "[sys.executable, '-c', 'import time; time.sleep(60)']"
    output, errors = run(
        f"child = subprocess.Popen({sleeper}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL); "
        "os.write(2, str(child.pid).encode())"
    )
    os.kill(int(errors), signal.SIGTERM)
    assert output == b"protocol request\n"
