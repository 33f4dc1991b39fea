"""When an event is tried again, how it ends, and what is told of that."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from workshape.functions.async_event import (
    BACKOFF_S_MAX,
    Condition,
    Ended,
    Event,
    Refusal,
    after_attempt,
    before_attempt,
)
from workshape.functions.async_record import invocation_record, outgoing
from workshape.functions.event_invoke import AGE_S_MAX, EventLimits, EventPolicy
from workshape.functions.model import InvocationResult, RequestId

LIMITS = EventLimits()
ARN = "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST"
SUCCEEDED = InvocationResult(RequestId("r"), b'{"ok":true}', "$LATEST")
FAILED = InvocationResult(
    RequestId("r"), b'{"errorMessage":"no such order","errorType":"KeyError"}', "$LATEST", "Unhandled"
)
THROTTLED = Refusal(429, "Rate Exceeded.")
GONE = Refusal(404, "Function not found: f", retryable=False)


def event(**changes: Any) -> Event:
    return replace(Event("r", "f", None, b'{"order":7}', 0.0, 0.0), **changes)


def again(found: Event | Ended) -> Event:
    assert isinstance(found, Event)
    return found


def ended(found: Event | Ended) -> Ended:
    assert isinstance(found, Ended)
    return found


def test_a_function_that_fails_is_tried_after_one_minute_and_after_two_more() -> None:
    first = again(after_attempt(event(), FAILED, 10.0, LIMITS))
    second = again(after_attempt(first, FAILED, 80.0, LIMITS))

    assert (first.due_at, second.due_at) == (70.0, 200.0)
    assert after_attempt(second, FAILED, 210.0, LIMITS) == Ended(Condition.RETRIES_EXHAUSTED, FAILED, 3)


def test_an_event_that_would_be_too_old_ends_by_its_age() -> None:
    after_failing = ended(after_attempt(event(), FAILED, AGE_S_MAX - 30.0, LIMITS))
    after_throttle = ended(after_attempt(event(), THROTTLED, AGE_S_MAX + 1.0, LIMITS))
    waiting = before_attempt(event(refusal=THROTTLED), AGE_S_MAX + 1.0, EventPolicy())

    assert after_failing == Ended(Condition.EVENT_AGE_EXCEEDED, FAILED, 1)
    assert after_throttle == Ended(Condition.EVENT_AGE_EXCEEDED, THROTTLED, 0)
    assert waiting == Ended(Condition.EVENT_AGE_EXCEEDED, THROTTLED, 0)


def test_a_function_that_is_gone_ends_its_events_at_once() -> None:
    assert after_attempt(event(), GONE, 1.0, LIMITS) == Ended(Condition.RETRIES_EXHAUSTED, GONE, 0)


def test_a_switched_off_function_ends_its_events_untried() -> None:
    found = before_attempt(event(), 1.0, EventPolicy(is_switched_off=True))

    assert found == Ended(Condition.ZERO_RESERVED_CONCURRENCY)


@given(st.integers(0, 10_000), st.floats(0, AGE_S_MAX))
def test_waits_after_throttles_grow_and_are_bounded(backoffs: int, now: float) -> None:
    following = again(after_attempt(event(backoffs=backoffs), THROTTLED, now, LIMITS))

    assert 1.0 <= round(following.due_at - now, 6) <= BACKOFF_S_MAX
    assert following.failures == 0


@given(
    st.integers(0, 2),
    st.integers(60, 21_600),
    st.lists(st.sampled_from([SUCCEEDED, FAILED, THROTTLED, GONE])),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_every_event_ends_once_and_whoever_is_to_be_told_is(
    retries_max: int,
    age_s_max: int,
    outcomes: list[InvocationResult | Refusal],
    has_success: bool,
    has_failure: bool,
    has_dead_letter: bool,
) -> None:
    limits = EventLimits(retries_max, age_s_max)
    policy = EventPolicy(limits, "arn:success" * has_success, "arn:failure" * has_failure, "arn:dead" * has_dead_letter)
    trying, ends, now, runs = event(), [], 0.0, 0

    # Whatever is left of the outcomes, a throttled event gets too old: so each event comes to an end.
    for outcome in [*outcomes, *[THROTTLED] * 400]:
        now = trying.due_at
        found = before_attempt(trying, now, policy)
        if found is None:
            runs += isinstance(outcome, InvocationResult)
            following = after_attempt(trying, outcome, now, limits)
            if isinstance(following, Event):
                trying = following
                continue
            found = following
        ends.append(found)
        break

    (end,) = ends
    told = [each.arn for each in outgoing(trying, end, policy, function_arn=ARN, now=now, unique_id="u")]
    success, failure, dead = policy.on_success, policy.on_failure, policy.dead_letter
    assert told == [arn for arn in ([success] if end.condition is Condition.SUCCESS else [failure, dead]) if arn]
    assert end.runs == runs <= retries_max + 1
    assert now <= age_s_max + BACKOFF_S_MAX


def test_the_record_is_awss() -> None:
    end = Ended(Condition.RETRIES_EXHAUSTED, FAILED, 3)

    record = json.loads(invocation_record(event(), end, ARN, 1_573_755_365.568))

    assert record == {
        "version": "1.0",
        "timestamp": "2019-11-14T18:16:05.568Z",
        "requestContext": {
            "requestId": "r",
            "functionArn": ARN,
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"order": 7},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": "no such order", "errorType": "KeyError"},
    }


def test_a_records_time_never_has_the_next_second_with_the_last_ones_milliseconds() -> None:
    record = json.loads(invocation_record(event(), Ended(Condition.EVENT_AGE_EXCEEDED, THROTTLED), ARN, 1.9999999))

    assert record["timestamp"] == "1970-01-01T00:00:02.000Z"


def test_a_response_that_is_nested_thousands_deep_is_in_the_record_as_text() -> None:
    nested = b"[" * 100_000 + b"]" * 100_000
    end = Ended(Condition.SUCCESS, InvocationResult(RequestId("r"), nested, "$LATEST", None), 1)

    record = json.loads(invocation_record(event(), end, ARN, 0.0))

    assert record["responsePayload"] == nested.decode()


def test_a_record_of_an_event_that_never_ran_has_no_response() -> None:
    record = json.loads(invocation_record(event(), Ended(Condition.EVENT_AGE_EXCEEDED, THROTTLED), ARN, 0.0))

    assert record.keys() == {"version", "timestamp", "requestContext", "requestPayload"}
    assert record["requestContext"]["condition"] == "EventAgeExceeded"


def test_a_response_that_is_no_json_is_told_as_text() -> None:
    odd = replace(SUCCEEDED, payload=b"\xff<html>")

    record = json.loads(invocation_record(event(), Ended(Condition.SUCCESS, odd, 1), ARN, 0.0))

    assert record["responsePayload"] == "\ufffd<html>"


def test_a_bus_and_a_bucket_get_what_they_ask_for() -> None:
    policy = EventPolicy(on_failure="arn:aws:events:us-east-1:123456789012:event-bus/b")

    (told,) = outgoing(
        event(), Ended(Condition.RETRIES_EXHAUSTED, FAILED, 3), policy, function_arn=ARN, now=0.0, unique_id="u-1"
    )

    envelope = told.delivery.envelope
    assert envelope is not None
    assert (envelope.source, envelope.detail_type) == ("lambda", "Lambda Function Invocation Result - Failure")
    assert envelope.resources == (ARN, policy.on_failure)
    assert told.delivery.object_key == "aws/lambda/async/f/1970/01/01/1970-01-01T00.00.00-u-1"


def test_a_dead_letter_is_the_event_as_it_was_with_the_reason_beside_it() -> None:
    policy = EventPolicy(dead_letter="arn:dead")
    long = replace(FAILED, payload=json.dumps({"errorMessage": "x" * 2_000}).encode())

    (failed,) = outgoing(
        event(), Ended(Condition.RETRIES_EXHAUSTED, long, 3), policy, function_arn=ARN, now=0.0, unique_id="u"
    )
    (throttled,) = outgoing(
        event(), Ended(Condition.EVENT_AGE_EXCEEDED, THROTTLED), policy, function_arn=ARN, now=0.0, unique_id="u"
    )

    assert failed.is_dead_letter
    assert failed.delivery.body == '{"order":7}'
    attributes = failed.delivery.attributes
    assert (attributes["RequestID"].text, attributes["ErrorCode"].text) == ("r", "200")
    assert attributes["ErrorCode"].data_type == "Number"
    assert attributes["ErrorMessage"].text == "x" * 1_024
    assert throttled.delivery.attributes["ErrorCode"].text == "429"
    assert throttled.delivery.attributes["ErrorMessage"].text == "Rate Exceeded."
