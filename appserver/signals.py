"""The signals that end a serving process: at once while it starts, with an orderly shutdown later."""

from __future__ import annotations

import signal
import sys


def end_at_once() -> None:
    """Let SIGINT end the process as SIGTERM does. While modules are imported, a KeyboardInterrupt can get lost."""
    if sys.platform != "win32" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def ending_signals() -> list[signal.Signals]:
    """Return those that ask for the end: not SIGINT and SIGHUP where our parent has us ignore them, as nohup does."""
    if sys.platform == "win32":  # there, a signal ends a process without asking it
        return []
    asked = (signal.SIGINT, signal.SIGHUP)
    return [signal.SIGTERM, *(number for number in asked if signal.getsignal(number) is not signal.SIG_IGN)]
