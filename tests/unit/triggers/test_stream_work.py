"""A batch of records until each is done or given up: retries, splitting, age, size; and what holds always."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.topics import T0_MS, record
from workshape.functions.model import LATEST, InvocationResult, RequestId
from workshape.triggers.kafka_event import Condition, GivenUp, RecordEntry, entry_of
from workshape.triggers.model import FailurePolicy
from workshape.triggers.stream_work import RETRIES_WITH_DESTINATION, RETRY_DELAY_S_MAX, Attempt, Pause, StreamWork

BYTES_MAX = 6 * 1024 * 1024
RESULT = InvocationResult(RequestId("1"), b"", LATEST, "Unhandled")
FAR = 1e9


def entries(count: int, at_ms: int = T0_MS) -> list[RecordEntry]:
    return [entry_of(record(0, offset, at_ms=at_ms)) for offset in range(count)]


def offsets(batch: object) -> list[int]:
    assert isinstance(batch, Attempt)
    return [entry.record.offset for entry in batch.batch.entries]


def fail(work: StreamWork, step: object, now: float = 0.0) -> None:
    assert isinstance(step, Attempt)
    work.failed({entry.id for entry in step.batch.entries}, RESULT, now, whole=True)


def work_with(policy: FailurePolicy, count: int = 1) -> StreamWork:
    work = StreamWork(policy, BYTES_MAX)
    work.begin(entries(count))
    return work


def test_a_batch_that_succeeds_is_done() -> None:
    work = work_with(FailurePolicy(), 3)

    assert offsets(work.step(0, T0_MS)) == [0, 1, 2]
    work.succeeded()

    assert work.step(0, T0_MS) is None


def test_a_batch_is_retried_as_often_as_the_policy_says_more_and_more_rarely() -> None:
    work, now, pauses = work_with(FailurePolicy(retries_max=3), 2), 0.0, []

    for _ in range(4):
        while isinstance(step := work.step(now, T0_MS), Pause):
            pauses.append(step.until - now)
            now = step.until
        fail(work, step, now)
    given_up = work.step(now, T0_MS)

    assert pauses == [0.5, 1.0, 2.0]
    assert isinstance(given_up, GivenUp)
    assert (given_up.condition, given_up.invocations, given_up.result) == (Condition.RETRIES_EXHAUSTED, 4, RESULT)
    assert work.step(now, T0_MS) is None


@pytest.mark.parametrize(("destination", "invocations"), [("arn:aws:sqs:x", RETRIES_WITH_DESTINATION + 1), ("", None)])
def test_endless_retries_are_ten_where_there_is_a_destination(destination: str, invocations: int | None) -> None:
    work = work_with(FailurePolicy(destination))

    for _ in range(invocations or 50):
        fail(work, work.step(FAR, T0_MS))
    step = work.step(FAR, T0_MS)

    assert isinstance(step, GivenUp if invocations else Attempt)
    assert isinstance(work.step(0, T0_MS), Pause) is (invocations is None)


def test_a_failing_batch_is_split_until_the_bad_record_stands_alone() -> None:
    work = work_with(FailurePolicy(retries_max=1, bisect=True), 8)
    seen, given_up = [], []

    while (step := work.step(FAR, T0_MS)) is not None:
        if isinstance(step, GivenUp):
            given_up += [entry.record.offset for entry in step.entries]
            continue
        seen.append(offsets(step))
        if 5 in seen[-1]:
            fail(work, step)
        else:
            work.succeeded()

    assert seen == [list(range(8)), [0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [4], [5], [5], [6, 7]]
    assert given_up == [5]


def test_only_reported_records_come_again() -> None:
    work = work_with(FailurePolicy(retries_max=1, bisect=True), 4)

    step = work.step(0, T0_MS)
    assert isinstance(step, Attempt)
    work.failed({step.batch.entries[1].id, step.batch.entries[3].id}, RESULT, 0, whole=False)

    assert offsets(work.step(FAR, T0_MS)) == [1, 3]


def test_what_is_too_old_is_given_up_before_it_is_tried() -> None:
    work = StreamWork(FailurePolicy(age_s_max=60), BYTES_MAX)
    work.begin([*entries(2), *[replace(each, record=record(0, 2, at_ms=T0_MS + 1)) for each in entries(1)]])

    given_up = work.step(0, T0_MS + 60_001)

    assert isinstance(given_up, GivenUp)
    assert [entry.record.offset for entry in given_up.entries] == [0, 1]
    assert (given_up.condition, given_up.invocations, given_up.result) == (Condition.TOO_OLD, 0, None)
    assert offsets(work.step(0, T0_MS + 60_001)) == [2]


def test_a_record_that_no_event_can_hold_is_given_up_untried() -> None:
    work = StreamWork(FailurePolicy(), 2_000)
    work.begin([entry_of(record(0, 0, "x" * 2_000))])

    given_up = work.step(0, T0_MS)

    assert isinstance(given_up, GivenUp)
    assert (given_up.condition, given_up.result) == (Condition.TOO_LARGE, None)
    assert work.step(0, T0_MS) is None


def test_being_throttled_is_no_retry() -> None:
    work, now = work_with(FailurePolicy(retries_max=0)), 0.0

    for _ in range(20):
        assert isinstance(work.step(now, T0_MS), Attempt)
        work.refused(now)
        step = work.step(now, T0_MS)
        assert isinstance(step, Pause)
        assert step.until - now <= RETRY_DELAY_S_MAX
        now = step.until

    assert isinstance(work.step(now, T0_MS), Attempt)


POLICIES = st.builds(
    FailurePolicy,
    destination=st.sampled_from(["", "arn"]),
    retries_max=st.integers(0, 4),
    age_s_max=st.sampled_from([-1, 60]),
    bisect=st.booleans(),
)


@given(POLICIES, st.lists(st.integers(1, 9), min_size=1, max_size=3), st.data())
def test_every_record_ends_once_in_order_and_within_its_tries(
    policy: FailurePolicy, counts: list[int], data: st.DataObject
) -> None:
    """No record is lost, none ends twice, a split batch is tried in order, and nothing is tried for ever."""
    work, total = StreamWork(policy, BYTES_MAX), sum(counts)
    every = entries(total)
    for count in counts:
        work.begin(every[:count])
        every = every[count:]
    now, wall_ms, ended, tries = 0.0, float(T0_MS), Counter[int](), Counter[int]()

    for _ in range(10_000):
        step = work.step(now, wall_ms)
        if step is None:
            break
        if isinstance(step, Pause):
            wall_ms += (step.until - now) * 1_000
            now = step.until
        elif isinstance(step, GivenUp):
            ended.update(entry.record.offset for entry in step.entries)
        else:
            tried = [entry.record.offset for entry in step.batch.entries]
            assert tried == sorted(tried)
            assert not any(ended[offset] for offset in tried)
            how = data.draw(st.sampled_from(["succeeds", "fails", "reports", "throttled"]), label="how")
            if how == "throttled":
                work.refused(now)
                continue
            tries.update(tried)
            if how == "succeeds":
                ended.update(tried)
                work.succeeded()
            elif how == "fails":
                fail(work, step, now)
            else:
                bad = set(data.draw(st.lists(st.sampled_from(tried), min_size=1, unique=True), label="bad"))
                ended.update(offset for offset in tried if offset not in bad)
                failed = {entry.id for entry in step.batch.entries if entry.record.offset in bad}
                work.failed(failed, RESULT, now, whole=False)

    assert ended == Counter(dict.fromkeys(range(total), 1))
    assert all(count <= policy.retries_max + 1 + 4 for count in tries.values())  # 4 splits make 9 records single
