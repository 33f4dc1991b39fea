"""One FIFO queue's decisions, by advancing `now`."""

import pytest

from workshape.queues.fifo import FifoQueue
from workshape.queues.model import (
    InvalidParameter,
    Message,
    MessageNotInflight,
    MessageNumber,
    QueueAttributes,
    QueueDepth,
    Receipt,
    RedrivePolicy,
)

NOW = 1_700_000_000.0
REDRIVE = RedrivePolicy("arn:aws:sqs:us-east-1:123456789012:dead.fifo", 1)


def message(number: int, group: str, *, sent_at: float = NOW) -> Message:
    return Message(
        MessageNumber(number),
        f"id-{number}",
        f"body {number}",
        "md5",
        {},
        "",
        "",
        group,
        "",
        sent_at,
        sent_at,
        deduplication_id=f"deduplication-{number}",
    )


def queue_of(groups: str, **attributes: object) -> FifoQueue:
    """A queue with one message for each letter: its group. They are numbered from 1."""
    queue = FifoQueue(QueueAttributes(fifo=True, **attributes), epoch=7)  # type: ignore[arg-type]  # each test's own
    for number, group in enumerate(groups, 1):
        queue.add(message(number, group), NOW)
    return queue


def receive(queue: FifoQueue, now: float = NOW, count_max: int = 10, **wanted: object) -> list[Message]:
    queue.advance(now)
    return list(queue.receive(count_max, None, now, redrives=True, **wanted).messages)  # type: ignore[arg-type]


def numbers(messages: list[Message]) -> list[int]:
    return [one.number for one in messages]


def receipt_of(received: Message) -> Receipt:
    return Receipt(received.number, received.receive_count, received.epoch)


def delete(queue: FifoQueue, received: Message) -> None:
    assert queue.delete(receipt_of(received), "handle") is received


def test_as_many_of_one_group_as_asked_for_come_before_those_of_the_next() -> None:
    queue = queue_of("abaab")

    assert numbers(receive(queue, count_max=4)) == [1, 3, 4, 2]


def test_a_group_is_blocked_while_any_of_its_messages_is_in_flight() -> None:
    queue = queue_of("aab")

    first = receive(queue, count_max=1)
    others = receive(queue, count_max=10)

    assert numbers(first) == [1]
    assert numbers(others) == [3]
    assert queue.depth() == QueueDepth(visible=1, in_flight=2, delayed=0)


def test_deleting_the_last_in_flight_message_of_a_group_frees_the_group() -> None:
    queue = queue_of("aaa")
    first, second = receive(queue, count_max=2)

    delete(queue, second)
    assert receive(queue) == []
    delete(queue, first)

    assert numbers(receive(queue)) == [3]


def test_a_message_comes_back_at_its_old_place() -> None:
    queue = queue_of("aaa", visibility_timeout_s=30)
    _, second = receive(queue, count_max=2)
    delete(queue, second)

    assert receive(queue, NOW + 29.9) == []
    assert numbers(receive(queue, NOW + 30)) == [1, 3]


def test_a_group_stays_blocked_until_all_it_has_in_flight_is_back() -> None:
    queue = queue_of("aaa", visibility_timeout_s=30)
    first, second = receive(queue, count_max=2)
    queue.change_visibility(receipt_of(second), 100, NOW, "handle")

    assert receive(queue, NOW + 99) == []
    assert numbers(receive(queue, NOW + 100)) == [1, 2, 3]
    assert first.receive_count == 2


def test_a_group_that_came_back_undone_waits_behind_those_not_yet_tried() -> None:
    queue = queue_of("abc")
    (poison,) = receive(queue, count_max=1)
    queue.change_visibility(receipt_of(poison), 0, NOW, "handle")

    assert numbers(receive(queue)) == [2, 3, 1]


def test_groups_never_tried_come_in_the_order_of_their_first_messages() -> None:
    queue = queue_of("aab")
    (first,) = receive(queue, count_max=1)
    delete(queue, first)

    assert numbers(receive(queue, count_max=1)) == [2]


def test_the_queues_delay_holds_every_message_back_and_a_change_of_it_all_of_them() -> None:
    queue = queue_of("ab", delay_s=60)
    assert queue.depth() == QueueDepth(visible=0, in_flight=0, delayed=2)
    assert receive(queue, NOW + 30) == []

    queue.redefine(QueueAttributes(fifo=True, delay_s=40), NOW + 30)
    assert queue.next_deadline() == NOW + 40
    assert numbers(receive(queue, NOW + 40, count_max=1)) == [1]

    queue.redefine(QueueAttributes(fifo=True, delay_s=90), NOW + 50)
    assert queue.depth() == QueueDepth(visible=0, in_flight=1, delayed=1)
    assert numbers(receive(queue, NOW + 90)) == [2, 1]


def test_a_receipt_expires_with_the_visibility_timeout() -> None:
    queue = queue_of("a", visibility_timeout_s=30)
    (received,) = receive(queue)
    old = receipt_of(received)

    queue.advance(NOW + 30)
    with pytest.raises(InvalidParameter, match=r"ReceiptHandle is invalid\. Reason: The receipt handle has expired\."):
        queue.delete(old, "handle")
    with pytest.raises(MessageNotInflight):
        queue.change_visibility(old, 10, NOW + 30, "handle")

    receive(queue, NOW + 30)
    with pytest.raises(InvalidParameter, match="expired"):
        queue.delete(old, "handle")
    with pytest.raises(InvalidParameter, match="not available for visibility timeout change"):
        queue.change_visibility(old, 10, NOW + 30, "handle")


def test_deleting_what_is_gone_is_no_error() -> None:
    queue = queue_of("a")
    (received,) = receive(queue)
    delete(queue, received)

    assert queue.delete(receipt_of(received), "handle") is None


def test_a_message_received_too_often_leaves_and_its_group_goes_on() -> None:
    queue = queue_of("aab", visibility_timeout_s=30, redrive=REDRIVE)
    receive(queue, count_max=1)

    queue.advance(NOW + 30)
    result = queue.receive(10, None, NOW + 30, redrives=True)

    assert numbers(list(result.dead)) == [1]
    assert numbers(list(result.messages)) == [3, 2]
    assert len(queue) == 2


def test_an_expired_message_gives_its_group_free() -> None:
    queue = FifoQueue(QueueAttributes(fifo=True, retention_s=60), epoch=7)
    queue.add(message(1, "a", sent_at=NOW), NOW)
    queue.add(message(2, "a", sent_at=NOW + 30), NOW + 30)
    receive(queue, NOW + 31, count_max=1)

    assert queue.advance(NOW + 60).expired == (1,)

    assert numbers(receive(queue, NOW + 60)) == [2]


def test_an_attempt_made_again_gets_the_same_messages_hidden_anew() -> None:
    queue = queue_of("aab", visibility_timeout_s=30)
    first = receive(queue, count_max=2, attempt_id="attempt")
    receipts = [receipt_of(one) for one in first]

    again = receive(queue, NOW + 20, count_max=2, attempt_id="attempt")

    assert again == first
    assert [receipt_of(one) for one in again] == receipts
    assert numbers(receive(queue, NOW + 49)) == [3]
    assert numbers(receive(queue, NOW + 50)) == [1, 2]


@pytest.mark.parametrize("change", ["deleted", "hidden longer", "back", "too long ago"])
def test_an_attempt_whose_messages_changed_is_a_new_one(change: str) -> None:
    queue = queue_of("ab", visibility_timeout_s=400)
    (received,) = receive(queue, count_max=1, attempt_id="attempt")
    now = NOW + 1

    if change == "deleted":
        delete(queue, received)
    elif change == "hidden longer":
        queue.change_visibility(receipt_of(received), 1_000, NOW, "handle")
    elif change == "back":
        queue.change_visibility(receipt_of(received), 0, NOW, "handle")
    else:
        now = NOW + 300

    assert numbers(receive(queue, now, count_max=1, attempt_id="attempt")) == [2]


def test_no_more_than_the_most_in_flight_come_and_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workshape.queues.fifo.IN_FLIGHT_MAX", 2)
    queue = queue_of("abc")

    received = receive(queue)

    assert numbers(received) == [1, 2]
    assert receive(queue) == []
    assert not queue.is_over_limit
    delete(queue, received[0])
    assert numbers(receive(queue)) == [3]


def test_what_is_given_back_does_not_count_as_received() -> None:
    queue = queue_of("ab")
    received = receive(queue, count_max=1)

    queue.give_back([receipt_of(one) for one in received], NOW)

    (again, _) = receive(queue)
    assert (again.number, again.receive_count) == (1, 1)


def test_messages_are_moved_in_the_order_they_were_sent_and_not_from_blocked_groups() -> None:
    queue = queue_of("abbcb")
    receive(queue, count_max=1)
    moved = []

    while (message := queue.next_to_move()) is not None:
        queue.take_out(message)
        moved.append(message)

    assert numbers(moved) == [2, 3, 4, 5]
    assert len(queue) == 1


def test_a_purge_leaves_nothing() -> None:
    queue = queue_of("aab")
    receive(queue, count_max=1)

    assert sorted(queue.purge()) == [1, 2, 3]

    assert queue.depth() == QueueDepth(0, 0, 0)
    assert queue.next_deadline() is None
    queue.add(message(4, "a"), NOW)
    assert numbers(receive(queue)) == [4]


def test_heartbeats_and_empty_groups_do_not_grow_the_queues_memory() -> None:
    queue = FifoQueue(QueueAttributes(fifo=True), epoch=7)
    queue.add(message(1, "slow"), NOW)
    (slow,) = receive(queue)

    for number in range(2, 5_000):
        queue.add(message(number, f"group-{number}"), NOW)
        (received,) = receive(queue)
        delete(queue, received)
        queue.change_visibility(receipt_of(slow), 60, NOW, "handle")

    assert len(queue._groups) == 1
    assert len(queue._turns) < 100
    assert len(queue._hidden._wakes) < 200


def test_a_long_backlog_of_one_group_goes_through() -> None:
    queue = queue_of("a" * 50_000)

    for _ in range(5_000):
        for received in receive(queue):
            delete(queue, received)

    assert len(queue) == 0
    assert queue.next_deadline() is None
