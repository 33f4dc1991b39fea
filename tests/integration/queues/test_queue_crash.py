"""kill -9 at random moments: nothing acknowledged is lost, nothing deleted comes back."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import astuple, dataclass, field
from pathlib import Path

from workshape.clock import Clock
from workshape.queues.broker import Broker
from workshape.queues.model import NewMessage, QueueName, ReceivedMessage

ORDERS = QueueName("orders.fifo")
ROUNDS = 7
LINES_MAX = 3_500  # before a kill: half a second's, or what takes a slow machine longer
CHILD = Path(__file__).with_name("crash_child.py")


class Later(Clock):
    """An hour on: whatever was in flight is visible again."""

    def wall_s(self) -> float:
        return time.time() + 3_600


@dataclass
class Acknowledged:
    sent: set[str] = field(default_factory=set)
    maybe_deleted: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)


def run_and_kill(folder: Path, run: str, after_lines: int, acknowledged: Acknowledged) -> None:
    child = subprocess.Popen([sys.executable, CHILD, folder, run], stdout=subprocess.PIPE)
    assert child.stdout is not None
    first = []
    try:
        first += [child.stdout.readline() for _ in range(after_lines)]
    finally:
        os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read()
        child.stdout.close()
        child.wait()
    lines = b"".join([*first, rest]).decode().split("\n")[:-1]  # what follows the last newline is half a line
    words = {"S": acknowledged.sent, "d": acknowledged.maybe_deleted, "D": acknowledged.deleted}
    for line in lines:
        word, _, body = line.partition(" ")
        words[word].add(body)


async def everything_in(folder: Path) -> list[str]:
    broker = await Broker.open(folder, Later(), region="us-east-1", account="123456789012")
    bodies = []
    for name in ("events", "dead", ORDERS):  # receiving from the first may still move some to the second
        while messages := await broker.receive(QueueName(name), count_max=1_000, wait_s=0):
            bodies += [message.body for message in messages]
            if name == ORDERS:
                check_order(messages)
    await broker.close()
    return bodies


def check_order(messages: list[ReceivedMessage]) -> None:
    by_group: dict[str, list[tuple[int, ...]]] = {}
    for message in messages:
        _, number, part = message.body.rstrip("x").rsplit("-", 2)
        by_group.setdefault(message.system_attributes["MessageGroupId"], []).append((int(number), int(part)))
    for places in by_group.values():
        assert places == sorted(places), "a group is out of order"


async def accepts_none_again(folder: Path, bodies: set[str]) -> None:
    """Send to the FIFO queue what it had acknowledged before, minutes ago at most."""
    broker = await Broker.open(folder, Clock(), region="us-east-1", account="123456789012")
    before = broker.depth(ORDERS)
    messages = [NewMessage(body, group_id=body.rsplit("-", 2)[0]) for body in bodies]
    await broker.send(ORDERS, messages)
    after = broker.depth(ORDERS)
    await broker.close()
    assert sum(astuple(after)) == sum(astuple(before)), "a duplicate was accepted"


async def test_a_broker_killed_under_load_keeps_its_word(tmp_path: Path) -> None:
    chance = random.Random(20)
    acknowledged = Acknowledged()

    for number in range(ROUNDS):
        run_and_kill(tmp_path / "journal", f"r{number}", chance.randrange(1, LINES_MAX), acknowledged)
        copy = tmp_path / f"after-{number}"
        shutil.copytree(tmp_path / "journal", copy)
        orders = {body for body in acknowledged.sent if body.startswith((f"r{number}-0-", f"r{number}-4-"))}
        await accepts_none_again(copy, orders)
        found = await everything_in(copy)

        assert len(found) == len(set(found)), "a message is there twice"
        assert acknowledged.sent - acknowledged.maybe_deleted <= set(found), "an acknowledged message is lost"
        assert not acknowledged.deleted & set(found), "a deleted message came back"

    assert len(acknowledged.sent) > 1_000
    assert len(acknowledged.deleted) > 1_000
