"""What OpenTelemetry's environment variables say."""

from __future__ import annotations

import pytest

from appserver.otel_settings import METRICS, TRACES, exporters, is_configured

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
HTTP, GRPC = "otlp_proto_http", "otlp_proto_grpc"


@pytest.mark.parametrize(
    ("environ", "traces", "metrics"),
    [
        ({}, [], []),
        ({"OTEL_SERVICE_NAME": "editor"}, [], []),
        ({ENDPOINT: "http://collector:4318"}, [HTTP], [HTTP]),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318"}, [HTTP], []),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, [HTTP], []),
        ({"OTEL_TRACES_EXPORTER": "console, otlp ,none,"}, ["console", HTTP], []),
        ({ENDPOINT: "http://collector:4318", "OTEL_METRICS_EXPORTER": "none"}, [HTTP], []),
        ({ENDPOINT: "http://collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, [GRPC], [GRPC]),
        ({ENDPOINT: "x", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc"}, [HTTP], [GRPC]),
        ({ENDPOINT: "http://collector:4318", "OTEL_SDK_DISABLED": "TRUE"}, [], []),
    ],
)
def test_the_exporters_are_those_that_the_variables_name(
    environ: dict[str, str], traces: list[str], metrics: list[str]
) -> None:
    assert (exporters(TRACES, environ), exporters(METRICS, environ)) == (traces, metrics)
    assert is_configured(environ) is bool(traces or metrics)
