"""The process that started us, and whether it has gone.

POSIX gives an orphan another parent, so its id is compared. Windows keeps the id of a parent that has gone, and may
give the same id to another process, so there a handle is waited on. Knows no connection and no event loop.

On Windows a launcher may stand between an application and us: `appserver.exe`, the `python.exe` of a virtual
environment. It ends after us, so the application's own end is not seen here; the end of our input tells it.
"""

from __future__ import annotations

import os
import sys
from functools import cached_property
from typing import Protocol

SYNCHRONIZE = 0x0010_0000
PROCESS_QUERY_LIMITED_INFORMATION = 0x1000
ERROR_INVALID_PARAMETER = 87
"""What OpenProcess says of an id that no process has."""

WAIT_OBJECT_0 = 0
"""What WaitForSingleObject says of a process that has ended."""


class ParentProcess:
    """The parent that this process has when the object is made."""

    def __init__(self) -> None:
        self._id = os.getppid()

    def has_gone(self) -> bool:
        """Whether that process has ended. Does not wait."""
        if sys.platform == "win32":
            return self._windows.has_gone()
        return os.getppid() != self._id

    @cached_property
    def _windows(self) -> WindowsParent:
        return WindowsParent(self._id, windows_processes())  # late: it imports ctypes


class Processes(Protocol):
    """What is asked of Windows. A handle is a number."""

    def open(self, process_id: int) -> int | None:
        """Return a handle to a process, None if there is none with this id. Raises OSError if it is not allowed."""

    def started(self, handle: int | None) -> int:
        """Return when a process was started, None for our own, on a scale that only orders. Raises OSError."""

    def has_ended(self, handle: int) -> bool: ...


class WindowsParent:
    """A parent that is known by a handle, so that another process with its id is not taken for it."""

    def __init__(self, process_id: int, processes: Processes) -> None:
        self._processes = processes
        self._handle: int | None = None
        self._can_be_watched = True
        try:
            handle = processes.open(process_id)
            if handle is not None and processes.started(handle) <= processes.started(None):
                self._handle = handle  # else it is younger than we are: the id was given away again
        except OSError:
            self._can_be_watched = False

    def has_gone(self) -> bool:
        """Whether it has ended; False for a process that we may not watch."""
        if not self._can_be_watched:
            return False
        return self._handle is None or self._processes.has_ended(self._handle)


def windows_processes() -> Processes:
    """Return Windows itself. Raises OSError elsewhere."""
    if sys.platform != "win32":
        raise OSError("this is not Windows")
    import ctypes
    from ctypes import wintypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.OpenProcess.argtypes = (wintypes.DWORD, wintypes.BOOL, wintypes.DWORD)
    kernel.OpenProcess.restype = wintypes.HANDLE
    kernel.GetCurrentProcess.restype = wintypes.HANDLE
    kernel.GetProcessTimes.argtypes = (wintypes.HANDLE, *[ctypes.POINTER(wintypes.FILETIME)] * 4)
    kernel.WaitForSingleObject.argtypes = (wintypes.HANDLE, wintypes.DWORD)
    kernel.WaitForSingleObject.restype = wintypes.DWORD

    class Kernel:
        def open(self, process_id: int) -> int | None:
            handle: int | None = kernel.OpenProcess(SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION, False, process_id)
            if handle is None and ctypes.get_last_error() != ERROR_INVALID_PARAMETER:
                raise ctypes.WinError(ctypes.get_last_error())
            return handle

        def started(self, handle: int | None) -> int:
            times = [wintypes.FILETIME() for _ in range(4)]
            if not kernel.GetProcessTimes(handle or kernel.GetCurrentProcess(), *map(ctypes.byref, times)):
                raise ctypes.WinError(ctypes.get_last_error())
            return (times[0].dwHighDateTime << 32) | times[0].dwLowDateTime

        def has_ended(self, handle: int) -> bool:
            result: int = kernel.WaitForSingleObject(handle, 0)
            return result == WAIT_OBJECT_0

    return Kernel()
