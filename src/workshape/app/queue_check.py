"""Whether an app's queues hang together: kinds, dead-letter queues, and who may use them. A core."""

import re
from collections.abc import Iterator, Mapping

from workshape.app.model import App, Queue
from workshape.app.problem import Naming, Problem
from workshape.toml_document import Place, did_you_mean

FIFO_SUFFIX = ".fifo"
NAME = Naming(
    "a queue",
    re.compile(r"[a-zA-Z0-9_-]{1,80}|(?=.{6,80}$)[a-zA-Z0-9_-]+\.fifo"),
    "1 to 80 letters, digits, - and _, and .fifo at the end of a FIFO queue's",
)
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html"""
SOURCES_MAX = 10
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""


def queue_problems(app: App) -> Iterator[Problem]:
    """Everything that is wrong with the queues."""
    queues = {queue.name: queue for queue in app.queues}
    for queue in app.queues:
        yield from _kind_problems(queue)
        yield from _redrive_problems(queue, queues)
        yield from _redrive_allow_problems(queue, queues)


def _kind_problems(queue: Queue) -> Iterator[Problem]:
    place: Place = ("queues", queue.name)
    if queue.name.endswith(FIFO_SUFFIX) and not queue.fifo:
        yield Problem(place, "a name that ends in .fifo belongs to a FIFO queue: write fifo = true")
    elif queue.fifo and not queue.name.endswith(FIFO_SUFFIX):
        yield Problem((*place, "fifo"), f'a FIFO queue\'s name ends in .fifo: write [queues."{queue.name}.fifo"]')
    if not queue.fifo:
        for key in ("content_based_deduplication", "deduplication_scope", "fifo_throughput_limit"):
            if getattr(queue, key) != getattr(Queue(""), key):
                yield Problem((*place, key), "only a FIFO queue has it, and this one has no fifo = true")
    if queue.fifo_throughput_limit == "perMessageGroupId" and queue.deduplication_scope != "messageGroup":
        yield Problem((*place, "fifo_throughput_limit"), 'perMessageGroupId needs deduplication_scope = "messageGroup"')


def _redrive_problems(queue: Queue, queues: Mapping[str, Queue]) -> Iterator[Problem]:
    if queue.redrive is None:
        return
    place: Place = ("queues", queue.name, "redrive", "dead_letter_queue")
    target = queue.redrive.dead_letter_queue
    there = queues.get(target)
    if target == queue.name:
        yield Problem(place, "a queue cannot be its own dead-letter queue")
    elif there is None:
        yield Problem(place, f"there is no [queues.{target}]; {did_you_mean(target, queues.keys() - {queue.name})}")
    elif there.fifo != queue.fifo:
        kinds = ("a FIFO queue", "a standard queue") if queue.fifo else ("a standard queue", "a FIFO queue")
        yield Problem(place, f'this is {kinds[0]}, and "{target}" is {kinds[1]}; both must be of one kind')
    elif not _lets_in(there, queue.name):
        yield Problem(place, f'the redrive_allow of "{target}" does not let this queue in')
    elif _returns_to(queue.name, queues):
        yield Problem(place, "following the dead-letter queues from here leads back here")


def _redrive_allow_problems(queue: Queue, queues: Mapping[str, Queue]) -> Iterator[Problem]:
    allow = queue.redrive_allow
    if allow is None:
        return
    place: Place = ("queues", queue.name, "redrive_allow")
    by_queue = allow.permission == "byQueue"
    if by_queue != bool(allow.source_queues) or len(allow.source_queues) > SOURCES_MAX:
        yield Problem(place, f'permission = "byQueue", and no other, takes 1 to {SOURCES_MAX} source_queues')
    for name in allow.source_queues:
        if name not in queues:
            what = f"there is no [queues.{name}]; {did_you_mean(name, queues.keys() - {queue.name})}"
            yield Problem((*place, "source_queues"), what)


def _lets_in(dead_letter_queue: Queue, source: str) -> bool:
    allow = dead_letter_queue.redrive_allow
    return allow is None or allow.permission == "allowAll" or source in allow.source_queues


def _returns_to(start: str, queues: Mapping[str, Queue]) -> bool:
    queue = queues[start]
    for _ in queues:
        if queue.redrive is None or (target := queues.get(queue.redrive.dead_letter_queue)) is None:
            return False
        queue = target
        if queue.name == start:
            return True
    return False
