"""What has to change so that what there is becomes what the app wants. A core.

What the app file no longer names: functions, layers and mappings that it had made are removed; queues, tables and
buckets stay, because they hold data. What others made (over the AWS API) is left alone, unless the app names it too.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from workshape.app.model import App, Bucket, Function, Layer, Mapping, Queue, Table


class Made(msgspec.Struct, frozen=True):
    """What earlier versions of the app file made and this one may remove."""

    functions: tuple[str, ...] = ()
    mappings: tuple[str, ...] = ()
    """Their ids."""
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PresentMapping:
    """An event source mapping that exists."""

    id: str
    mapping: Mapping


@dataclass(frozen=True, slots=True)
class Present:
    """What there is."""

    queues: tuple[Queue, ...] = ()
    mappings: tuple[PresentMapping, ...] = ()
    tables: frozenset[str] = frozenset()
    buckets: frozenset[str] = frozenset()
    made: Made = field(default_factory=Made)


@dataclass(frozen=True, slots=True)
class CreateQueue:
    """Its dead-letter queue is there by then."""

    queue: Queue


@dataclass(frozen=True, slots=True)
class UpdateQueue:
    """Set the attributes the app knows; others stay."""

    queue: Queue


@dataclass(frozen=True, slots=True)
class CreateTable:
    """Tables are never altered: their keys cannot be, and nothing else is the app's."""

    table: Table


@dataclass(frozen=True, slots=True)
class CreateBucket:
    """A bucket that is not there."""

    bucket: Bucket


@dataclass(frozen=True, slots=True)
class PutLayer:
    """Make a version of it, unless the newest is the same."""

    layer: Layer


@dataclass(frozen=True, slots=True)
class PutFunction:
    """Create or update: the catalogue knows whether code or configuration changed. Its layers are there by then."""

    function: Function


@dataclass(frozen=True, slots=True)
class CreateMapping:
    """Queue and function are there by then."""

    mapping: Mapping


@dataclass(frozen=True, slots=True)
class UpdateMapping:
    """The same queue and function, other settings."""

    id: str
    mapping: Mapping


@dataclass(frozen=True, slots=True)
class DeleteMapping:
    """Comes before its function goes."""

    id: str
    mapping: Mapping


@dataclass(frozen=True, slots=True)
class RemoveFunction:
    """The app had made it and names it no more."""

    name: str


@dataclass(frozen=True, slots=True)
class RemoveLayer:
    """The app had made it and names it no more."""

    name: str


Change = (
    CreateQueue
    | UpdateQueue
    | CreateTable
    | CreateBucket
    | PutLayer
    | PutFunction
    | CreateMapping
    | UpdateMapping
    | DeleteMapping
    | RemoveFunction
    | RemoveLayer
)


def plan(app: App, present: Present) -> list[Change]:
    """List the changes, each possible once those before it are done."""
    wanted = {(mapping.queue, mapping.function): mapping for mapping in app.mappings}
    changes: list[Change] = [
        DeleteMapping(there.id, there.mapping)
        for there in present.mappings
        if there.id in present.made.mappings and (there.mapping.queue, there.mapping.function) not in wanted
    ]
    names = {function.name for function in app.functions}
    changes += [RemoveFunction(name) for name in present.made.functions if name not in names]  # frees reservations
    layers = {layer.name for layer in app.layers}
    changes += [RemoveLayer(name) for name in present.made.layers if name not in layers]
    changes += _queue_changes(app.queues, {queue.name: queue for queue in present.queues})
    changes += [CreateTable(table) for table in app.tables if table.name not in present.tables]
    changes += [CreateBucket(bucket) for bucket in app.buckets if bucket.name not in present.buckets]
    changes += [PutLayer(layer) for layer in app.layers]
    changes += [PutFunction(function) for function in app.functions]
    there_already = {(there.mapping.queue, there.mapping.function): there for there in present.mappings}
    for pair, mapping in wanted.items():
        there = there_already.get(pair)
        if there is None:
            changes.append(CreateMapping(mapping))
        elif there.mapping != mapping:
            changes.append(UpdateMapping(there.id, mapping))
    return changes


def _queue_changes(wanted: Iterable[Queue], present: dict[str, Queue]) -> list[Change]:
    changes: list[Change] = []
    for queue in _dead_letter_queues_first(wanted):
        if queue.name not in present:
            changes.append(CreateQueue(queue))
        elif present[queue.name] != queue:
            changes.append(UpdateQueue(queue))
    return changes


def _dead_letter_queues_first(queues: Iterable[Queue]) -> list[Queue]:
    """Order queues so that each comes after its dead-letter queue. `check.py` has refused rings."""
    by_name = {queue.name: queue for queue in queues}
    ordered: dict[str, Queue] = {}

    def place(queue: Queue) -> None:
        target = by_name.get(queue.redrive.dead_letter_queue) if queue.redrive is not None else None
        if target is not None and target.name not in ordered:
            place(target)
        ordered.setdefault(queue.name, queue)

    for queue in by_name.values():
        place(queue)
    return list(ordered.values())
