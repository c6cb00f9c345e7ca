"""What OpenTelemetry's environment variables say: whether it is used, and with which exporters. Does not import it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

TRACES = "traces"
METRICS = "metrics"

OTLP = "otlp"
OTLP_EXPORTERS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""Names of the entry points, by protocol."""


def is_configured(environ: Mapping[str, str]) -> bool:
    """Whether something is to be exported."""
    return any(exporters(signal, environ) for signal in (TRACES, METRICS))


def exporters(signal: str, environ: Mapping[str, str]) -> list[str]:
    """Return the names of the exporters for a signal: those in OTEL_..._EXPORTER, or OTLP where an endpoint is set."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    own = f"OTEL_EXPORTER_OTLP_{signal.upper()}"
    has_endpoint = environ.get(f"{own}_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    named = environ.get(f"OTEL_{signal.upper()}_EXPORTER") or (OTLP if has_endpoint else "")
    protocol = environ.get(f"{own}_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
    names = [name for name in map(str.strip, named.split(",")) if name not in ("", "none")]
    return [OTLP_EXPORTERS.get(protocol, protocol) if name == OTLP else name for name in names]


def header_values(environ: Mapping[str, str]) -> list[str]:
    """Return the values of the headers that exporters send: most are credentials. One without a name is all value."""
    values = []
    for signal in ("", f"_{TRACES.upper()}", f"_{METRICS.upper()}"):
        for header in environ.get(f"OTEL_EXPORTER_OTLP{signal}_HEADERS", "").split(","):
            name, _, value = header.partition("=")
            values += [(value or name).strip(), unquote(value or name).strip()]
    return values
