"""Kafka in the app file: what it takes, how it refuses the rest, and what is done when it is applied."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from workshape.app.delivery_model import Endpoint
from workshape.app.kafka_apply import (
    CreateKafkaTopic,
    KafkaCatalogue,
    PresentKafkaMapping,
    RemoveKafkaMapping,
    WantedKafkaMapping,
    apply_kafka,
)
from workshape.app.kafka_model import Kafka, KafkaMapping
from workshape.app.model import App
from workshape.app.toml import parse_app
from workshape.store.documents import Documents
from workshape.toml_document import TomlInvalid

FILE = Path("/nowhere/workshape.toml")
FUNCTION = '[functions.f]\npackage_type = "Image"\nimage = "registry.example.com/f:1"\n'
KAFKA = "[kafka]\ntopics = { orders = 3 }\n"
MAPPING = '[[kafka_mappings]]\ntopic = "orders"\nfunction = "f"\n'
PROVISIONED = "pollers_min = 1\npollers_max = 4\n"


def read(text: str) -> App:
    return parse_app(f"{FUNCTION}{text}".encode(), FILE)[0]


def test_a_topic_and_its_mapping_are_read() -> None:
    more = 'retries_max = 5\nbisect = true\non_failure = { queue = "q" }\nfilters = [\'{"value": {"a": [1]}}\']\n'

    app = read(f"{KAFKA}{MAPPING}{PROVISIONED}{more}[queues.q]\n")

    assert app.kafka == Kafka(topics={"orders": 3})
    assert app.kafka_mappings == (
        KafkaMapping(
            topic="orders",
            function="f",
            filters=('{"value": {"a": [1]}}',),
            pollers_min=1,
            pollers_max=4,
            retries_max=5,
            bisect=True,
            on_failure=Endpoint(queue="q"),
        ),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (MAPPING, "there is no [kafka] table"),
        (
            f"[kafka]\ntopics = {{ order = 1 }}\n{MAPPING}",
            'there is no "orders" in [kafka] topics; did you mean "order"?',
        ),
        ('[kafka]\ntopics = { "a b" = 1 }\n', "is no name for a topic"),
        ("[kafka]\ntopics = { a = 0 }\n", "expected integer >= 1"),
        ('[kafka]\nbootstrap_servers = ["nowhere"]\n', '"nowhere" is no HOST:PORT'),
        (f'{KAFKA}[[kafka_mappings]]\ntopic = "orders"\nfunction = "g"\n', "there is no [functions.g]"),
        (f"{KAFKA}{MAPPING}{MAPPING}", 'mapped to "f" twice'),
        (f'{KAFKA}{MAPPING}filters = ["{{}}"]\n', "number 1 is no filter pattern"),
        (f"{KAFKA}{MAPPING}bisect = true\n", "it needs provisioned mode"),
        (f"{KAFKA}{MAPPING}pollers_min = 2\n", "needs both"),
        (f"{KAFKA}{MAPPING}pollers_min = 2\npollers_max = 1\n", "at least pollers_min"),
        (f'{KAFKA}{MAPPING}on_failure = {{ function = "f" }}\n', "exactly one of: queue, topic, bucket"),
        (f'{KAFKA}{MAPPING}starting_position = "AT_TIMESTAMP"\n', "starting_position"),
    ],
)
def test_what_cannot_be_is_refused(text: str, told: str) -> None:
    with pytest.raises(TomlInvalid) as refused:
        read(text)

    assert told in str(refused.value)


class Cluster:
    """Topics and mappings, in memory."""

    def __init__(self, store: Documents) -> None:
        self.topics: dict[str, int] = {}
        self.mappings: dict[str, WantedKafkaMapping] = {}
        self.made = 0
        self.catalogue = KafkaCatalogue(
            servers=("127.0.0.1:9092",),
            create_topics=self.create_topics,
            present=lambda: [PresentKafkaMapping(*each) for each in self.mappings.items()],
            create=self.create,
            update=self.mappings.__setitem__,
            delete=self.mappings.__delitem__,
            store=store,
            region="eu-west-1",
            account="1" * 12,
        )

    async def create_topics(self, servers: Sequence[str], partitions: Mapping[str, int]) -> list[str]:
        assert servers == self.catalogue.servers
        missing = {name: count for name, count in partitions.items() if name not in self.topics}
        self.topics |= missing
        return list(missing)

    def create(self, wanted: WantedKafkaMapping) -> str:
        self.made += 1
        own = wanted.mapping.group_id or f"group-{self.made}"
        self.mappings[f"id-{self.made}"] = WantedKafkaMapping(
            msgspec.structs.replace(wanted.mapping, group_id=own),
            wanted.servers,
            wanted.destination,
        )
        return f"id-{self.made}"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    store = Documents(tmp_path / "store.sqlite")
    yield Cluster(store)
    store.close()


ORDERS = KafkaMapping(topic="orders", function="f", on_failure=Endpoint(queue="q"))
APP = App("app", kafka=Kafka(topics={"orders": 3}), kafka_mappings=(ORDERS,))


async def test_topics_and_mappings_are_made_once(cluster: Cluster) -> None:
    assert await apply_kafka(APP, cluster.catalogue) == [CreateKafkaTopic("orders"), ORDERS]

    assert await apply_kafka(APP, cluster.catalogue) == []
    assert cluster.topics == {"orders": 3}
    assert cluster.mappings["id-1"].destination == f"arn:aws:sqs:eu-west-1:{'1' * 12}:q"


async def test_a_changed_mapping_keeps_its_consumer_group(cluster: Cluster) -> None:
    await apply_kafka(APP, cluster.catalogue)
    changed = KafkaMapping(topic="orders", function="f", batch_size=7)

    assert await apply_kafka(App("app", kafka=APP.kafka, kafka_mappings=(changed,)), cluster.catalogue) == [changed]

    assert (cluster.mappings["id-1"].mapping.batch_size, cluster.mappings["id-1"].mapping.group_id) == (7, "group-1")


async def test_what_the_file_made_and_names_no_more_is_removed_and_the_rest_left_alone(cluster: Cluster) -> None:
    await apply_kafka(APP, cluster.catalogue)
    cluster.create(WantedKafkaMapping(KafkaMapping(topic="others", function="f"), cluster.catalogue.servers))

    assert await apply_kafka(App("app"), cluster.catalogue) == [RemoveKafkaMapping("id-1")]

    assert list(cluster.mappings) == ["id-2"]
    assert cluster.topics == {"orders": 3}
