// Generated from protocol/ by `appserver generate-ts`. Do not edit.

export type ServerDiagnosticsParams = Record<string, never>;

/** `id`: the operating system's. Bytes are null where the platform does not tell them. */
export type DiagnosticsProcess = {
  id: number;
  residentMemoryBytes: number | null;
  physicalFootprintBytes: number | null;
};

export type DiagnosticsGauge = {
  name: string;
  value: number;
};

/**
 * A client. `queuedBytes`: unsent; requests in flight wait for something, queued ones stand in a batch and wait for
 * their turn.
 */
export type DiagnosticsConnection = {
  id: number;
  clientName: string;
  clientVersion: string;
  queuedBytes: number;
  requestsInFlight: number;
  requestsQueued: number;
};

/** How often the issuer, the client or another refresher was asked for new tokens. */
export type DiagnosticsRefreshes = {
  started: number;
  succeeded: number;
  failed: number;
};

export type DiagnosticsVersions = {
  server: string;
  protocol: string;
  python: string;
};

/** `longestLoopPauseMs`: of the last minute, null where it is not measured. */
export type ServerDiagnosticsResult = {
  process: DiagnosticsProcess;
  gauges: Array<DiagnosticsGauge>;
  versions: DiagnosticsVersions;
  home: string;
  uptimeSeconds: number;
  connections: Array<DiagnosticsConnection>;
  refreshes: DiagnosticsRefreshes;
  longestLoopPauseMs: number | null;
};
