"""Whatever was done, and however much of the journal was cleaned away: what is read back is what there was."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.queue_clock import FakeClock
from workshape.queues import journal, ledger
from workshape.queues.broker import Broker
from workshape.queues.model import Message, NewMessage, QueueAttributes, QueueName, RedrivePolicy, VisibilityChange

NAMES = [QueueName(name) for name in ("a", "b", "c", "a.fifo", "b.fifo")]
DEAD_LETTERS = {NAMES[1]: NAMES[0], NAMES[2]: NAMES[0], NAMES[4]: NAMES[3]}
Step = tuple[str, int, int]

steps = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("send", "send", "send", "receive", "receive", "delete", "hide"),
                *("time", "purge", "tag", "remake", "clean", "move"),
            ]
        ),
        st.integers(0, len(NAMES) - 1),
        st.integers(0, 40),
    ),
    max_size=60,
)


class Driver:
    """Does steps on a broker, remembering the receipt handles."""

    def __init__(self, broker: Broker, clock: FakeClock) -> None:
        self.broker = broker
        self.clock = clock
        self.handles: dict[QueueName, list[str]] = {name: [] for name in NAMES}

    async def make(self, name: QueueName) -> None:
        redrive = None
        if (dead := DEAD_LETTERS.get(name)) in self.broker.list_queues() and dead is not None:
            redrive = RedrivePolicy(self.broker.queue(dead).arn, 2)
        fifo = name.endswith(".fifo")
        attributes = QueueAttributes(
            retention_s=3_000, redrive=redrive, fifo=fifo, content_based_deduplication=fifo, delay_s=5 if fifo else 0
        )
        await self.broker.create_queue(name, attributes)

    async def do(self, step: Step) -> None:
        what, queue, amount = step
        name = NAMES[queue]
        handles = self.handles[name]
        match what:
            case "send":
                await self.send(name, amount)
            case "receive":
                received = await self.broker.receive(name, count_max=amount, wait_s=0, visibility_timeout_s=amount)
                handles += [message.receipt_handle for message in received]
            case "delete":
                await self.broker.delete(name, handles[: amount // 4])
                del handles[: amount // 4]
            case "hide":
                self.broker.change_visibility(name, [VisibilityChange(one, amount) for one in handles[:2]])
            case "time":
                self.clock.wall += amount * 10
            case "clean":
                await self.broker.clean()
            case "move":
                await self.move(name)
            case _:
                await self.change(what, name, amount)

    async def change(self, what: str, name: QueueName, amount: int) -> None:
        match what:
            case "purge":
                self.clock.wall += 61
                await self.broker.purge_queue(name)
            case "tag":
                await self.broker.tag_queue(name, {"amount": str(amount)})
            case "remake":
                await self.broker.delete_queue(name)
                self.handles[name].clear()
                self.clock.wall += 61
                await self.make(name)

    async def send(self, name: QueueName, amount: int) -> None:
        delay_s = None if name.endswith(".fifo") else amount
        bodies = ["x" * amount * 20 + "!" * part for part in range(1, amount % 4 + 2)]
        group_id = "ab"[amount % 2]
        await self.broker.send(name, [NewMessage(body, delay_s=delay_s, group_id=group_id) for body in bodies])

    async def move(self, name: QueueName) -> None:
        """Redrive what there is, and see that nothing is lost or doubled on the way."""
        if not self.broker.dead_letter_sources(name):
            return
        for one in NAMES:
            self.broker.depth(one)  # what is too old goes now, and not while we count
        before = bodies_of(self.broker)
        task = await self.broker.moves.start(self.broker.queue(name).arn)
        async with asyncio.timeout(30):
            while self.broker.moves.list(task.source_arn, 1)[0].is_active:
                await asyncio.sleep(0)
        assert bodies_of(self.broker) == before


def bodies_of(broker: Broker) -> list[str]:
    """All that any queue of the kinds that redrive into each other holds."""
    return sorted(message.body for name in NAMES for message in broker._queues[name].core)


def state_of(broker: Broker) -> dict[str, object]:
    """Queues with their messages, after letting time pass, so that both sides stand at the same moment."""
    state: dict[str, object] = {}
    for name in broker.list_queues():
        broker.depth(name)
        live = broker._queues[name]
        messages: list[Message] = sorted(live.core, key=lambda message: message.number)
        tokens = list(live.deduplication._by_age) if live.deduplication is not None else []
        tasks = broker.moves.list(broker.queue(name).arn, 10)
        state[name] = (broker.queue(name), broker.depth(name), messages, tokens, tasks)
    return state


async def run(todo: list[Step], folder: Path) -> None:
    clock = FakeClock()
    broker = await Broker.open(folder / "live", clock, region="us-east-1", account="123456789012")
    driver = Driver(broker, clock)
    for name in NAMES:
        await driver.make(name)
    for number, step in enumerate(todo):
        await driver.do(step)
        if number % 20 == 19 or number == len(todo) - 1:
            before = state_of(broker)
            await broker._ledger.durable()
            shutil.copytree(folder / "live", folder / f"{number}")
            recovered = await Broker.open(folder / f"{number}", clock, region="us-east-1", account="123456789012")
            assert state_of(recovered) == before
            await recovered.close()
    await broker.close()


@settings(max_examples=25, deadline=None)
@given(steps)
def test_what_is_recovered_is_what_there_was(todo: list[Step]) -> None:
    small = mock.patch.multiple(journal, SEGMENT_BYTES=1_000)
    often = mock.patch.multiple(ledger, CLEANED_BYTES_AT_ONCE=500, CLEANED_TOKENS_AT_ONCE=3)
    with small, often, tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(todo, Path(folder)))
