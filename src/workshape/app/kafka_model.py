"""An app's Kafka topics and the mappings that read them. Values only; defaults and bounds are AWS's own."""

from typing import Annotated, Literal

import msgspec

from workshape.app.delivery_model import Endpoint

Meta = msgspec.Meta
Position = Literal["TRIM_HORIZON", "LATEST"]
KafkaMetricGroup = Literal["EventCount", "ErrorCount", "KafkaMetrics"]


class Kafka(msgspec.Struct, frozen=True):
    """A broker that runs beside the app, or a cluster of the owner's; and the topics that are wanted there."""

    bootstrap_servers: tuple[str, ...] = ()
    """HOST:PORT of each of the owner's; none: a broker is run."""
    topics: dict[str, Annotated[int, Meta(ge=1, le=1_000)]] = {}
    """How many partitions each has."""


class KafkaMapping(msgspec.Struct, frozen=True):
    """An event source mapping: a topic's records go to a function.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/kafka-esm-parameters.html
    """

    topic: str
    function: str
    batch_size: Annotated[int, Meta(ge=1, le=10_000)] = 100
    batch_window_s: Annotated[int, Meta(ge=0, le=300)] | None = None
    """None: half a second, as Lambda does by itself."""
    starting_position: Position = "TRIM_HORIZON"
    group_id: str = ""
    """The consumer group; empty: one of the mapping's own."""
    filters: Annotated[tuple[str, ...], Meta(max_length=10)] = ()
    pollers_min: Annotated[int, Meta(ge=1, le=200)] | None = None
    pollers_max: Annotated[int, Meta(ge=1, le=2_000)] | None = None
    """Both are needed for provisioned mode, and that for the four after them."""
    report_batch_item_failures: bool = False
    retries_max: Annotated[int, Meta(ge=0, le=10_000)] | None = None
    record_age_s_max: Annotated[int, Meta(ge=60, le=604_800)] | None = None
    bisect: bool = False
    on_failure: Endpoint | None = None
    """A queue, a topic of SNS or a bucket."""
    metrics: tuple[KafkaMetricGroup, ...] = ()
