"""Brings about the Kafka topics and their mappings that the app wants.

A mapping that the app file no longer names is removed, if the app file had made it. Topics stay: they hold data.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from workshape.app.delivery_build import endpoint_arn
from workshape.app.kafka_model import KafkaMapping
from workshape.app.model import App
from workshape.store.documents import Documents

DOCUMENT_KIND = "app"
DOCUMENT_KEY = "made-kafka-mappings"


class WantedKafkaMapping(msgspec.Struct, frozen=True):
    """A mapping with all that the app file says of it elsewhere."""

    mapping: KafkaMapping
    """Without `on_failure`."""
    servers: tuple[str, ...]
    destination: str = ""
    """ARN of what is told of failures."""


@dataclass(frozen=True, slots=True)
class PresentKafkaMapping:
    """A mapping that is there."""

    id: str
    described: WantedKafkaMapping


@dataclass(frozen=True, slots=True)
class KafkaCatalogue:
    """Kafka, as the app needs it."""

    servers: tuple[str, ...]
    """Where the app's cluster is."""
    create_topics: Callable[[Sequence[str], Mapping[str, int]], Awaitable[list[str]]]
    """Make those of them that are not there, and name these."""
    present: Callable[[], Sequence[PresentKafkaMapping]]
    create: Callable[[WantedKafkaMapping], str]
    """Return the mapping's id."""
    update: Callable[[str, WantedKafkaMapping], None]
    delete: Callable[[str], None]
    store: Documents
    region: str
    account: str


@dataclass(frozen=True, slots=True)
class CreateKafkaTopic:
    """It was not there."""

    name: str


@dataclass(frozen=True, slots=True)
class RemoveKafkaMapping:
    """The app had made it and names it no more."""

    id: str


KafkaChange = CreateKafkaTopic | KafkaMapping | RemoveKafkaMapping
"""What was made or changed, as the app has it; or what was removed."""


async def apply_kafka(app: App, catalogue: KafkaCatalogue) -> list[KafkaChange]:
    """Make topics and mappings as the app wants them; return what was changed. Functions and the rest are there by now.

    Raises:
        WorkshapeError: a change was refused.
    """
    made = _read_made(catalogue.store)
    if app.kafka is None and not made:
        return []
    changes: list[KafkaChange] = []
    if app.kafka is not None and app.kafka.topics:
        names = await catalogue.create_topics(catalogue.servers, app.kafka.topics)
        changes += [CreateKafkaTopic(name) for name in names]
    there = {_pair(each.described.mapping): each for each in catalogue.present()}
    ids = []
    for mapping in app.kafka_mappings:
        present = there.get(_pair(mapping))
        wanted = _wanted(mapping, catalogue)
        if present is None:
            ids.append(catalogue.create(wanted))
            _keep(catalogue.store, sorted({*made, *ids}))
            changes.append(mapping)
            continue
        ids.append(present.id)
        if not mapping.group_id:  # one of its own, which it has by now
            own = msgspec.structs.replace(wanted.mapping, group_id=present.described.mapping.group_id)
            wanted = msgspec.structs.replace(wanted, mapping=own)
        if wanted != present.described:
            catalogue.update(present.id, wanted)
            changes.append(mapping)
    for gone in (each.id for each in there.values() if each.id in made and each.id not in ids):
        catalogue.delete(gone)
        changes.append(RemoveKafkaMapping(gone))
    _keep(catalogue.store, sorted(ids))
    return changes


def _wanted(mapping: KafkaMapping, catalogue: KafkaCatalogue) -> WantedKafkaMapping:
    endpoint = mapping.on_failure
    arn = endpoint_arn(endpoint, catalogue.region, catalogue.account) if endpoint is not None else ""
    return WantedKafkaMapping(msgspec.structs.replace(mapping, on_failure=None), catalogue.servers, arn)


def _pair(mapping: KafkaMapping) -> tuple[str, str]:
    return mapping.topic, mapping.function


def _read_made(store: Documents) -> list[str]:
    documents = dict(store.all(DOCUMENT_KIND))
    return msgspec.json.decode(documents[DOCUMENT_KEY], type=list[str]) if DOCUMENT_KEY in documents else []


def _keep(store: Documents, ids: Sequence[str]) -> None:
    store.put(DOCUMENT_KIND, DOCUMENT_KEY, msgspec.json.encode(ids))
