"""Which invocations are traced, and what their spans say."""

from itertools import count, pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.functions.invocation_trace import InvocationTracer, Moments, Subject
from workshape.traces.context import read_header
from workshape.traces.span import Span

ROOT = "Root=1-5759e988-bd862e3fe1be46a994272793"
CALLER = "53995c3f42cd8ad8"
SUBJECT = Subject("f", "7", "an-id", "http")


def tracer() -> tuple[InvocationTracer, list[Span]]:
    spans: list[Span] = []
    numbers = count(1)
    return InvocationTracer(spans.append, lambda: f"{next(numbers):016x}"), spans


@pytest.mark.parametrize(
    ("header", "is_active", "is_traced"),
    [
        (f"{ROOT};Parent={CALLER};Sampled=1", False, True),
        (f"{ROOT};Parent={CALLER};Sampled=1", True, True),
        (f"{ROOT};Parent={CALLER};Sampled=0", True, False),
        (f"{ROOT};Parent={CALLER}", True, True),
        (f"{ROOT};Parent={CALLER}", False, False),
        ("", True, True),
        ("", False, False),
        ("nonsense", False, False),
    ],
)
def test_the_callers_decision_holds_and_else_the_functions(header: str, is_active: bool, is_traced: bool) -> None:
    made, _ = tracer()

    assert (made.begin(is_active=is_active, header=header, now_s=1) is not None) is is_traced


def test_the_function_continues_the_trace_below_the_invocation() -> None:
    made, spans = tracer()
    trace = made.begin(is_active=False, header=f"{ROOT};Parent={CALLER};Sampled=1", now_s=1)
    assert trace is not None
    trace.settled_at = 13.0

    trace.ended(SUBJECT, Moments(10.0, 12.0, 13.5, 1_000.0, init=(10.5, 11.9)), "Unhandled")

    by_name = {span.name: span for span in spans}
    given_to_function = read_header(trace.header)
    assert given_to_function is not None
    assert {name: (span.began_at, span.ended_at) for name, span in by_name.items()} == {
        "f": (1_010.0, 1_013.5),
        "queued": (1_010.0, 1_010.5),
        "init": (1_010.5, 1_011.9),
        "invocation": (1_012.0, 1_013.0),
        "overhead": (1_013.0, 1_013.5),
    }
    assert by_name["f"].parent_id == CALLER
    assert {span.parent_id for span in spans if span.name != "f"} == {by_name["f"].span_id}
    assert {span.trace_id for span in spans} == {given_to_function.trace_id}
    assert given_to_function.parent_id == by_name["invocation"].span_id
    assert given_to_function.is_sampled
    assert (by_name["f"].error, by_name["invocation"].error, by_name["init"].error) == ("Unhandled", "Unhandled", "")
    assert by_name["f"].attributes["faas.trigger"] == "http"
    assert by_name["f"].attributes["faas.coldstart"] is True


def test_a_throttled_invocation_is_one_span_that_failed() -> None:
    made, spans = tracer()
    trace = made.begin(is_active=True, header="", now_s=0x5759E988)
    assert trace is not None

    trace.never_ran(SUBJECT, Moments(10.0, 10.0, 10.0, 1_000.0), "Throttled")

    (only,) = spans
    assert (only.name, only.error, only.parent_id) == ("f", "Throttled", "")
    assert only.trace_id.startswith("5759e988")
    assert len(only.trace_id) == 32


@given(st.floats(0, 5), st.floats(0, 5), st.floats(0, 5), st.one_of(st.just(inf), st.floats(0, 15)), st.booleans())
def test_the_parts_lie_inside_the_whole_one_after_the_other(
    waited_s: float, init_s: float, ran_s: float, settled_s: float, cold: bool
) -> None:
    made, spans = tracer()
    trace = made.begin(is_active=True, header="", now_s=1)
    assert trace is not None
    started = waited_s + init_s
    trace.settled_at = max(started, settled_s)

    trace.ended(SUBJECT, Moments(0.0, started, started + ran_s, 0.0, init=(waited_s, started) if cold else None))

    whole, *parts = spans
    assert len({span.span_id for span in spans}) == len(spans)
    for earlier, later in pairwise(parts):
        assert earlier.ended_at <= later.began_at
    for part in parts:
        assert whole.began_at <= part.began_at <= part.ended_at <= whole.ended_at
