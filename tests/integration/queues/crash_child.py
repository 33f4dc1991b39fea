"""The process that is killed: a broker under load, which says on standard output what was acknowledged to it.

`S body` - a send returned; `d body` - a delete is about to be asked for; `D body` - a delete returned.
"""

import asyncio
import os
import sys
from itertools import count
from pathlib import Path

import uvloop

from workshape.clock import Clock
from workshape.queues import journal, ledger
from workshape.queues.broker import Broker
from workshape.queues.model import NewMessage, QueueAttributes, QueueName, RedrivePolicy

EVENTS = QueueName("events")
DEAD = QueueName("dead")
SENDERS = 8
RECEIVERS = 4


def say(word: str, bodies: list[str]) -> None:
    """One write a line: whole lines only, and never kept in a buffer of this process."""
    os.write(1, b"".join(f"{word} {body}\n".encode() for body in bodies))


async def send(broker: Broker, run: str, sender: int) -> None:
    for number in count():
        bodies = [f"{run}-{sender}-{number}-{part}" for part in range(number % 3 + 1)]
        await broker.send(EVENTS, [NewMessage(body + "x" * (number % 500)) for body in bodies])
        say("S", [body + "x" * (number % 500) for body in bodies])


async def receive(broker: Broker) -> None:
    while True:
        messages = await broker.receive(EVENTS, count_max=10, wait_s=5, visibility_timeout_s=0)
        done = [message for message in messages if hash(message.body) % 3]
        say("d", [message.body for message in done])
        await broker.delete(EVENTS, [message.receipt_handle for message in done])
        say("D", [message.body for message in done])


async def main(folder: Path, run: str) -> None:
    broker = await Broker.open(folder, Clock(), region="us-east-1", account="123456789012")
    dead = await broker.create_queue(DEAD)
    await broker.create_queue(EVENTS, QueueAttributes(redrive=RedrivePolicy(dead.arn, 2)))
    async with asyncio.TaskGroup() as tasks:
        for sender in range(SENDERS):
            tasks.create_task(send(broker, run, sender))
        for _ in range(RECEIVERS):
            tasks.create_task(receive(broker))


if __name__ == "__main__":
    # Small, so that segments are closed, cleaned and dropped all the time.
    journal.SEGMENT_BYTES = 64 * 1024
    ledger.JOURNAL_BYTES_MIN = 256 * 1024
    uvloop.run(main(Path(sys.argv[1]), sys.argv[2]))
