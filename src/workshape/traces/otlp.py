"""Sends spans by OTLP over HTTP, from a thread of OpenTelemetry's own that waits for nobody.

Only imported when traces are on: it needs the extra `otel`.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from functools import lru_cache

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from workshape.traces.span import Span

SEND_S_MAX = 5.0  # at the end nobody waits longer for a collector that is gone
WAITING_MAX = 8_192  # spans; what is beyond is dropped, by OpenTelemetry, which says so
BATCH_MAX = 512
SEND_AFTER_MS = 500.0
SERVICES_MAX = 1_024  # functions whose resource is remembered
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SCOPE = InstrumentationScope("workshape")


class OtlpExporter:
    """One collector."""

    def __init__(self, endpoint: str) -> None:
        """`endpoint` is its base address (`http://127.0.0.1:4318`); the spans' path is added."""
        self._endpoint = endpoint
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=SEND_S_MAX)
        self._processor = BatchSpanProcessor(
            exporter,
            max_queue_size=WAITING_MAX,
            max_export_batch_size=BATCH_MAX,
            schedule_delay_millis=SEND_AFTER_MS,
            export_timeout_millis=SEND_S_MAX * 1_000,
        )

    def __repr__(self) -> str:
        return f"<OtlpExporter {self._endpoint}>"

    def export(self, span: Span) -> None:
        """Queue a span; it is sent within about half a second."""
        trace_id = int(span.trace_id, 16)
        context = SpanContext(trace_id, int(span.span_id, 16), is_remote=False, trace_flags=_SAMPLED)
        parent = None
        if span.parent_id:
            parent = SpanContext(trace_id, int(span.parent_id, 16), is_remote=span.is_server, trace_flags=_SAMPLED)
        self._processor.on_end(
            ReadableSpan(
                span.name,
                context,
                parent,
                _resource(span.service),
                dict(span.attributes),
                kind=SpanKind.SERVER if span.is_server else SpanKind.INTERNAL,
                status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
                start_time=round(span.began_at * 1e9),
                end_time=round(span.ended_at * 1e9),
                instrumentation_scope=_SCOPE,
            )
        )

    def close(self) -> None:
        """Send what is waiting."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]  # it takes nothing and returns nothing


@lru_cache(maxsize=SERVICES_MAX)
def _resource(service: str) -> Resource:
    return Resource({"service.name": service, "cloud.provider": "aws", "cloud.platform": "aws_lambda"})
