"""Classes of protocol/diagnostics.py.

Generated from protocol/ by `python -m codegen`. Do not edit.
"""

from dataclasses import dataclass

from appserver.client.wire import Data


@dataclass(frozen=True)
class DiagnosticsProcess(Data):
    """`id`: the operating system's. Bytes are null where the platform does not tell them."""

    id: int
    resident_memory_bytes: int | None
    physical_footprint_bytes: int | None


@dataclass(frozen=True)
class DiagnosticsGauge(Data):
    name: str
    value: int


@dataclass(frozen=True)
class DiagnosticsConnection(Data):
    """A client. `queued_bytes`: unsent; requests in flight wait for something, queued ones stand in a batch and wait
    for their turn.
    """

    id: int
    client_name: str
    client_version: str
    queued_bytes: int
    requests_in_flight: int
    requests_queued: int


@dataclass(frozen=True)
class DiagnosticsRefreshes(Data):
    """How often the issuer, the client or another refresher was asked for new tokens."""

    started: int
    succeeded: int
    failed: int


@dataclass(frozen=True)
class DiagnosticsVersions(Data):
    server: str
    protocol: str
    python: str


@dataclass(frozen=True)
class ServerDiagnosticsResult(Data):
    """`longest_loop_pause_ms`: of the last minute, null where it is not measured."""

    process: DiagnosticsProcess
    gauges: list[DiagnosticsGauge]
    versions: DiagnosticsVersions
    home: str
    uptime_seconds: float
    connections: list[DiagnosticsConnection]
    refreshes: DiagnosticsRefreshes
    longest_loop_pause_ms: float | None
