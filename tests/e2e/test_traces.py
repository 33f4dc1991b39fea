"""Traces of real invocations, at a real collector."""

from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.running import RUNTIME, Running, bring_up, eventually
from tests.fakes.trace_collector import CollectedSpan, TraceCollector
from workshape.traces.context import read_header

TRACE = "5759e988bd862e3fe1be46a994272793"
CALLER = "53995c3f42cd8ad8"
HEADER = f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={CALLER};Sampled="
APP = f"""
[platform]
upstream = {{ dynamodb = "moto" }}

[functions.echo]
runtime = "{RUNTIME}"
handler = "echo.handle"
code = "code"

[functions.keen]
runtime = "{RUNTIME}"
handler = "echo.handle"
code = "code"
tracing = "Active"

[[routes]]
route = "GET /echo"
function = "echo"
"""
ECHO = """
import os

def handle(event, context):
    if "fail" in event:
        raise ValueError(event["fail"])
    return os.environ["_X_AMZN_TRACE_ID"]
"""


@pytest.fixture(scope="module")
def collector() -> Iterator[TraceCollector]:
    """Where the spans go."""
    collector = TraceCollector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, collector: TraceCollector) -> Iterator[Running]:
    """A platform that traces."""
    folder = tmp_path_factory.mktemp("traced")
    (folder / "workshape.toml").write_text(APP)
    (folder / "code").mkdir()
    (folder / "code" / "echo.py").write_text(ECHO)
    with bring_up(folder, "--no-follow", variables={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}) as running:
        yield running


def invoke(platform: Running, payload: str = "{}", function: str = "echo", **headers: str) -> str:
    """Invoke with headers of our own; return the trace header that the function had."""
    client = platform.client("lambda")

    def add(request: object, **_: object) -> None:
        for name, value in headers.items():
            request.headers[name.replace("_", "-")] = value  # type: ignore[attr-defined]  # botocore's AWSRequest

    client.meta.events.register("before-sign.lambda.Invoke", add)
    answer = client.invoke(FunctionName=function, Payload=payload)["Payload"].read().decode()
    return str(answer).strip('"')


def collected(collector: TraceCollector, trace_id: str, *names: str) -> dict[str, CollectedSpan]:
    """The spans of a trace, once those of these names are there: they may come one by one."""

    def found() -> dict[str, CollectedSpan]:
        return {span.name: span for span in collector.spans if span.trace_id == trace_id}

    eventually(lambda: found().keys() >= {*names})
    return found()


def test_a_sampled_request_is_traced_below_its_caller(platform: Running, collector: TraceCollector) -> None:
    told = read_header(invoke(platform, X_Amzn_Trace_Id=HEADER + "1"))

    spans = collected(collector, TRACE, "echo", "init", "invocation")
    assert told is not None
    whole = spans["echo"]
    assert (whole.service, whole.parent_id, whole.is_error) == ("echo", CALLER, False)
    assert spans["invocation"].parent_id == spans["init"].parent_id == whole.span_id
    assert (told.trace_id, told.parent_id, told.is_sampled) == (TRACE, spans["invocation"].span_id, True)
    assert whole.began_ns <= spans["init"].began_ns < spans["init"].ended_ns <= spans["invocation"].ended_ns
    assert whole.attributes["faas.coldstart"].bool_value


def test_w3cs_header_does_as_well_and_errors_are_told(platform: Running, collector: TraceCollector) -> None:
    other = TRACE[:-4] + "ffff"

    invoke(platform, '{"fail": "on purpose"}', traceparent=f"00-{other}-{CALLER}-01")

    spans = collected(collector, other, "echo", "invocation")
    assert (spans["echo"].parent_id, spans["echo"].is_error, spans["invocation"].is_error) == (CALLER, True, True)


def test_without_a_decision_only_active_functions_are_traced(platform: Running, collector: TraceCollector) -> None:
    passed = read_header(invoke(platform))
    refused = read_header(invoke(platform, X_Amzn_Trace_Id=HEADER + "0"))
    begun = read_header(invoke(platform, function="keen"))

    assert passed is not None
    assert refused is not None
    assert begun is not None
    spans = collected(collector, begun.trace_id, "keen")
    assert (passed.is_sampled, refused.is_sampled, begun.is_sampled) == (False, False, True)
    assert (refused.trace_id, refused.parent_id) == (TRACE, CALLER)
    assert spans["keen"].parent_id == ""
    assert all(span.trace_id != passed.trace_id for span in collector.spans)


def test_a_request_to_the_http_api_keeps_its_trace(platform: Running, collector: TraceCollector) -> None:
    other = TRACE[:-4] + "eeee"
    port = platform.run.settings.ports.http

    answer = httpx.get(f"http://127.0.0.1:{port}/echo", headers={"traceparent": f"00-{other}-{CALLER}-01"})

    spans = collected(collector, other, "echo", "invocation")
    told = read_header(answer.text)
    assert told is not None
    assert (told.trace_id, told.parent_id) == (other, spans["invocation"].span_id)
    assert (spans["echo"].parent_id, spans["echo"].attributes["faas.trigger"].string_value) == (CALLER, "http")
