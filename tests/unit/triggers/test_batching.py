"""What goes into one batch: by count, by bytes, by time."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.messages import received
from workshape.functions.limits import SYNC_PAYLOAD_BYTES_MAX
from workshape.queues.limits import RECEIVE_COUNT_MAX
from workshape.triggers.batching import ENVELOPE_BYTES, Batch, Entry

NOW = 100.0


def entries(count: int, size_bytes: int = 2) -> list[Entry]:
    return [Entry(received(str(number)), b"1" * size_bytes) for number in range(count)]


def test_a_batch_without_a_window_is_due_with_its_first_message() -> None:
    batch = Batch(10, 0)
    assert not batch.is_due(NOW)

    batch.add(entries(1), NOW)

    assert batch.is_due(NOW)


def test_a_batch_is_due_when_it_is_full() -> None:
    batch = Batch(3, 300)

    batch.add(entries(2), NOW)
    assert not batch.is_due(NOW)
    batch.add(entries(1), NOW)

    assert batch.is_due(NOW)


def test_the_window_begins_with_the_first_message() -> None:
    batch = Batch(10, 5)
    assert batch.wait_s(NOW) == float("inf")
    batch.add([], NOW)
    assert not batch.is_due(NOW + 1_000)

    batch.add(entries(1), NOW)
    batch.add(entries(1), NOW + 4)

    assert (batch.wait_s(NOW + 4), batch.is_due(NOW + 4.9)) == (1, False)
    assert (batch.wait_s(NOW + 6), batch.is_due(NOW + 5)) == (0, True)
    assert batch.received_at == NOW


def test_room_is_what_one_receive_may_bring() -> None:
    batch = Batch(25, 1)

    rooms = [batch.room]
    for _ in range(3):
        batch.add(entries(min(10, batch.room)), NOW)
        rooms.append(batch.room)

    assert rooms == [RECEIVE_COUNT_MAX, RECEIVE_COUNT_MAX, 5, 0]


def test_what_is_over_the_size_of_an_event_is_left_for_the_next_batch() -> None:
    batch = Batch(100, 300)
    size = (SYNC_PAYLOAD_BYTES_MAX - ENVELOPE_BYTES - 2) // 3
    all_of_them = entries(4, size)

    left = batch.add(all_of_them, NOW)

    assert left == all_of_them[3:]
    assert batch.is_due(NOW)
    assert len(batch.payload()) <= SYNC_PAYLOAD_BYTES_MAX


def test_a_message_too_large_for_any_event_goes_alone() -> None:
    batch = Batch(10, 0)
    large, small = entries(1, SYNC_PAYLOAD_BYTES_MAX)[0], entries(1)[0]

    assert batch.add([large, small], NOW) == [small]
    assert batch.entries == [large]


@given(
    st.lists(st.integers(1, SYNC_PAYLOAD_BYTES_MAX // 2), max_size=12),
    st.integers(1, 12),
)
def test_no_message_is_lost_and_no_event_is_too_large(sizes: list[int], count_max: int) -> None:
    waiting = [Entry(received(str(number)), bytes(size)) for number, size in enumerate(sizes)]
    everything = list(waiting)
    batched: list[Entry] = []
    while waiting:
        batch = Batch(count_max, 0)

        rest = batch.add(waiting[: batch.room], NOW)

        waiting = rest + waiting[min(RECEIVE_COUNT_MAX, count_max) :]
        batched += batch.entries
        assert 1 <= len(batch.entries) <= count_max
        assert len(batch.payload()) <= SYNC_PAYLOAD_BYTES_MAX
    assert batched == everything


@given(st.integers(0, 5))
def test_the_event_is_json(count: int) -> None:
    batch = Batch(10, 0)
    batch.add(entries(count), NOW)

    assert json.loads(batch.payload()) == {"Records": [11] * count}
