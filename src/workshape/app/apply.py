"""Brings about what the app wants: reads what there is, plans, and carries the plan out, in that order.

What belongs to rooms beside this one is given as callables, wired in `engine/`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec

from workshape.app.delivery_apply import DeliveryCatalogue, DeliveryChange, apply_deliveries
from workshape.app.event_apply import EventCatalogue, EventChange, apply_events
from workshape.app.kafka_apply import KafkaCatalogue, KafkaChange, apply_kafka
from workshape.app.model import App, Function, Layer, Mapping
from workshape.app.plan import (
    Change,
    CreateBucket,
    CreateMapping,
    CreateQueue,
    CreateTable,
    DeleteMapping,
    Made,
    Present,
    PresentMapping,
    PutFunction,
    PutLayer,
    RemoveFunction,
    RemoveLayer,
    UpdateMapping,
    UpdateQueue,
    plan,
)
from workshape.app.queue_attributes import attributes_of, queue_of
from workshape.app.storage import Storage
from workshape.queues.broker import Broker
from workshape.queues.model import QueueAttributes, QueueName
from workshape.store.documents import Documents

DOCUMENT_KIND = "app"
DOCUMENT_KEY = "made"


@dataclass(frozen=True, slots=True)
class FunctionCatalogue:
    """The functions' catalogue, as the app needs it."""

    put: Callable[[Function], Awaitable[None]]
    """Create or update; unchanged code and configuration keep their revision."""
    remove: Callable[[str], Awaitable[None]]
    """Delete; nothing to do when it is gone already."""
    put_layer: Callable[[Layer], Awaitable[None]]
    """Create, or make a new version; functions put after it have that."""
    remove_layer: Callable[[str], Awaitable[None]]
    """Delete; nothing to do when it is gone already."""


@dataclass(frozen=True, slots=True)
class MappingCatalogue:
    """The event source mappings, as the app needs them."""

    present: Callable[[], Sequence[PresentMapping]]
    create: Callable[[Mapping], Awaitable[None]]
    update: Callable[[str, Mapping], Awaitable[None]]
    delete: Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Catalogues:
    """Everything an app is applied to."""

    functions: FunctionCatalogue
    mappings: MappingCatalogue
    deliveries: DeliveryCatalogue
    events: EventCatalogue
    kafka: KafkaCatalogue
    broker: Broker
    storage: Storage
    store: Documents
    region: str
    account: str


async def apply(app: App, catalogues: Catalogues) -> list[Change | EventChange | DeliveryChange | KafkaChange]:
    """Make everything as the app wants it; return what was changed.

    Running it again after a failure goes on where that one stopped.

    Raises:
        WorkshapeError: a change was refused.
    """
    made, broker = _read_made(catalogues.store), catalogues.broker
    tables = await catalogues.storage.tables() if app.tables else frozenset()
    buckets = await catalogues.storage.buckets() if app.buckets else frozenset()
    present = Present(
        queues=tuple(queue_of(name, broker.queue(name).attributes) for name in broker.list_queues()),
        mappings=tuple(catalogues.mappings.present()),
        tables=tables,
        buckets=buckets,
        made=made,
    )
    changes = plan(app, present)
    names = {function.name for function in app.functions}
    layers = {layer.name for layer in app.layers}
    before_any_is_there = Made(
        tuple(sorted(names | {*made.functions})), made.mappings, tuple(sorted(layers | {*made.layers}))
    )
    _keep(catalogues.store, before_any_is_there)
    for change in changes:
        await _carry_out(change, catalogues)
    pairs = {(mapping.queue, mapping.function) for mapping in app.mappings}
    ids = [there.id for there in catalogues.mappings.present() if _pair(there) in pairs]
    _keep(catalogues.store, Made(tuple(sorted(names)), tuple(sorted(ids)), tuple(sorted(layers))))
    events = apply_events(app, catalogues.events)
    deliveries = await apply_deliveries(app, catalogues.deliveries)
    return [*changes, *events, *deliveries, *await apply_kafka(app, catalogues.kafka)]


async def _carry_out(change: Change, catalogues: Catalogues) -> None:
    mappings, region, account = catalogues.mappings, catalogues.region, catalogues.account
    match change:
        case CreateQueue(queue):
            attributes = attributes_of(queue, QueueAttributes(), region=region, account=account)
            await catalogues.broker.create_queue(QueueName(queue.name), attributes)
        case UpdateQueue(queue):
            name = QueueName(queue.name)
            there = catalogues.broker.queue(name).attributes
            attributes = attributes_of(queue, there, region=region, account=account)
            await catalogues.broker.set_queue_attributes(name, attributes)
        case CreateTable(table):
            await catalogues.storage.create_table(table)
        case CreateBucket(bucket):
            await catalogues.storage.create_bucket(bucket)
        case CreateMapping(mapping):
            await mappings.create(mapping)
        case UpdateMapping(mapping_id, mapping):
            await mappings.update(mapping_id, mapping)
        case DeleteMapping(mapping_id, _):
            await mappings.delete(mapping_id)
        case _:
            await _carry_out_on_functions(change, catalogues.functions)


async def _carry_out_on_functions(
    change: PutLayer | RemoveLayer | PutFunction | RemoveFunction, functions: FunctionCatalogue
) -> None:
    match change:
        case PutLayer(layer):
            await functions.put_layer(layer)
        case RemoveLayer(name):
            await functions.remove_layer(name)
        case PutFunction(function):
            await functions.put(function)
        case RemoveFunction(name):
            await functions.remove(name)


def _pair(there: PresentMapping) -> tuple[str, str]:
    return there.mapping.queue, there.mapping.function


def _read_made(store: Documents) -> Made:
    documents = dict(store.all(DOCUMENT_KIND))
    return msgspec.json.decode(documents[DOCUMENT_KEY], type=Made) if DOCUMENT_KEY in documents else Made()


def _keep(store: Documents, made: Made) -> None:
    store.put(DOCUMENT_KIND, DOCUMENT_KEY, msgspec.json.encode(made))
