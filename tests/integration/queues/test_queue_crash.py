"""kill -9 at random moments: nothing acknowledged is lost, nothing deleted comes back."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from workshape.clock import Clock
from workshape.queues.broker import Broker
from workshape.queues.model import QueueName

ROUNDS = 7
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


def run_and_kill(folder: Path, run: str, after_s: float, acknowledged: Acknowledged) -> None:
    child = subprocess.Popen([sys.executable, CHILD, folder, run], stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        first = child.stdout.readline()
        time.sleep(after_s)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read()
        child.stdout.close()
        child.wait()
    lines = (first + rest).decode().split("\n")[:-1]  # what follows the last newline is half a line
    words = {"S": acknowledged.sent, "d": acknowledged.maybe_deleted, "D": acknowledged.deleted}
    for line in lines:
        word, _, body = line.partition(" ")
        words[word].add(body)


async def everything_in(folder: Path) -> list[str]:
    broker = await Broker.open(folder, Later(), region="us-east-1", account="123456789012")
    bodies = []
    for name in ("events", "dead"):  # receiving from the first may still move some to the second
        while messages := await broker.receive(QueueName(name), count_max=1_000, wait_s=0):
            bodies += [message.body for message in messages]
    await broker.close()
    return bodies


async def test_a_broker_killed_under_load_keeps_its_word(tmp_path: Path) -> None:
    chance = random.Random(20)
    acknowledged = Acknowledged()

    for number in range(ROUNDS):
        run_and_kill(tmp_path / "journal", f"r{number}", chance.uniform(0.0, 0.6), acknowledged)
        copy = tmp_path / f"after-{number}"
        shutil.copytree(tmp_path / "journal", copy)
        found = await everything_in(copy)

        assert len(found) == len(set(found)), "a message is there twice"
        assert acknowledged.sent - acknowledged.maybe_deleted <= set(found), "an acknowledged message is lost"
        assert not acknowledged.deleted & set(found), "a deleted message came back"

    assert len(acknowledged.sent) > 1_000
    assert len(acknowledged.deleted) > 1_000
