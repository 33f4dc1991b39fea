"""Whatever happens in whatever order: groups keep their order, one receiver at a time, and nothing is lost."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from workshape.queues.fifo import FifoQueue
from workshape.queues.model import (
    InvalidParameter,
    Message,
    MessageNotInflight,
    MessageNumber,
    QueueAttributes,
    Receipt,
    RedrivePolicy,
)
from workshape.queues.records import reborn_message

RECEIVES_MAX = 3
RETENTION_S = 5_000
START = 1_700_000_000.0
GROUPS = "abc"


class FifoQueueWithDeadLetters(RuleBasedStateMachine):
    """A FIFO queue that redrives into another, and what the world outside knows of each message."""

    def __init__(self) -> None:
        super().__init__()
        self.redrive = RedrivePolicy("arn:aws:sqs:us-east-1:123456789012:dead.fifo", RECEIVES_MAX)
        self.queue = FifoQueue(self.attributes(0), epoch=1)
        self.dead_letters = FifoQueue(QueueAttributes(fifo=True, retention_s=100_000), epoch=1)
        self.now = START
        self.last = 0
        self.group_of: dict[int, str] = {}
        self.receives: dict[int, int] = {}
        self.hidden_until: dict[int, float] = {}
        self.holder: dict[int, int] = {}
        """Which receive a message in flight is with."""
        self.latest: dict[int, Receipt] = {}
        self.gone: set[int] = set()
        """Deleted, expired, moved, or dead."""
        self.dead: list[int] = []
        self.receive_calls = 0

    def attributes(self, delay_s: int) -> QueueAttributes:
        return QueueAttributes(fifo=True, retention_s=RETENTION_S, redrive=self.redrive, delay_s=delay_s)

    def left(self, group: str) -> list[int]:
        return [
            number for number in sorted(self.group_of) if self.group_of[number] == group and number not in self.gone
        ]

    @rule(group=st.sampled_from(GROUPS), count=st.integers(1, 3))
    def send(self, group: str, count: int) -> None:
        for _ in range(count):
            self.last += 1
            number = self.last
            message = Message(
                MessageNumber(number), str(number), "", "", {}, "", "", group, "", self.now, self.now,
                deduplication_id=str(number),
            )  # fmt: skip
            self.queue.add(message, self.now)
            self.group_of[number] = group
            self.receives[number] = 0

    @rule(seconds=st.sampled_from([0.0, 0.5, 1, 10, 30, 1_000]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.gone.update(self.queue.advance(self.now).expired)
        for number in [number for number, until in self.hidden_until.items() if until <= self.now]:
            del self.hidden_until[number], self.holder[number]
        for number in self.gone & set(self.hidden_until):
            del self.hidden_until[number], self.holder[number]

    @rule(delay_s=st.sampled_from([0, 5, 900]))
    def change_the_delay(self, delay_s: int) -> None:
        self.queue.redefine(self.attributes(delay_s), self.now)

    @rule(
        count_max=st.integers(1, 10),
        visibility_timeout_s=st.sampled_from([0, 1, 30, 500]),
        attempt_id=st.sampled_from(["", "", "once"]),
    )
    def receive(self, count_max: int, visibility_timeout_s: int, attempt_id: str) -> None:
        self.time_passes(0.0)
        held_before = {self.group_of[number] for number in self.hidden_until}
        result = self.queue.receive(count_max, visibility_timeout_s, self.now, redrives=True, attempt_id=attempt_id)
        self.receive_calls += 1
        for message in result.dead:
            assert self.receives[message.number] == RECEIVES_MAX
            self.gone.add(message.number)
            self.latest.pop(message.number)
            self.last += 1
            self.dead.append(self.last)
            self.dead_letters.add(reborn_message(message, MessageNumber(self.last), "arn", self.now), self.now)
        is_retry = any(message.number in self.hidden_until for message in result.messages)
        for group in {message.group_id for message in result.messages}:
            given = [message.number for message in result.messages if message.group_id == group]
            if not is_retry:
                assert group not in held_before, "two receivers have messages of one group"
                assert given == self.left(group)[: len(given)], "out of order"
        for message in result.messages:
            number = message.number
            assert number not in self.gone, "delivered after it was gone"
            if is_retry:
                assert attempt_id
                assert message.receive_count == self.receives[number], "a retry counts as a receive"
            else:
                self.receives[number] += 1
                assert message.receive_count == self.receives[number]
                self.holder[number] = self.receive_calls
            self.latest[number] = Receipt(message.number, message.receive_count, message.epoch)
            self.hidden_until[number] = self.now + visibility_timeout_s
        self.time_passes(0.0)

    @precondition(lambda self: self.latest)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self.time_passes(0.0)
        receipt = data.draw(st.sampled_from(sorted(self.latest.values())))
        number = receipt.number
        try:
            gone = self.queue.delete(receipt, "handle")
        except InvalidParameter:
            assert number not in self.gone
            assert number not in self.hidden_until, "refused while in flight"
            return
        assert (gone is None) == (number in self.gone)
        self.gone.add(number)
        self.hidden_until.pop(number, None)
        self.holder.pop(number, None)

    @precondition(lambda self: self.latest)
    @rule(data=st.data(), timeout_s=st.sampled_from([0, 7, 600]))
    def change_visibility(self, data: st.DataObject, timeout_s: int) -> None:
        self.time_passes(0.0)
        receipt = data.draw(st.sampled_from(sorted(self.latest.values())))
        try:
            self.queue.change_visibility(receipt, timeout_s, self.now, "handle")
        except (MessageNotInflight, InvalidParameter):
            assert receipt.number not in self.hidden_until
        else:
            self.hidden_until[receipt.number] = self.now + timeout_s
        self.time_passes(0.0)

    @rule(count_max=st.integers(1, 4))
    def move(self, count_max: int) -> None:
        self.time_passes(0.0)
        for _ in range(count_max):
            if (message := self.queue.next_to_move()) is None:
                break
            assert message.number == self.left(message.group_id)[0]
            assert message.group_id not in {self.group_of[number] for number in self.hidden_until}
            self.queue.take_out(message)
            self.gone.add(message.number)

    @invariant()
    def every_message_is_somewhere(self) -> None:
        assert {message.number for message in self.queue} == set(self.group_of) - self.gone
        assert [message.number for message in self.dead_letters] == self.dead
        assert self.queue.depth().in_flight == len(self.hidden_until)

    @invariant()
    def messages_of_one_group_in_flight_are_with_one_receiver(self) -> None:
        for group in GROUPS:
            assert len({receive for number, receive in self.holder.items() if self.group_of[number] == group}) <= 1

    @invariant()
    def the_next_deadline_is_never_late(self) -> None:
        hidden = [message.visible_at for message in self.queue if message.visible_at > self.now]
        if hidden:
            deadline = self.queue.next_deadline()
            assert deadline is not None
            assert deadline <= min(hidden)

    def teardown(self) -> None:
        """Whatever is left comes out in order when all is visible again: no group is blocked for ever."""
        self.now += 1_000
        self.queue.redefine(QueueAttributes(fifo=True, retention_s=10**9), self.now)
        self.queue.advance(self.now)
        out = self.queue.receive(10_000, 30, self.now, redrives=False).messages
        for group in GROUPS:
            assert [message.number for message in out if message.group_id == group] == self.left(group)


TestFifoQueueWithDeadLetters = FifoQueueWithDeadLetters.TestCase
TestFifoQueueWithDeadLetters.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
