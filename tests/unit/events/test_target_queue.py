"""Invocations on their way: durable when accepted, each brought to one end, tried as their policy says."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workshape.clock import Clock
from workshape.delivery import Delivered, Delivery, DeliveryOutcome, Undelivered
from workshape.events.api_destinations.invocation_rate import IN_FLIGHT_MAX, InvocationRates
from workshape.events.event_metrics import EventMetrics
from workshape.events.invocation import Occurrence, TargetInvocation
from workshape.events.retry import RetryPolicy
from workshape.events.target_queue import TargetQueue, TargetQueueFull
from workshape.store.documents import Documents

RULE = "arn:aws:events:us-east-1:123456789012:rule/r"
BUSY = Undelivered("RequestThrottled", "slow down", retryable=True, status=429)
GONE = Undelivered("AWS.SimpleQueueService.NonExistentQueue", "no such queue", retryable=False)
WAIT_S_MAX = 30.0


class Letters:
    """A dead-letter queue."""

    def __init__(self) -> None:
        self.arrived: list[Delivery] = []

    async def deliver(self, _arn: str, delivery: Delivery) -> DeliveryOutcome:
        """Take one."""
        self.arrived.append(delivery)
        return Delivered()


def invocation(key: str = "1", **more: object) -> TargetInvocation:
    now = Clock().wall_s()
    given = {"origin": RULE, "target_arn": "arn:t", "body": b"{}", "accepted_at": now, "due_at": now, **more}
    return TargetInvocation(id=key, **given)  # type: ignore[arg-type]  # fields by their names


def opened(store: Documents, letters: Letters | None = None) -> TargetQueue:
    return TargetQueue(store, (letters or Letters()).deliver, EventMetrics(), Clock())


async def run_until(
    queue: TargetQueue, send: Callable[[TargetInvocation], Awaitable[DeliveryOutcome]], condition: Callable[[], object]
) -> None:
    running = asyncio.create_task(queue.run(send))
    async with asyncio.timeout(WAIT_S_MAX):
        while not condition():
            await asyncio.sleep(0.001)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.fixture
def store(tmp_path: Path) -> Documents:
    return Documents(tmp_path / "store.sqlite")


async def test_what_is_accepted_survives_a_crash_and_is_sent_after_it(store: Documents) -> None:
    await opened(store).accept([invocation("1"), invocation("2")], [("mark", "m", b"x")])
    sent: list[str] = []

    async def send(one: TargetInvocation) -> DeliveryOutcome:
        sent.append(one.id)
        return Delivered()

    after = opened(store)
    await run_until(after, send, lambda: len(after) == 0)

    assert sorted(sent) == ["1", "2"]
    assert dict(store.all("mark")) == {"m": b"x"}
    assert len(opened(store)) == 0, "nothing is left on disk"


async def test_callers_of_one_moment_share_a_write_and_each_finds_its_own_on_disk(store: Documents) -> None:
    queue = opened(store)

    await asyncio.gather(*(queue.accept([invocation(str(number))]) for number in range(50)))

    assert len(opened(store)) == 50


async def test_a_schedules_dead_letter_queue_is_told_when_no_target_is_to_blame(store: Documents) -> None:
    letters = Letters()
    queue = opened(store, letters)

    async def send(_one: TargetInvocation) -> DeliveryOutcome:
        raise RuntimeError("a defect")

    policy, occurrence = RetryPolicy(retries_max=0), Occurrence(0.0, "e")
    await queue.accept([invocation(policy=policy, dead_letter_arn="arn:dead", occurrence=occurrence)])
    await run_until(queue, send, lambda: len(queue) == 0)

    (letter,) = letters.arrived
    assert letter.attributes["ERROR_CODE"].text == "AWS.Scheduler.InternalServerError"


async def test_a_target_that_is_busy_is_tried_again_until_it_takes_it(store: Documents) -> None:
    queue, attempts = opened(store), list[int]()

    async def send(one: TargetInvocation) -> DeliveryOutcome:
        attempts.append(one.retries)
        return BUSY if len(attempts) < 2 else Delivered()

    await queue.accept([invocation()])
    await run_until(queue, send, lambda: len(queue) == 0)

    assert attempts == [0, 1]


async def test_exhausted_retries_go_to_the_dead_letter_queue_with_the_limit(store: Documents) -> None:
    letters = Letters()
    queue = opened(store, letters)

    async def send(_one: TargetInvocation) -> DeliveryOutcome:
        return BUSY

    policy = RetryPolicy(retries_max=0)
    await queue.accept([invocation(policy=policy, dead_letter_arn="arn:dead", dead_body=b'{"event": 1}')])
    await run_until(queue, send, lambda: len(queue) == 0)

    (letter,) = letters.arrived
    assert letter.body == '{"event": 1}'
    assert {name: value.text for name, value in letter.attributes.items()} == {
        "ERROR_CODE": "THROTTLING",
        "ERROR_MESSAGE": "slow down",
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
        "RETRY_ATTEMPTS": "0",
        "RULE_ARN": RULE,
        "TARGET_ARN": "arn:t",
    }


async def test_a_target_that_is_not_there_is_given_up_at_once(store: Documents) -> None:
    queue, ended = opened(store), list[str]()
    queue.subscribe(lambda one: ended.append(one.id))

    async def send(_one: TargetInvocation) -> DeliveryOutcome:
        return GONE

    await queue.accept([invocation()])
    await run_until(queue, send, lambda: len(queue) == 0)

    assert ended == ["1"]


async def test_a_store_that_refuses_to_note_an_end_does_not_stop_the_others(store: Documents) -> None:
    queue, sent = opened(store), list[str]()
    await queue.accept([invocation("1"), invocation("2")])

    async def send(one: TargetInvocation) -> DeliveryOutcome:
        store.close()
        sent.append(one.id)
        return Delivered()

    await run_until(queue, send, lambda: len(sent) == 2)

    assert len(queue) == 2, "both are noted later"


async def test_more_than_an_engine_can_hold_is_refused(store: Documents) -> None:
    queue = TargetQueue(store, Letters().deliver, EventMetrics(), Clock(), bytes_max=100)
    await queue.accept([invocation(body=b"x" * 99)])
    queue.check_room()

    await queue.accept([invocation("2")])

    with pytest.raises(TargetQueueFull):
        queue.check_room()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["taken", "gone", "busy", "crash"]), min_size=1, max_size=12))
def test_every_invocation_comes_to_one_end(tmp_path: Path, fates: list[str]) -> None:
    store = Documents(tmp_path / "invariant.sqlite")
    letters, ended = Letters(), list[str]()
    outcomes: dict[str, DeliveryOutcome] = {"taken": Delivered(), "gone": GONE, "busy": BUSY}

    async def whole() -> None:
        queue = opened(store, letters)
        queue.subscribe(lambda one: ended.append(one.id))

        async def send(one: TargetInvocation) -> DeliveryOutcome:
            if fates[int(one.id)] == "crash":
                raise RuntimeError("a defect")
            return outcomes[fates[int(one.id)]]

        policy = RetryPolicy(retries_max=0)
        await queue.accept(
            [invocation(str(number), policy=policy, dead_letter_arn="arn:dead") for number in range(len(fates))]
        )
        await run_until(queue, send, lambda: len(queue) == 0)

    asyncio.run(whole())

    assert sorted(ended, key=int) == [str(number) for number in range(len(fates))]
    assert len(letters.arrived) == sum(fate != "taken" for fate in fates)
    assert not store.all("target-invocation")
    store.close()


def limited(store: Documents, rate: int, letters: Letters | None = None) -> TargetQueue:
    rates = InvocationRates(lambda arn: rate if arn == "arn:slow" else None)
    return TargetQueue(store, (letters or Letters()).deliver, EventMetrics(), Clock(), rates=rates)


async def test_a_target_is_invoked_no_more_a_second_than_its_rate_and_others_do_not_wait(store: Documents) -> None:
    queue, sent = limited(store, rate=20), list[tuple[str, float]]()

    async def send(one: TargetInvocation) -> DeliveryOutcome:
        sent.append((one.target_arn, Clock().monotonic_s()))
        return Delivered()

    began_at = Clock().monotonic_s()
    slow = [invocation(str(number), target_arn="arn:slow") for number in range(9)]
    await queue.accept([*slow, invocation("quick")])
    await run_until(queue, send, lambda: len(queue) == 0)

    times = [at for target, at in sent if target == "arn:slow"]
    assert len(times) == 9
    assert times[-1] - began_at >= 8 / 20 - 0.01
    assert [target for target, _ in sent].index("arn:t") < 2, "it did not stand in that line"


async def test_who_waits_for_a_rate_does_not_use_up_retries_and_is_there_after_a_crash(store: Documents) -> None:
    queue, retries = limited(store, rate=5), list[int]()

    async def send(one: TargetInvocation) -> DeliveryOutcome:
        retries.append(one.retries)
        return Delivered()

    await queue.accept([invocation(str(number), target_arn="arn:slow") for number in range(3)])
    await run_until(queue, send, lambda: len(retries) == 1)
    after = limited(store, rate=1_000)
    await run_until(after, send, lambda: len(after) == 0)

    assert retries == [0, 0, 0]


async def test_a_rate_is_kept_to_though_the_target_takes_its_time(store: Documents) -> None:
    queue, running, all_run = limited(store, rate=1_000), list[str](), asyncio.Event()

    async def send(one: TargetInvocation) -> DeliveryOutcome:
        running.append(one.id)
        if len(running) == 5:
            all_run.set()
        await all_run.wait()
        return Delivered()

    await queue.accept([invocation(str(number), target_arn="arn:slow") for number in range(5)])
    await run_until(queue, send, lambda: len(queue) == 0)

    assert sorted(running) == ["0", "1", "2", "3", "4"]


async def test_who_waits_for_a_target_that_has_all_its_requests_in_flight_goes_when_one_ends(store: Documents) -> None:
    queue, running, most = limited(store, rate=1_000_000), set[str](), asyncio.Event()

    async def send(one: TargetInvocation) -> DeliveryOutcome:
        running.add(one.id)
        if len(running) == IN_FLIGHT_MAX:
            asyncio.get_running_loop().call_later(0.1, most.set)  # the others have come by then, and stand in line
        await most.wait()
        return Delivered()

    await queue.accept([invocation(str(number), target_arn="arn:slow") for number in range(IN_FLIGHT_MAX + 3)])
    await run_until(queue, send, lambda: len(queue) == 0)

    assert len(running) == IN_FLIGHT_MAX + 3


async def test_what_waited_for_a_rate_until_it_was_too_old_goes_to_the_dead_letter_queue(store: Documents) -> None:
    letters = Letters()
    queue, sent = limited(store, rate=1_000, letters=letters), list[str]()

    async def send(one: TargetInvocation) -> DeliveryOutcome:
        sent.append(one.id)
        return Delivered()

    old = invocation("old", target_arn="arn:slow", accepted_at=Clock().wall_s() - 86_401, dead_letter_arn="arn:dead")
    await queue.accept([old, invocation("new", target_arn="arn:slow")])
    await run_until(queue, send, lambda: len(queue) == 0)

    (letter,) = letters.arrived
    assert sent == ["new"]
    assert letter.attributes["ERROR_CODE"].text == "THROTTLING"
    assert letter.attributes["EXHAUSTED_RETRY_CONDITION"].text == "MaximumEventAgeInSeconds"


async def test_a_line_goes_on_when_one_of_it_fails(store: Documents) -> None:
    queue, sent = limited(store, rate=1_000), list[str]()

    async def send(one: TargetInvocation) -> DeliveryOutcome:
        sent.append(one.id)
        if one.id == "0":
            raise RuntimeError("a defect")
        return GONE if one.id == "1" else Delivered()

    await queue.accept([invocation(str(number), target_arn="arn:slow") for number in range(4)])
    await run_until(queue, send, lambda: len(queue) == 1)

    assert sent[:4] == ["0", "1", "2", "3"]
