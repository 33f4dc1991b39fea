"""The process that is killed: a broker under load, which says on standard output what was acknowledged to it.

`S body` - a send returned; `d body` - a delete is about to be asked for; `D body` - a delete returned.

Every fourth sender, and a receiver, are at a FIFO queue. The sender sends everything twice.
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
ORDERS = QueueName("orders.fifo")
DEAD = QueueName("dead")
SENDERS = 8
RECEIVERS = 4


def say(word: str, bodies: list[str]) -> None:
    """One write a line: whole lines only, and never kept in a buffer of this process."""
    os.write(1, b"".join(f"{word} {body}\n".encode() for body in bodies))


async def send(broker: Broker, run: str, sender: int) -> None:
    queue = EVENTS if sender % 4 else ORDERS
    for number in count():
        parts = [f"{run}-{sender}-{number}-{part}" for part in range(number % 3 + 1)]
        bodies = [part + "x" * (number % 500) for part in parts]
        messages = [NewMessage(body, group_id=f"{run}-{sender}") for body in bodies]
        await broker.send(queue, messages)
        if queue == ORDERS:
            await broker.send(queue, messages)
        say("S", bodies)


async def receive(broker: Broker, queue: QueueName) -> None:
    while True:
        messages = await broker.receive(queue, count_max=10, wait_s=5, visibility_timeout_s=0 if queue == EVENTS else 1)
        done = [message for message in messages if hash(message.body) % 3]
        say("d", [message.body for message in done])
        outcomes = await broker.delete(queue, [message.receipt_handle for message in done])
        say("D", [message.body for message, error in zip(done, outcomes, strict=True) if error is None])


async def main(folder: Path, run: str) -> None:
    broker = await Broker.open(folder, Clock(), region="us-east-1", account="123456789012")
    dead = await broker.create_queue(DEAD)
    await broker.create_queue(EVENTS, QueueAttributes(redrive=RedrivePolicy(dead.arn, 2)))
    await broker.create_queue(ORDERS, QueueAttributes(fifo=True, content_based_deduplication=True))
    async with asyncio.TaskGroup() as tasks:
        for sender in range(SENDERS):
            tasks.create_task(send(broker, run, sender))
        for receiver in range(RECEIVERS):
            tasks.create_task(receive(broker, EVENTS if receiver else ORDERS))


if __name__ == "__main__":
    # Small, so that segments are closed, cleaned and dropped all the time.
    journal.SEGMENT_BYTES = 64 * 1024
    ledger.JOURNAL_BYTES_MIN = 256 * 1024
    uvloop.run(main(Path(sys.argv[1]), sys.argv[2]))
