"""Applying an app to a real broker and store; DynamoDB and S3 are a moto server."""

import asyncio
import dataclasses
from collections import abc
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from workshape.app.apply import Catalogues, FunctionCatalogue, MappingCatalogue, apply
from workshape.app.catalogue import function_catalogue
from workshape.app.delivery_apply import DeliveryCatalogue
from workshape.app.event_apply import EventCatalogue
from workshape.app.kafka_apply import KafkaCatalogue
from workshape.app.model import App, Bucket, Function, Key, Layer, Mapping, Queue, Redrive, Table
from workshape.app.plan import PresentMapping, PutFunction
from workshape.app.storage import NobodyAnswers, Storage
from workshape.buckets.notification import NotificationConfiguration
from workshape.cli.ports import free_ports
from workshape.clock import Clock
from workshape.delivery import Delivered, Delivery, DeliveryOutcome, Undelivered
from workshape.errors import Invalid
from workshape.events.buses import Buses
from workshape.events.event_metrics import EventMetrics
from workshape.events.scheduler.schedules import Schedules
from workshape.events.target_queue import TargetQueue
from workshape.functions.catalog import Catalog
from workshape.functions.code import CodeStore
from workshape.functions.function_name import FunctionNotFound
from workshape.functions.images.deployments import Deployments
from workshape.functions.images.store import ImageStore
from workshape.functions.model import FunctionName
from workshape.parts.moto import moto_server
from workshape.queues.broker import Broker
from workshape.queues.model import QueueName
from workshape.store.documents import Documents
from workshape.topics.model import Subscription
from workshape.topics.registry import Topics

APP = App(
    name="app",
    functions=(Function(name="events", runtime="python3.12", handler="a.b", code="/code"),),
    queues=(Queue("events", visibility_timeout_s=60, redrive=Redrive("events-dlq", 3)), Queue("events-dlq")),
    mappings=(Mapping("events", "events"),),
    tables=(Table("events", Key("pk"), Key("sk", "N")),),
    buckets=(Bucket("uploads"),),
)


@dataclass
class Recorded:
    """Functions and mappings, kept in memory the way their catalogues would."""

    functions: dict[str, Function] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)
    mappings: dict[str, Mapping] = field(default_factory=dict)
    refuse: bool = False

    async def put(self, function: Function) -> None:
        self.functions[function.name] = function
        if self.refuse:
            raise Invalid(reason="refused")

    async def remove(self, name: str) -> None:
        self.functions.pop(name, None)

    async def put_layer(self, layer: Layer) -> None:
        self.layers[layer.name] = layer

    async def remove_layer(self, name: str) -> None:
        self.layers.pop(name, None)

    def present(self) -> list[PresentMapping]:
        return [PresentMapping(one, mapping) for one, mapping in self.mappings.items()]

    async def create(self, mapping: Mapping) -> None:
        self.mappings[f"id-{len(self.mappings)}"] = mapping

    async def update(self, mapping_id: str, mapping: Mapping) -> None:
        self.mappings[mapping_id] = mapping

    async def delete(self, mapping_id: str) -> None:
        del self.mappings[mapping_id]


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[str]:
    [port] = free_ports("127.0.0.1", 1)
    server = moto_server(host="127.0.0.1", port=port, account="1" * 12, folder=tmp_path, log_file=tmp_path / "moto.log")
    await server.start()
    yield f"http://127.0.0.1:{port}"
    await server.stop()


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    broker = await Broker.open(tmp_path / "queues", Clock(), region="eu-west-1", account="1" * 12)
    yield broker
    await broker.close()


async def notify(_bucket: str, _configuration: NotificationConfiguration) -> None:
    """These apps tell nobody."""


async def undeliverable(_arn: str, _delivery: Delivery) -> DeliveryOutcome:
    return Undelivered("NotFound", "nothing is delivered here", retryable=False)


async def refuse(_subscription: Subscription, _delivery: Delivery) -> None:
    raise AssertionError("nothing is published here")


def deliveries(tmp_path: Path) -> DeliveryCatalogue:
    store = Documents(tmp_path / "deliveries.sqlite")
    topics = Topics(
        store,
        Clock(),
        region="eu-west-1",
        account="1" * 12,
        endpoint="",
        certificate_url="",
        deliver=undeliverable,
        hand_over=refuse,
    )
    return DeliveryCatalogue(
        topics=topics,
        notifications=lambda _bucket: NotificationConfiguration(),
        notify=notify,
        event_config=lambda _function: None,
        configure_events=lambda _function, _config: None,
        store=store,
        region="eu-west-1",
        account="1" * 12,
    )


def kafka(tmp_path: Path) -> KafkaCatalogue:
    async def create_topics(_servers: Sequence[str], _partitions: abc.Mapping[str, int]) -> list[str]:
        raise AssertionError("these apps have no topics")

    return KafkaCatalogue(
        servers=(),
        create_topics=create_topics,
        present=list,
        create=lambda _wanted: "",
        update=lambda _id, _wanted: None,
        delete=lambda _id: None,
        store=Documents(tmp_path / "kafka.sqlite"),
        region="eu-west-1",
        account="1" * 12,
    )


def catalogues(broker: Broker, recorded: Recorded, tmp_path: Path, upstream: dict[str, str]) -> Catalogues:
    store, region, account = Documents(tmp_path / "store.sqlite"), "eu-west-1", "1" * 12
    queue = TargetQueue(store, _nowhere, EventMetrics(), Clock())
    events = EventCatalogue(
        Buses(store, Clock(), region=region, account=account),
        Schedules(store, queue, Clock(), region=region, account=account),
        store,
    )
    return Catalogues(
        functions=FunctionCatalogue(recorded.put, recorded.remove, recorded.put_layer, recorded.remove_layer),
        mappings=MappingCatalogue(recorded.present, recorded.create, recorded.update, recorded.delete),
        deliveries=deliveries(tmp_path),
        kafka=kafka(tmp_path),
        events=events,
        broker=broker,
        storage=Storage(upstream, region),
        store=store,
        region=region,
        account=account,
    )


async def _nowhere(_arn: str, _delivery: Delivery) -> Delivered:
    return Delivered()


async def test_an_app_is_made_kept_and_cleared_away(tmp_path: Path, broker: Broker, upstream: str) -> None:
    recorded = Recorded()
    where = catalogues(broker, recorded, tmp_path, {"default": upstream})

    first = await apply(APP, where)
    again = await apply(APP, where)
    attributes = broker.queue(QueueName("events")).attributes
    tables, buckets = await asyncio.gather(where.storage.tables(), where.storage.buckets())
    await apply(App("app"), where)

    assert len(first) == 6
    assert again == [PutFunction(APP.functions[0])]
    assert attributes.visibility_timeout_s == 60
    assert attributes.redrive is not None
    assert attributes.redrive.dead_letter_queue_arn == f"arn:aws:sqs:eu-west-1:{'1' * 12}:events-dlq"
    assert tables == {"events"}
    assert buckets == {"uploads"}
    assert recorded == Recorded()
    assert broker.list_queues() == ["events", "events-dlq"]


async def test_functions_reach_their_catalogue_and_unchanged_ones_keep_their_revision(
    tmp_path: Path, broker: Broker
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "a.py").write_text("def b(event, context): ...")
    store = Documents(tmp_path / "functions.sqlite")
    catalog = Catalog(
        store,
        CodeStore(tmp_path / "unpacked"),
        region="eu-west-1",
        account="1" * 12,
        account_concurrency=1_000,
        clock=Clock(),
    )
    images = Deployments(ImageStore(tmp_path / "images"), store, catalog)
    function = replace(APP.functions[0], code=str(code), environment={"A": "own"}, reserved_concurrency=7)
    where = dataclasses.replace(
        catalogues(broker, Recorded(), tmp_path, {}),
        functions=function_catalogue(catalog, images, {}, lambda function: {"A": "ours", "B": "ours"}),
    )

    await apply(App("app", functions=(function,)), where)
    first = catalog.get(FunctionName("events"))
    await apply(App("app", functions=(function,)), where)
    again = catalog.get(FunctionName("events"))
    await apply(App("app", functions=(replace(function, memory_mb=256),)), where)
    changed = catalog.get(FunctionName("events"))
    await apply(App("app"), where)

    assert first.configuration.environment == {"A": "own", "B": "ours"}
    assert first.reserved_concurrency == 7
    assert again.revision == first.revision != changed.revision
    with pytest.raises(FunctionNotFound):
        catalog.resolve("events", None)


async def test_a_changed_layer_is_a_new_version_that_its_functions_get(tmp_path: Path, broker: Broker) -> None:
    for name, text in (("code/a.py", "def b(event, context): ..."), ("layer/shared.txt", "one")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    store = Documents(tmp_path / "functions.sqlite")
    catalog = Catalog(
        store,
        CodeStore(tmp_path / "unpacked"),
        region="eu-west-1",
        account="1" * 12,
        account_concurrency=1_000,
        clock=Clock(),
    )
    images = Deployments(ImageStore(tmp_path / "images"), store, catalog)
    where = dataclasses.replace(
        catalogues(broker, Recorded(), tmp_path, {}),
        functions=function_catalogue(catalog, images, {}, lambda function: {}),
    )
    function = replace(APP.functions[0], code=str(tmp_path / "code"), layers=("shared",))
    app = App("app", functions=(function,), layers=(Layer("shared", str(tmp_path / "layer")),))

    await apply(app, where)
    first = catalog.resolve("events", None)
    await apply(app, where)
    same = catalog.resolve("events", None)
    (tmp_path / "layer" / "shared.txt").write_text("two!")
    before = (Path(first.opt_folder) / "shared.txt").read_text()
    await apply(app, where)
    changed = catalog.resolve("events", None)
    numbers = [version.number for version in catalog.layers.versions("shared")]
    await apply(App("app", functions=(replace(function, layers=()),)), where)

    assert before == "one", "what runs is not what is being edited"
    assert same == first
    assert (Path(changed.opt_folder) / "shared.txt").read_text() == "two!"
    assert numbers == [2]
    assert catalog.layers.names() == []
    assert catalog.resolve("events", None).opt_folder == ""
    store.close()


async def test_what_a_failed_attempt_made_is_still_known_to_be_the_apps(tmp_path: Path, broker: Broker) -> None:
    recorded = Recorded(refuse=True)
    where = catalogues(broker, recorded, tmp_path, {})
    app = App("app", functions=APP.functions)

    with pytest.raises(Invalid):
        await apply(app, where)
    await apply(App("app"), where)

    assert recorded.functions == {}


async def test_tables_without_anybody_to_hold_them_are_an_error_with_a_remedy(tmp_path: Path, broker: Broker) -> None:
    where = catalogues(broker, Recorded(), tmp_path, {})

    with pytest.raises(NobodyAnswers, match=r"pip install 'workshape\[services\]'"):
        await apply(APP, where)
