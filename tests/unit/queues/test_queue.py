"""One queue's decisions, by advancing `now`."""

import pytest

from workshape.queues import queue as queue_module
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
from workshape.queues.queue import Queue

NOW = 1_700_000_000.0
DEAD_LETTERS = "arn:aws:sqs:us-east-1:123456789012:dead"


def message(number: int, *, sent_at: float = NOW, delay_s: float = 0) -> Message:
    return Message(
        MessageNumber(number), f"id-{number}", f"body {number}", "md5", {}, "", "", "", "", sent_at, sent_at + delay_s
    )


def queue_of(count: int, **attributes: object) -> Queue:
    queue = Queue(QueueAttributes(**attributes), epoch=7)  # type: ignore[arg-type]  # each test gives its own
    for number in range(1, count + 1):
        queue.add(message(number), NOW)
    return queue


def receive(queue: Queue, now: float, count_max: int = 10, visibility_timeout_s: int | None = None) -> list[Message]:
    queue.advance(now)
    return list(queue.receive(count_max, visibility_timeout_s, now, redrives=True).messages)


def receipt_of(received: Message) -> Receipt:
    return Receipt(received.number, received.receive_count, received.epoch)


def test_messages_come_out_in_the_order_they_went_in() -> None:
    queue = queue_of(5)

    received = receive(queue, NOW, count_max=3)

    assert [one.number for one in received] == [1, 2, 3]
    assert queue.depth() == QueueDepth(visible=2, in_flight=3, delayed=0)


def test_a_message_reappears_when_its_visibility_timeout_ends_and_not_before() -> None:
    queue = queue_of(1, visibility_timeout_s=30)
    receive(queue, NOW)

    assert receive(queue, NOW + 29.9) == []
    (again,) = receive(queue, NOW + 30)

    assert again.receive_count == 2
    assert again.first_received_at == NOW


def test_the_receivers_own_visibility_timeout_wins_over_the_queues() -> None:
    queue = queue_of(1, visibility_timeout_s=30)
    receive(queue, NOW, visibility_timeout_s=5)

    assert receive(queue, NOW + 4.9) == []
    assert len(receive(queue, NOW + 5)) == 1


def test_a_message_that_failed_goes_behind_those_not_yet_tried() -> None:
    queue = queue_of(3, visibility_timeout_s=1)
    receive(queue, NOW, count_max=1)

    assert [one.number for one in receive(queue, NOW + 1)] == [2, 3, 1]


def test_a_delayed_message_stays_out_of_sight_until_its_delay_ends() -> None:
    queue = Queue(QueueAttributes(), epoch=7)
    queue.add(message(1, delay_s=60), NOW)

    assert receive(queue, NOW + 59) == []
    assert queue.depth().delayed == 1
    assert len(receive(queue, NOW + 60)) == 1


def test_retention_counts_from_sending_even_in_flight() -> None:
    queue = queue_of(2, retention_s=60)
    receive(queue, NOW + 59, count_max=1)

    advanced = queue.advance(NOW + 60)

    assert set(advanced.expired) == {1, 2}
    assert len(queue) == 0


def test_the_latest_receipt_deletes_even_after_the_visibility_timeout() -> None:
    queue = queue_of(1, visibility_timeout_s=1)
    (received,) = receive(queue, NOW)
    queue.advance(NOW + 5)

    assert queue.delete(receipt_of(received), "handle") is received
    assert len(queue) == 0


def test_an_older_receipt_does_not_delete() -> None:
    queue = queue_of(1, visibility_timeout_s=1)
    old = receipt_of(receive(queue, NOW)[0])
    receive(queue, NOW + 1)

    assert queue.delete(old, "handle") is None
    assert queue.depth().in_flight == 1


def test_a_receipt_whose_receive_a_crash_forgot_still_deletes() -> None:
    queue = queue_of(1)
    forgotten = Receipt(MessageNumber(1), receive_count=1, epoch=3)

    assert queue.delete(forgotten, "handle") is not None


def test_a_receipt_of_another_run_does_not_pass_for_the_same_count_of_this_one() -> None:
    queue = queue_of(1)
    forgotten = Receipt(MessageNumber(1), receive_count=1, epoch=3)
    receive(queue, NOW)

    assert queue.delete(forgotten, "handle") is None


def test_a_visibility_timeout_counts_from_the_change() -> None:
    queue = queue_of(1, visibility_timeout_s=60)
    (received,) = receive(queue, NOW)

    queue.change_visibility(receipt_of(received), 10, NOW + 15, "handle")

    assert receive(queue, NOW + 24) == []
    assert len(receive(queue, NOW + 25)) == 1


def test_a_visibility_of_zero_shows_the_message_at_once() -> None:
    queue = queue_of(1)
    (received,) = receive(queue, NOW)

    queue.change_visibility(receipt_of(received), 0, NOW + 1, "handle")

    assert len(receive(queue, NOW + 1)) == 1


def test_a_message_is_hidden_for_at_most_twelve_hours_in_all() -> None:
    queue = queue_of(1, visibility_timeout_s=43_200)
    (received,) = receive(queue, NOW)
    queue.change_visibility(receipt_of(received), 43_200 - 100, NOW + 100, "handle")

    with pytest.raises(InvalidParameter, match=r"beyond the limit \[43200 seconds\]"):
        queue.change_visibility(receipt_of(received), 43_200 - 99, NOW + 100, "handle")


def test_what_is_visible_again_is_not_in_flight() -> None:
    queue = queue_of(1, visibility_timeout_s=1)
    (received,) = receive(queue, NOW)
    queue.advance(NOW + 1)

    with pytest.raises(MessageNotInflight):
        queue.change_visibility(receipt_of(received), 10, NOW + 1, "handle")


def test_what_is_gone_cannot_be_hidden() -> None:
    queue = queue_of(1)
    (received,) = receive(queue, NOW)
    queue.delete(receipt_of(received), "handle")

    with pytest.raises(InvalidParameter, match="does not exist or is not available"):
        queue.change_visibility(receipt_of(received), 10, NOW, "handle")


def test_a_receive_beyond_the_maximum_moves_the_message_instead() -> None:
    queue = queue_of(1, visibility_timeout_s=0, redrive=RedrivePolicy(DEAD_LETTERS, 2))
    assert len(receive(queue, NOW)) == 1
    assert len(receive(queue, NOW)) == 1

    queue.advance(NOW)
    result = queue.receive(10, None, NOW, redrives=True)

    assert result.messages == ()
    assert [one.receive_count for one in result.dead] == [2]
    assert len(queue) == 0


def test_without_its_dead_letter_queue_a_message_goes_on_being_delivered() -> None:
    queue = queue_of(1, visibility_timeout_s=0, redrive=RedrivePolicy(DEAD_LETTERS, 1))
    receive(queue, NOW)
    queue.advance(NOW)

    result = queue.receive(10, None, NOW, redrives=False)

    assert len(result.messages) == 1


def test_no_more_than_the_limit_are_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "IN_FLIGHT_MAX", 3)
    queue = queue_of(5)

    received = receive(queue, NOW)

    assert len(received) == 3
    assert queue.is_over_limit
    queue.delete(receipt_of(received[0]), "handle")
    assert len(receive(queue, NOW)) == 1


def test_a_receive_that_reached_nobody_is_not_counted() -> None:
    queue = queue_of(1)
    (received,) = receive(queue, NOW)

    queue.give_back([receipt_of(received)], NOW)

    (again,) = receive(queue, NOW)
    assert again.receive_count == 1


def test_the_next_deadline_is_the_first_thing_that_time_will_do() -> None:
    queue = Queue(QueueAttributes(retention_s=100, visibility_timeout_s=30), epoch=7)
    assert queue.next_deadline() is None

    queue.add(message(1), NOW)
    assert queue.next_deadline() == NOW + 100

    receive(queue, NOW)
    assert queue.next_deadline() == NOW + 30


def test_heartbeats_do_not_grow_the_queues_memory() -> None:
    queue = queue_of(1)
    (received,) = receive(queue, NOW)

    for second in range(10_000):
        queue.change_visibility(receipt_of(received), 60, NOW + second, "handle")

    assert len(queue._hidden._wakes) < 200


def test_a_hundred_thousand_messages_go_through() -> None:
    queue = queue_of(100_000)

    for _ in range(10_000):
        for received in receive(queue, NOW):
            queue.delete(receipt_of(received), "handle")

    assert len(queue) == 0
    assert queue.next_deadline() is None


def test_the_oldest_message_is_told_wherever_it_is_until_it_is_deleted() -> None:
    queue = queue_of(0)
    for number, sent_at in ((1, NOW - 60), (2, NOW - 30)):
        queue.add(message(number, sent_at=sent_at), NOW)
    before = queue.depth().oldest_s(NOW)
    (first,) = receive(queue, NOW, count_max=1)

    in_flight = queue.depth().oldest_s(NOW)
    queue.delete(receipt_of(first), "handle")

    assert (before, in_flight, queue.depth().oldest_s(NOW)) == (60, 60, 30)
    assert queue_of(0).depth().oldest_s(NOW) is None
