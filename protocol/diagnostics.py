"""server/diagnostics: figures about the process, without any content."""

from typing_extensions import TypedDict


class ServerDiagnosticsParams(TypedDict):
    pass


class DiagnosticsProcess(TypedDict):
    """`id`: the operating system's. Bytes are null where the platform does not tell them."""

    id: int
    residentMemoryBytes: int | None
    physicalFootprintBytes: int | None


class DiagnosticsGauge(TypedDict):
    name: str
    value: int


class DiagnosticsConnection(TypedDict):
    """A client. `queuedBytes`: unsent; requests in flight wait for something, queued ones stand in a batch and wait for
    their turn."""

    id: int
    clientName: str
    clientVersion: str
    queuedBytes: int
    requestsInFlight: int
    requestsQueued: int


class DiagnosticsRefreshes(TypedDict):
    """How often the issuer, the client or another refresher was asked for new tokens."""

    started: int
    succeeded: int
    failed: int


class DiagnosticsVersions(TypedDict):
    server: str
    protocol: str
    python: str


class ServerDiagnosticsResult(TypedDict):
    """`longestLoopPauseMs`: of the last minute, null where it is not measured."""

    process: DiagnosticsProcess
    gauges: list[DiagnosticsGauge]
    versions: DiagnosticsVersions
    home: str
    uptimeSeconds: float
    connections: list[DiagnosticsConnection]
    refreshes: DiagnosticsRefreshes
    longestLoopPauseMs: float | None
