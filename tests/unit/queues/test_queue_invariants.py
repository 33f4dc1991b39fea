"""Whatever happens in whatever order: no message is lost, shown too early, shown after its end, or miscounted."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from workshape.queues.model import (
    InvalidParameter,
    Message,
    MessageNotInflight,
    MessageNumber,
    QueueAttributes,
    Receipt,
    RedrivePolicy,
)
from workshape.queues.queue import Queue
from workshape.queues.records import move_message

RECEIVES_MAX = 3
RETENTION_S = 5_000
START = 1_700_000_000.0


class QueueWithDeadLetters(RuleBasedStateMachine):
    """A queue that redrives into another, and what the world outside knows of each message."""

    def __init__(self) -> None:
        super().__init__()
        redrive = RedrivePolicy("arn:aws:sqs:us-east-1:123456789012:dead", RECEIVES_MAX)
        self.queue = Queue(QueueAttributes(retention_s=RETENTION_S, redrive=redrive), epoch=1)
        self.dead_letters = Queue(QueueAttributes(retention_s=RETENTION_S), epoch=1)
        self.now = START
        self.sent: dict[int, float] = {}
        self.receives: dict[int, int] = {}
        self.hidden_until: dict[int, float] = {}
        self.latest: dict[int, Receipt] = {}
        self.stale: list[Receipt] = []
        self.deleted: set[int] = set()
        self.expired: set[int] = set()

    @rule(delay_s=st.sampled_from([0, 0, 0, 5, 900]), group=st.sampled_from(["", "", "a", "b"]))
    def send(self, delay_s: int, group: str) -> None:
        number = len(self.sent) + 1
        visible_at = self.now + delay_s
        message = Message(MessageNumber(number), str(number), "", "", {}, "", "", group, "", self.now, visible_at)
        self.queue.add(message, self.now)
        self.sent[number] = self.now
        self.receives[number] = 0
        self.hidden_until[number] = visible_at

    @rule(seconds=st.sampled_from([0.0, 0.5, 1, 10, 30, 1_000]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for queue in (self.queue, self.dead_letters):
            self.expired.update(queue.advance(self.now).expired)

    @rule(count_max=st.integers(1, 10), visibility_timeout_s=st.sampled_from([0, 1, 30, 500]))
    def receive(self, count_max: int, visibility_timeout_s: int) -> None:
        self.time_passes(0.0)
        result = self.queue.receive(count_max, visibility_timeout_s, self.now, redrives=True)
        assert len(result.messages) <= count_max
        for message in result.messages:
            assert message.number not in self.deleted, "delivered after its delete was acknowledged"
            assert self.now >= self.hidden_until[message.number], "delivered while invisible"
            self.receives[message.number] += 1
            assert message.receive_count == self.receives[message.number]
            if message.number in self.latest:
                self.stale.append(self.latest[message.number])
            self.latest[message.number] = Receipt(message.number, message.receive_count, message.epoch)
            self.hidden_until[message.number] = self.now + visibility_timeout_s
        for message in result.dead:
            assert self.receives[message.number] == RECEIVES_MAX
            move_message(message, "arn", self.now)
            self.dead_letters.add(message, self.now)
            self.latest.pop(message.number)

    @precondition(lambda self: self.latest)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        receipt = data.draw(st.sampled_from(sorted(self.latest.values())))
        gone = self.queue.delete(receipt, "handle")
        assert (gone is None) == (receipt.number in self.deleted | self.expired)
        if gone is not None:
            self.deleted.add(receipt.number)

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def delete_with_a_stale_receipt(self, data: st.DataObject) -> None:
        assert self.queue.delete(data.draw(st.sampled_from(self.stale)), "handle") is None

    @precondition(lambda self: self.latest)
    @rule(data=st.data(), timeout_s=st.sampled_from([0, 7, 600]))
    def change_visibility(self, data: st.DataObject, timeout_s: int) -> None:
        self.time_passes(0.0)
        receipt = data.draw(st.sampled_from(sorted(self.latest.values())))
        in_flight = self.hidden_until[receipt.number] > self.now
        try:
            self.queue.change_visibility(receipt, timeout_s, self.now, "handle")
        except MessageNotInflight:
            assert not in_flight
        except InvalidParameter:
            assert receipt.number in self.deleted | self.expired
        else:
            assert in_flight
            self.hidden_until[receipt.number] = self.now + timeout_s

    @invariant()
    def every_message_is_somewhere(self) -> None:
        kept = {message.number for message in self.queue}
        dead = {message.number for message in self.dead_letters}
        assert not kept & dead
        assert kept | dead == set(self.sent) - self.deleted - self.expired
        assert all(self.receives[number] == RECEIVES_MAX for number in dead)
        assert all(self.now - self.sent[number] >= RETENTION_S for number in self.expired)

    @invariant()
    def the_next_deadline_is_never_late(self) -> None:
        deadline = self.queue.next_deadline()
        hidden = [message.visible_at for message in self.queue if message.visible_at > self.now]
        if hidden:
            assert deadline is not None
            assert deadline <= min(hidden)


TestQueueWithDeadLetters = QueueWithDeadLetters.TestCase
TestQueueWithDeadLetters.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
