"""Scene 2, partial batches: events, some poison, some sent twice, through a queue and a function into a table.

Exactly the poison must end in the dead-letter queue, and each event be stored once; with the twin of the function
that reports duplicates as failures, the duplicates end there too, though their work is done.
"""

import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from examples.demo.platform import Platform

EVENTS = 1_000
TWIN_EVENTS = 200
POISON_SHARE = 0.01
DUPLICATE_SHARE = 0.05
DRAIN_S_MAX = 100.0
SEND_BATCH = 10  # SQS's own limit
SENDERS = 4


@dataclass(frozen=True, slots=True)
class Flow:
    """One queue and its function: both have the same name."""

    queue: str
    language: str
    title: str
    events: int


FLOWS = (
    Flow("events", "TypeScript", "reports real failures", EVENTS),
    Flow("events-python", "Python", "reports real failures", EVENTS),
    Flow("events-duplicates-fail", "TypeScript", "twin: duplicates fail", TWIN_EVENTS),
    Flow("events-python-duplicates-fail", "Python", "twin: duplicates fail", TWIN_EVENTS),
)


@dataclass(frozen=True, slots=True)
class Load:
    """The messages of one flow, by what they are."""

    run: str
    """Prefix of every event id of this load."""
    unique: list[str]
    duplicates: list[str]
    poison: list[str]

    def bodies(self) -> list[str]:
        """Everything that is sent; duplicates come after what they repeat."""
        shuffled = self.unique + self.poison
        random.Random(3).shuffle(shuffled)  # the same order every time
        return shuffled + self.duplicates


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one flow's messages."""

    queue: str
    language: str
    title: str
    sent: int
    unique: int
    duplicates: int
    poison: int
    stored: int
    redeliveries: int
    dead_lettered: int
    dead_lettered_poison: int
    dead_lettered_duplicates: int
    drained: bool

    @property
    def exactly_the_poison(self) -> bool:
        """Whether the dead-letter queue holds all the poison and nothing else."""
        return self.drained and self.dead_lettered_poison == self.poison == self.dead_lettered

    def as_json(self) -> dict[str, object]:
        """Everything, with the question's answer."""
        return asdict(self) | {"exactly_the_poison": self.exactly_the_poison}


def play(platform: Platform, progress: Callable[[str, int, int], None]) -> list[Outcome]:
    """Send every flow's messages, wait until its queue is empty, and account for each message.

    `progress` hears (queue, messages settled, messages sent).
    """
    loads = {flow: _load(flow) for flow in FLOWS}
    for flow in FLOWS:
        platform.sqs.purge_queue(QueueUrl=platform.queue_url(f"{flow.queue}-dlq"))
    received_before = {flow: platform.deliveries(flow.queue) for flow in FLOWS}
    for flow, load in loads.items():
        _send(platform, flow.queue, load.bodies())
    drained = _drain(platform, {flow.queue: len(load.bodies()) for flow, load in loads.items()}, progress)
    return [
        _account(platform, flow, load, platform.deliveries(flow.queue) - received_before[flow], drained[flow.queue])
        for flow, load in loads.items()
    ]


def _load(flow: Flow) -> Load:
    run = uuid.uuid4().hex[:8]
    unique = [
        json.dumps(
            {"id": f"{run}-{number}", "type": "post.liked", "creator": f"creator-{number % 50}", "at": "03:00:00"}
        )
        for number in range(flow.events)
    ]
    duplicates = unique[:: round(1 / DUPLICATE_SHARE)]
    poison = [f'{{"id": "{run}-poison-{number}", "type":' for number in range(round(flow.events * POISON_SHARE))]
    return Load(run, unique, duplicates, poison)


def _send(platform: Platform, queue: str, bodies: Sequence[str]) -> None:
    url = platform.queue_url(queue)

    def send(start: int) -> None:
        entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies[start : start + SEND_BATCH])]
        answer = platform.sqs.send_message_batch(QueueUrl=url, Entries=entries)
        assert not answer.get("Failed"), answer["Failed"]

    with ThreadPoolExecutor(SENDERS) as senders:
        list(senders.map(send, range(0, len(bodies), SEND_BATCH)))


def _drain(platform: Platform, sent: dict[str, int], progress: Callable[[str, int, int], None]) -> dict[str, bool]:
    deadline = time.monotonic() + DRAIN_S_MAX
    left = dict(sent)
    while time.monotonic() < deadline and any(left.values()):
        there = platform.messages_left()
        for queue in left:
            left[queue] = there[queue]
            progress(queue, sent[queue] - left[queue], sent[queue])
        time.sleep(0.25)
    return {queue: count == 0 for queue, count in left.items()}


def _account(platform: Platform, flow: Flow, load: Load, received: int, drained: bool) -> Outcome:
    dead = list(_dead_letters(platform, f"{flow.queue}-dlq"))
    stored = {key for key in _stored_keys(platform) if key.startswith(f"EVENT#{load.run}-")}
    sent = len(load.bodies())
    poison, duplicates = set(load.poison), set(load.duplicates)
    return Outcome(
        queue=flow.queue,
        language=flow.language,
        title=flow.title,
        sent=sent,
        unique=len(load.unique),
        duplicates=len(load.duplicates),
        poison=len(load.poison),
        stored=len(stored),
        redeliveries=received - sent,
        dead_lettered=len(dead),
        dead_lettered_poison=sum(body in poison for body in dead),
        dead_lettered_duplicates=sum(body in duplicates for body in dead),
        drained=drained,
    )


def _dead_letters(platform: Platform, queue: str) -> Iterator[str]:
    url = platform.queue_url(queue)
    while messages := platform.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        yield from (message["Body"] for message in messages)


def _stored_keys(platform: Platform) -> Iterator[str]:
    pages: Any = platform.dynamodb.get_paginator("scan").paginate(TableName="events", ProjectionExpression="pk")
    for page in pages:
        yield from (item["pk"]["S"] for item in page["Items"])
