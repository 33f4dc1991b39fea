"""Subscriptions to telemetry, and what waits for subscribers."""

import json
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.functions.telemetry import (
    BACKLOG_BATCHES_MAX,
    Buffering,
    InvalidSubscription,
    TelemetryBuffer,
    read_subscription,
)

BUFFERING = Buffering(max_items=1_000, max_bytes=262_144, timeout_ms=100)
GOOD: dict[str, Any] = {
    "schemaVersion": "2022-12-13",
    "types": ["platform", "function"],
    "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/in?a=1"},
}


def read(**changed: Any) -> Any:
    return read_subscription(json.dumps({**GOOD, **changed}).encode())


def test_a_subscription_has_awss_defaults() -> None:
    found = read()

    assert (found.types, found.protocol, found.port, found.target) == (
        ("platform", "function"),
        "HTTP",
        8080,
        "/in?a=1",
    )
    assert found.buffering == Buffering(max_items=10_000, max_bytes=262_144, timeout_ms=1_000)


@pytest.mark.parametrize(
    "destination", [{"protocol": "TCP", "port": 8080}, {"protocol": "TCP", "URI": "tcp://sandbox.localdomain:8080"}]
)
def test_a_tcp_destination_is_a_port(destination: dict[str, Any]) -> None:
    assert read(destination=destination).port == 8080


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"schemaVersion": "1999-01-01"}, "1999-01-01"),
        ({"types": []}, "types"),
        ({"types": ["gossip"]}, "gossip"),
        ({"buffering": {"maxItems": 999}}, "maxItems"),
        ({"buffering": {"maxBytes": 1_048_577}}, "maxBytes"),
        ({"buffering": {"timeoutMs": 24}}, "timeoutMs"),
        ({"destination": {"protocol": "SMTP", "URI": "http://sandbox:1"}}, "SMTP"),
        ({"destination": {"protocol": "HTTP", "URI": "https://sandbox:1"}}, "begins with http://"),
        ({"destination": {"protocol": "HTTP", "URI": "http://example.com:8080"}}, "sandbox.localdomain"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox:99999"}}, "ort"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox:9001"}}, "9001"),
        ({"destination": {"protocol": "TCP"}}, "no port"),
    ],
)
def test_a_subscription_that_is_none_is_refused_with_the_reason(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidSubscription, match=why):
        read(**changed)


def test_a_batch_is_due_when_it_is_full_old_or_wanted() -> None:
    buffer = TelemetryBuffer(BUFFERING)
    nothing = buffer.due()

    buffer.add(b"x", 5.0)
    buffer.add(b"y", 6.0)
    by_age = buffer.due()
    buffer.flush()
    by_flush = buffer.due()
    buffer.take(0.0)
    for _ in range(1_000):
        buffer.add(b"z", 7.0)

    assert (nothing, by_age, by_flush, buffer.due()) == (inf, 5.1, -inf, -inf)


@given(st.lists(st.one_of(st.integers(1, 100_000), st.none()), max_size=60))
def test_events_come_in_their_order_and_what_is_dropped_is_counted(steps: list[int | None]) -> None:
    """A number is an event of that size; None takes a batch."""
    buffer = TelemetryBuffer(BUFFERING)
    added, taken, dropped = 0, 0, 0
    numbers: list[int] = []
    for step in [*steps, *[None] * 20]:
        if step is not None:
            buffer.add(f"{added:08}".encode() + b"x" * step, 0.0)
            added += 1
            continue
        batch = buffer.take(0.0)
        for event in batch:
            if event.startswith(b"{"):
                dropped += json.loads(event)["record"]["droppedRecords"]
            else:
                numbers.append(int(event[:8]))
                taken += 1
        assert sum(map(len, batch)) < 2 * BUFFERING.max_bytes + 1_000

    assert taken + dropped == added
    assert numbers == sorted(set(numbers))
    assert buffer.due() == inf


def test_a_subscriber_far_behind_loses_what_comes_next() -> None:
    buffer = TelemetryBuffer(BUFFERING)
    size = BUFFERING.max_bytes // 2

    for _ in range(2 * BACKLOG_BATCHES_MAX + 3):
        buffer.add(b"x" * size, 0.0)
    batches = [buffer.take(1.0) for _ in range(BACKLOG_BATCHES_MAX)]

    assert [len(batch) for batch in batches] == [2, 2, 2, 3]
    event = json.loads(batches[-1][-1])
    assert event["type"] == "platform.logsDropped"
    assert (event["record"]["droppedRecords"], event["record"]["droppedBytes"]) == (3, 3 * size)
