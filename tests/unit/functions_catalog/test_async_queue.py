"""Event invocations: none that was accepted is lost, and each is tried as often as Lambda would."""

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.fakes.invocations import Asked, FakeInvoke, echo
from workshape.clock import Clock
from workshape.errors import BackendUnavailable
from workshape.functions.async_queue import (
    BACKOFF_S_MAX,
    AsyncQueue,
    Event,
    EventsFull,
    after_backoff,
    after_failure,
)
from workshape.functions.concurrency import ThrottleReason, TooManyRequests
from workshape.functions.event_invoke import AGE_S_MAX, EventInvokeConfig, EventLimits, limits_of
from workshape.functions.function_metrics import FunctionMetrics
from workshape.functions.function_name import FunctionNotFound
from workshape.functions.function_state import FunctionNotActive
from workshape.functions.model import InvocationResult
from workshape.store.documents import Documents

KIND = "async-invocation"
LIMITS = EventLimits()


class HandClock(Clock):
    """Its hands are moved by the test."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def wall_s(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Documents]:
    store = Documents(tmp_path / "store.sqlite")
    yield store
    store.close()


@asynccontextmanager
async def running(queue: AsyncQueue) -> Any:
    task = asyncio.create_task(queue.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def event(**changes: Any) -> Event:
    return Event("r", "f", None, b"{}", 0.0, 0.0, **changes)


def failing(asked: Asked) -> InvocationResult:
    return replace(echo(asked), function_error="Unhandled")


def test_a_function_that_fails_is_tried_after_one_minute_and_after_two_more() -> None:
    first = after_failure(event(), 10.0, LIMITS)
    assert first is not None
    second = after_failure(first, 80.0, LIMITS)
    assert second is not None

    assert (first.due_at, second.due_at) == (70.0, 200.0)
    assert after_failure(second, 210.0, LIMITS) is None


def test_an_event_that_would_be_too_old_is_given_up() -> None:
    assert after_failure(event(), AGE_S_MAX - 30.0, LIMITS) is None
    assert after_backoff(event(), AGE_S_MAX + 1.0, LIMITS) is None


@given(st.integers(0, 10_000), st.floats(0, AGE_S_MAX))
def test_waits_after_throttles_grow_and_are_bounded(backoffs: int, now: float) -> None:
    following = after_backoff(event(backoffs=backoffs), now, LIMITS)

    assert following is not None
    assert 1.0 <= round(following.due_at - now, 6) <= BACKOFF_S_MAX
    assert following.failures == 0


async def test_an_accepted_event_runs_once_and_is_forgotten(store: Documents) -> None:
    invoke = FakeInvoke(lambda name, qualifier: None)
    queue = AsyncQueue(store, invoke, HandClock(), FunctionMetrics())

    queue.put("r1", "f", "live", b"[1]", client_context="{}", trace_id="Root=1")
    durable = len(store.all(KIND))
    async with running(queue):
        await settled()

    assert durable == 1
    assert invoke.asked == [Asked("f", "live", b"[1]", "event", "r1", "{}", "Root=1", False)]
    assert store.all(KIND) == []


async def test_what_was_not_finished_runs_after_a_restart(store: Documents) -> None:
    invoke, clock = FakeInvoke(lambda name, qualifier: None, failing), HandClock()
    first = AsyncQueue(store, invoke, clock, FunctionMetrics())
    first.put("r1", "f", None, b"1")
    async with running(first):
        await settled()
    first.put("r2", "f", None, b"2")

    clock.now += 60.0
    async with running(AsyncQueue(store, invoke, clock, FunctionMetrics())):
        await settled()

    assert sorted(asked.request_id for asked in invoke.asked) == ["r1", "r1", "r2"]
    assert len(store.all(KIND)) == 2


async def test_three_failures_are_enough(store: Documents) -> None:
    invoke, clock = FakeInvoke(lambda name, qualifier: None, failing), HandClock()
    queue = AsyncQueue(store, invoke, clock, FunctionMetrics())
    queue.put("r1", "f", None, b"1")

    for wait_s in (0.0, 59.0, 1.0, 119.0, 1.0, 3_600.0):
        clock.now += wait_s
        async with running(queue):
            await settled()

    assert len(invoke.asked) == 3
    assert store.all(KIND) == []


@pytest.mark.parametrize(
    "error",
    [
        TooManyRequests(reason_code=ThrottleReason.ACCOUNT.value),
        BackendUnavailable(backend="it", address="there", reason="so"),
        FunctionNotActive(state="Pending"),
        KeyError("unforeseen"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_could_not_be_run_is_kept_and_does_not_count_as_a_failure(
    store: Documents, error: Exception
) -> None:
    def refuse(_asked: Asked) -> InvocationResult:
        raise error

    invoke, clock = FakeInvoke(lambda name, qualifier: None, refuse), HandClock()
    queue = AsyncQueue(store, invoke, clock, FunctionMetrics())
    queue.put("r1", "f", None, b"1")

    for _ in range(6):
        async with running(queue):
            await settled()
        clock.now += BACKOFF_S_MAX

    assert len(invoke.asked) == 6
    assert len(store.all(KIND)) == 1
    invoke.answer = echo
    async with running(queue):
        await settled()
    assert store.all(KIND) == []


@given(st.integers(0, 2), st.integers(60, 21_600), st.lists(st.booleans(), max_size=10))
def test_no_event_is_tried_more_often_or_longer_than_it_may_be(
    retries_max: int, age_s_max: int, failures: list[bool]
) -> None:
    limits = limits_of(EventInvokeConfig(0.0, retries_max, age_s_max))
    trying: Event | None = event()
    attempts_failed = 0

    for failed in failures:
        if trying is None:
            break
        assert trying.due_at <= age_s_max + BACKOFF_S_MAX
        attempts_failed += failed
        trying = (after_failure if failed else after_backoff)(trying, trying.due_at, limits)

    assert attempts_failed <= retries_max + 1
    assert trying is None or attempts_failed <= retries_max


async def test_the_limits_of_its_qualifier_are_an_events_own(store: Documents) -> None:
    asked: list[tuple[str, str | None]] = []

    def limits(name: str, qualifier: str | None) -> EventLimits:
        asked.append((name, qualifier))
        return EventLimits(retries_max=0) if qualifier == "live" else EventLimits(age_s_max=60)

    invoke, clock = FakeInvoke(lambda name, qualifier: None, failing), HandClock()
    queue = AsyncQueue(store, invoke, clock, FunctionMetrics(), limits=limits)
    queue.put("r1", "f", "live", b"1")
    async with running(queue):
        await settled()
    queue.put("r2", "f", None, b"1")
    clock.now += 61.0
    async with running(queue):
        await settled()

    assert [request.request_id for request in invoke.asked] == ["r1"], "the second had waited too long"
    assert asked == [("f", "live"), ("f", None)]
    assert store.all(KIND) == []


async def test_an_event_for_a_function_that_is_gone_is_dropped(store: Documents) -> None:
    def resolve(name: str, _qualifier: str | None) -> None:
        raise FunctionNotFound(kind="function", name=name)

    queue = AsyncQueue(store, FakeInvoke(resolve), HandClock(), FunctionMetrics())
    queue.put("r1", "f", None, b"1")

    async with running(queue):
        await settled()

    assert store.all(KIND) == []


async def test_more_than_fits_is_refused(store: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workshape.functions.async_queue.EVENTS_MAX", 2)
    queue = AsyncQueue(store, FakeInvoke(lambda name, qualifier: None), HandClock(), FunctionMetrics())
    queue.put("r1", "f", None, b"1")
    queue.put("r2", "f", None, b"2")

    with pytest.raises(EventsFull, match="2 of 2"):
        queue.put("r3", "f", None, b"3")

    assert len(store.all(KIND)) == 2
