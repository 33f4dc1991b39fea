"""Event invocations: none that was accepted is lost, and each is tried as often as Lambda would."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from tests.fakes.invocations import FakeInvoke, echo
from workshape.clock import Clock
from workshape.delivery import Delivery
from workshape.errors import BackendUnavailable
from workshape.functions.async_event import BACKOFF_S_MAX
from workshape.functions.async_queue import AsyncQueue, EventsFull
from workshape.functions.concurrency import ThrottleReason, TooManyRequests
from workshape.functions.event_invoke import EventLimits, EventPolicy
from workshape.functions.function_metrics import FunctionMetrics
from workshape.functions.function_name import FunctionNotFound
from workshape.functions.function_state import FunctionNotActive
from workshape.functions.lineage import entered
from workshape.functions.model import InvocationRequest, InvocationResult
from workshape.store.documents import Documents

KIND = "async-invocation"


class HandClock(Clock):
    """Its hands are moved by the test."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def wall_s(self) -> float:
        return self.now


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


def failing(asked: InvocationRequest) -> InvocationResult:
    return replace(echo(asked), function_error="Unhandled")


async def test_an_accepted_event_runs_once_and_is_forgotten(store: Documents) -> None:
    invoke = FakeInvoke(lambda name, qualifier: None)
    queue = AsyncQueue(store, invoke, HandClock(), FunctionMetrics())

    await queue.put("r1", "f", "live", b"[1]", client_context="{}", trace_id="Root=1")
    durable = len(store.all(KIND))
    async with running(queue):
        await settled()

    assert durable == 1
    trace = entered("Root=1", "f")
    assert invoke.asked == [InvocationRequest("f", "live", b"[1]", "event", "r1", "{}", trace, False)]
    assert store.all(KIND) == []


async def test_what_was_not_finished_runs_after_a_restart(store: Documents) -> None:
    invoke, clock = FakeInvoke(lambda name, qualifier: None, failing), HandClock()
    first = AsyncQueue(store, invoke, clock, FunctionMetrics())
    await first.put("r1", "f", None, b"1")
    async with running(first):
        await settled()
    await first.put("r2", "f", None, b"2")

    clock.now += 60.0
    async with running(AsyncQueue(store, invoke, clock, FunctionMetrics())):
        await settled()

    assert sorted(asked.request_id for asked in invoke.asked) == ["r1", "r1", "r2"]
    assert len(store.all(KIND)) == 2


async def test_three_failures_are_enough(store: Documents) -> None:
    invoke, clock = FakeInvoke(lambda name, qualifier: None, failing), HandClock()
    queue = AsyncQueue(store, invoke, clock, FunctionMetrics())
    await queue.put("r1", "f", None, b"1")

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
    def refuse(_asked: InvocationRequest) -> InvocationResult:
        raise error

    invoke, clock = FakeInvoke(lambda name, qualifier: None, refuse), HandClock()
    queue = AsyncQueue(store, invoke, clock, FunctionMetrics())
    await queue.put("r1", "f", None, b"1")

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


class Narrow:
    """Runs one invocation at a time, and refuses more."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.refused = 0
        self._is_busy = False

    async def __call__(self, request: InvocationRequest) -> InvocationResult:
        if self._is_busy:
            self.refused += 1
            raise TooManyRequests(reason_code=ThrottleReason.RESERVED)
        self._is_busy = True
        await asyncio.sleep(0.005)
        self._is_busy = False
        self.done.append(request.request_id)
        return echo(request)


async def test_a_function_that_takes_one_event_at_a_time_is_kept_at_work(store: Documents) -> None:
    invoke = Narrow()
    queue = AsyncQueue(store, invoke, Clock(), FunctionMetrics())
    names = [str(number) for number in range(200)]
    for name in names:
        await queue.put(name, "f", None, b"{}")

    async with running(queue), asyncio.timeout(20):
        while len(invoke.done) < len(names):
            await asyncio.sleep(0.01)

    assert sorted(invoke.done) == sorted(names)
    assert store.all(KIND) == []


async def test_the_limits_of_its_qualifier_are_an_events_own(store: Documents) -> None:
    asked: list[tuple[str, str | None]] = []

    def policy(name: str, qualifier: str | None) -> EventPolicy:
        asked.append((name, qualifier))
        return EventPolicy(EventLimits(retries_max=0) if qualifier == "live" else EventLimits(age_s_max=60))

    invoke, clock = FakeInvoke(lambda name, qualifier: None, failing), HandClock()
    queue = AsyncQueue(store, invoke, clock, FunctionMetrics(), policy=policy)
    await queue.put("r1", "f", "live", b"1")
    async with running(queue):
        await settled()
    await queue.put("r2", "f", None, b"1")
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
    await queue.put("r1", "f", None, b"1")

    async with running(queue):
        await settled()

    assert store.all(KIND) == []


async def test_more_than_fits_is_refused(store: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workshape.functions.async_queue.EVENTS_MAX", 2)
    queue = AsyncQueue(store, FakeInvoke(lambda name, qualifier: None), HandClock(), FunctionMetrics())
    await queue.put("r1", "f", None, b"1")
    await queue.put("r2", "f", None, b"2")

    with pytest.raises(EventsFull, match="2 of 2"):
        await queue.put("r3", "f", None, b"3")

    assert len(store.all(KIND)) == 2


class Taken:
    """Takes deliveries over, or refuses to."""

    def __init__(self) -> None:
        self.deliveries: list[tuple[str, str | None, str, Delivery, bool]] = []
        self.refusals = 0

    async def __call__(
        self, function: str, qualifier: str | None, arn: str, delivery: Delivery, *, is_dead_letter: bool
    ) -> None:
        if self.refusals:
            self.refusals -= 1
            raise BackendUnavailable(backend="the store", address="there", reason="full")
        self.deliveries.append((function, qualifier, arn, delivery, is_dead_letter))


async def test_an_event_is_forgotten_only_when_its_end_has_been_handed_over(
    store: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workshape.functions.async_queue.BACKOFF_S_MIN", 0.0)
    taken = Taken()
    taken.refusals = 3
    kept = []
    queue = AsyncQueue(
        store,
        FakeInvoke(lambda name, qualifier: None),
        HandClock(),
        FunctionMetrics(),
        policy=lambda _name, _qualifier: EventPolicy(on_success="arn:success", on_failure="arn:failure"),
    )
    queue.connect(taken)
    await queue.put("r1", "f", "live", b"1")

    async with running(queue):
        while not taken.deliveries:
            kept.append(len(store.all(KIND)))
            await asyncio.sleep(0)
        await settled()

    ((function, qualifier, arn, delivery, is_dead_letter),) = taken.deliveries
    assert (function, qualifier, arn, is_dead_letter) == ("f", "live", "arn:success", False)
    assert '"condition":"Success"' in delivery.body
    assert set(kept) == {1}
    assert store.all(KIND) == []


async def test_a_function_that_is_switched_off_is_not_run_and_its_owner_is_told(store: Documents) -> None:
    taken, invoke = Taken(), FakeInvoke(lambda name, qualifier: None)
    policy = EventPolicy(on_failure="arn:failure", dead_letter="arn:dead", is_switched_off=True)
    metrics = FunctionMetrics()
    queue = AsyncQueue(store, invoke, HandClock(), metrics, policy=lambda _name, _qualifier: policy)
    queue.connect(taken)
    await queue.put("r1", "f", None, b"1")

    async with running(queue):
        await settled()

    assert invoke.asked == []
    assert [(arn, is_dead_letter) for _, _, arn, _, is_dead_letter in taken.deliveries] == [
        ("arn:failure", False),
        ("arn:dead", True),
    ]
    assert "AsyncEventsDropped" in {point.metric.name for point in metrics.take(0.0)}
    assert store.all(KIND) == []
