"""Fair queues: who uses much of the consumers waits for those who do not, and nobody for ever."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from workshape.queues.model import Message, MessageNumber, QueueAttributes, QueueDepth, Receipt, RedrivePolicy
from workshape.queues.queue import Queue
from workshape.queues.ready import NOISY_IN_FLIGHT_MIN, NOISY_SHARE, SILENT_S

START = 1_700_000_000.0
HIDDEN_S = 600


class Stage:
    """A queue, its clock, and the messages that were sent to it."""

    def __init__(self, attributes: QueueAttributes | None = None) -> None:
        self.queue = Queue(attributes or QueueAttributes(), epoch=1)
        self.now = START
        self.numbers = 0
        self.held: dict[int, Message] = {}

    def send(self, *groups: str) -> None:
        for group in groups:
            self.numbers += 1
            number = MessageNumber(self.numbers)
            self.queue.add(Message(number, str(number), "", "", {}, "", "", group, "", self.now, self.now), self.now)

    def receive(self, count: int = 1, hidden_s: int = HIDDEN_S) -> list[str]:
        """Receive; returns the groups."""
        self.queue.advance(self.now)
        messages = self.queue.receive(count, hidden_s, self.now, redrives=True).messages
        self.held.update({message.number: message for message in messages})
        return [message.group_id for message in messages]

    def delete(self, group: str) -> None:
        """Delete one that was received of a group."""
        self.queue.advance(self.now)
        number = next(number for number, message in self.held.items() if message.group_id == group)
        message = self.held.pop(number)
        receipt = Receipt(message.number, message.receive_count, message.epoch)
        assert self.queue.delete(receipt, "") is not None

    def passes(self, seconds: float) -> None:
        self.now += seconds


def crowded() -> Stage:
    """A queue in which a tenant `loud` has a backlog, and so much in flight that it is noisy."""
    stage = Stage()
    stage.send(*["loud"] * (NOISY_IN_FLIGHT_MIN + 10))
    for _ in range(NOISY_IN_FLIGHT_MIN):
        stage.receive()
    return stage


def test_messages_of_quiet_tenants_go_before_the_backlog_of_a_noisy_one() -> None:
    stage = crowded()

    stage.send("quiet", "", "other")
    received = [stage.receive() for _ in range(4)]

    assert received == [["quiet"], [""], ["other"], ["loud"]]


def test_a_tenant_with_little_in_flight_is_not_noisy_by_that() -> None:
    stage = Stage()
    stage.send(*["loud"] * (NOISY_IN_FLIGHT_MIN + 10))
    for _ in range(NOISY_IN_FLIGHT_MIN - 1):
        stage.receive()

    stage.send("quiet")

    assert stage.receive() == ["loud"]


def test_a_tenant_is_noisy_that_takes_much_of_the_processing_time_with_few_messages() -> None:
    stage = Stage()
    stage.send("slow", *["quick"] * 20)
    stage.receive()
    stage.passes(100)
    stage.delete("slow")
    for _ in range(20):
        stage.receive()
        stage.passes(0.1)
        stage.delete("quick")

    stage.send("slow", "slow", "quick")

    assert [stage.receive() for _ in range(3)] == [["quick"], ["slow"], ["slow"]]


def test_of_noisy_tenants_the_one_with_least_in_flight_is_next() -> None:
    stage = crowded()
    stage.send(*["louder"] * (NOISY_IN_FLIGHT_MIN + 10))
    for _ in range(NOISY_IN_FLIGHT_MIN):
        assert stage.receive() == ["louder"], "quiet until it has as much in flight"

    assert stage.receive() == ["loud"], "as much in flight, and sent before"
    assert stage.receive() == ["louder"]
    stage.delete("loud")
    stage.delete("loud")
    assert [stage.receive() for _ in range(2)] == [["loud"], ["loud"]]


def test_a_noisy_tenant_is_quiet_again_when_its_backlog_is_gone() -> None:
    stage = crowded()
    stage.receive(10)
    assert stage.queue.fair_depth() is not None
    for _ in range(NOISY_IN_FLIGHT_MIN + 10):
        stage.delete("loud")
    stage.passes(SILENT_S * 4)  # what it spent is long ago

    stage.send("loud", "quiet")

    assert stage.receive() == ["loud"]


def test_a_noisy_tenant_that_sends_nothing_for_five_minutes_is_quiet_again() -> None:
    stage = crowded()
    stage.passes(SILENT_S)
    stage.send("quiet")

    received = [stage.receive(), stage.receive()]

    assert received == [["quiet"], ["loud"]], "its messages stand behind those that came when it was noisy"
    stage.send("quiet")
    assert stage.receive() == ["loud"]


def test_messages_in_flight_before_a_restart_count_for_their_tenants() -> None:
    before = crowded()
    after = Stage()

    for message in sorted(before.queue, key=lambda message: message.number):
        after.queue.add(message, after.now)
    after.numbers = before.numbers
    after.send("quiet")

    assert after.receive() == ["quiet"]


def test_a_queue_counts_what_its_quiet_tenants_have() -> None:
    stage = crowded()
    stage.passes(5)
    stage.send("quiet", "quiet")
    stage.receive()

    depth = stage.queue.fair_depth()

    assert depth is not None
    assert (depth.noisy_groups, depth.quiet) == (1, QueueDepth(1, 1, 0))
    assert depth.quiet.oldest_sent_at == START + 5
    assert stage.queue.depth() == QueueDepth(11, NOISY_IN_FLIGHT_MIN + 1, 0)
    assert Stage().queue.fair_depth() is None


class FairQueue(RuleBasedStateMachine):
    """Any sends, receives, deletes and ends of visibility timeouts, of several tenants."""

    def __init__(self) -> None:
        super().__init__()
        redrive = RedrivePolicy("arn:aws:sqs:us-east-1:123456789012:dead", 3)
        self.stage = Stage(QueueAttributes(redrive=redrive))
        self.deleted = 0
        self.dead = 0

    @rule(group=st.sampled_from(["", "a", "b", "c"]), count=st.sampled_from([1, 2, 40]))
    def send(self, group: str, count: int) -> None:
        self.stage.send(*[group] * count)

    @rule(count=st.integers(1, 10), hidden_s=st.sampled_from([0, 1, HIDDEN_S]))
    def receive(self, count: int, hidden_s: int) -> None:
        stage, queue = self.stage, self.stage.queue
        queue.advance(stage.now)
        noisy = queue._ready.noisy_groups
        waiting = [message for message in queue._ready if message.group_id not in noisy]
        result = queue.receive(count, hidden_s, stage.now, redrives=True)
        stage.held.update({message.number: message for message in result.messages})
        self.dead += len(result.dead)
        still = {message.number for message in queue._ready}
        if any(message.group_id in noisy for message in result.messages):
            silent, noisy_since = stage.now - SILENT_S, queue._ready.noisy_groups
            left = [message for message in waiting if message.number in still and message.sent_at > silent]
            assert all(message.group_id in noisy_since for message in left), "or what came out made its tenant noisy"

    @precondition(lambda self: self.stage.held)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self.stage.queue.advance(self.stage.now)
        number = data.draw(st.sampled_from(sorted(self.stage.held)))
        message = self.stage.held.pop(number)
        receipt = Receipt(message.number, message.receive_count, message.epoch)
        self.deleted += self.stage.queue.delete(receipt, "") is not None

    @rule(seconds=st.sampled_from([0.0, 1.0, 61.0, SILENT_S, HIDDEN_S]))
    def time_passes(self, seconds: float) -> None:
        self.stage.passes(seconds)
        self.stage.queue.advance(self.stage.now)

    @invariant()
    def nothing_is_lost_and_everything_counted(self) -> None:
        queue = self.stage.queue
        assert len(queue) == len(list(queue)) == self.stage.numbers - self.deleted - self.dead
        assert queue.depth().visible == len(list(queue._ready))
        for message in queue:
            assert queue.find(message.number) is message

    @invariant()
    def each_tenant_has_in_flight_what_is_in_flight_of_it(self) -> None:
        in_flight: dict[str, int] = {}
        for message in self.stage.queue._hidden.in_flight.values():
            in_flight[message.group_id] = in_flight.get(message.group_id, 0) + 1
        ready = self.stage.queue._ready
        assert ready._in_flight == sum(in_flight.values())
        for group, tenant in ready._tenants.items():
            assert tenant.in_flight == in_flight.get(group, 0)
            if tenant.in_flight >= NOISY_IN_FLIGHT_MIN and not tenant.is_noisy and tenant.ready:
                silent = self.stage.now - tenant.sent_at >= SILENT_S
                assert silent or tenant.in_flight <= NOISY_SHARE * ready._in_flight

    @invariant()
    def a_noisy_tenant_has_a_backlog(self) -> None:
        assert all(tenant.ready for tenant in self.stage.queue._ready._noisy.values())


TestFairQueue = FairQueue.TestCase
TestFairQueue.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
