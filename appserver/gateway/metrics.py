"""What is counted, in Prometheus' text format (version 0.0.4). Labels are names of ours: a client cannot make any."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Of the histogram, in seconds: from an answer of our own to a long stream."""


class Metrics:
    """Counters of one node."""

    def __init__(self) -> None:
        self.running = 0
        """Requests that are being answered."""
        self._requests: dict[tuple[str, int], int] = {}
        self._seconds: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}
        self._tokens = {"input": 0, "output": 0}

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request. `path`: as the table of paths has it. `status` 0: the client left before there was one."""
        self._requests[path, status] = self._requests.get((path, status), 0) + 1
        buckets = self._seconds.setdefault(path, [0] * (len(BOUNDS) + 1))
        buckets[bisect_left(BOUNDS, seconds)] += 1
        self._sums[path] = self._sums.get(path, 0.0) + seconds

    def used(self, given: int, taken: int) -> None:
        """Count the tokens of a response."""
        self._tokens["input"] += given
        self._tokens["output"] += taken

    def text(self) -> str:
        """Return all as Prometheus reads it."""
        return "\n".join((*self._lines(), ""))

    def _lines(self) -> Iterator[str]:
        yield "# HELP gateway_requests_running Requests that are being answered."
        yield "# TYPE gateway_requests_running gauge"
        yield f"gateway_requests_running {self.running}"
        yield "# HELP gateway_requests_total Requests that were answered."
        yield "# TYPE gateway_requests_total counter"
        for (path, status), count in sorted(self._requests.items()):
            yield f'gateway_requests_total{{path="{path}",status="{status}"}} {count}'
        yield "# HELP gateway_request_seconds Time until a request was answered to the end."
        yield "# TYPE gateway_request_seconds histogram"
        for path, buckets in sorted(self._seconds.items()):
            total = 0
            for bound, count in zip((*map(str, BOUNDS), "+Inf"), buckets, strict=True):
                total += count
                yield f'gateway_request_seconds_bucket{{path="{path}",le="{bound}"}} {total}'
            yield f'gateway_request_seconds_sum{{path="{path}"}} {self._sums[path]:.6f}'
            yield f'gateway_request_seconds_count{{path="{path}"}} {total}'
        yield "# HELP gateway_tokens_total Tokens of responses, as the backend has told them."
        yield "# TYPE gateway_tokens_total counter"
        for direction, count in self._tokens.items():
            yield f'gateway_tokens_total{{direction="{direction}"}} {count}'
