"""Whether an app's Kafka topics and their mappings hang together, and what AWS would refuse of them. A core."""

import re
from collections.abc import Iterator

import msgspec

from workshape.app.delivery_check import endpoint_problems, order_problems
from workshape.app.kafka_model import KafkaMapping
from workshape.app.model import App
from workshape.app.problem import Naming, Problem, no_function
from workshape.events.filters import VALUE, compile_filters
from workshape.events.operators import InvalidPattern
from workshape.toml_document import Place, did_you_mean

TOPIC_NAME = Naming(
    "a topic",
    re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}"),
    "1 to 249 letters, digits, -, _ and ., not . or .. alone",
)
"""https://kafka.apache.org/41/documentation.html#design (topic names); Lambda's own pattern is the same."""
SERVER = re.compile(r"[^\s:/]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
_OF_PROVISIONED_MODE = ("report_batch_item_failures", "retries_max", "record_age_s_max", "bisect")


def kafka_problems(app: App) -> Iterator[Problem]:
    """Everything that is wrong with them, in the order of the app."""
    if app.kafka is not None:
        for server in app.kafka.bootstrap_servers:
            if not SERVER.fullmatch(server):
                yield Problem(("kafka", "bootstrap_servers"), f'"{server}" is no HOST:PORT')
        for name in app.kafka.topics:
            if not TOPIC_NAME.allows(name):
                yield Problem(("kafka", "topics"), TOPIC_NAME.refusal(name))
    for index, mapping in enumerate(app.kafka_mappings):
        yield from _mapping_problems(app, index, mapping)


def _mapping_problems(app: App, index: int, mapping: KafkaMapping) -> Iterator[Problem]:
    place: Place = ("kafka_mappings", index)
    if app.kafka is None:
        yield Problem((*place, "topic"), "there is no [kafka] table; add one, such as [kafka] topics = { orders = 3 }")
    elif mapping.topic not in app.kafka.topics:
        known = did_you_mean(mapping.topic, app.kafka.topics)
        yield Problem((*place, "topic"), f'there is no "{mapping.topic}" in [kafka] topics; {known}')
    if app.function(mapping.function) is None:
        yield no_function(app, (*place, "function"), mapping.function)
    earlier = app.kafka_mappings[:index]
    if any((each.topic, each.function) == (mapping.topic, mapping.function) for each in earlier):
        yield Problem((*place, "function"), f'"{mapping.topic}" is mapped to "{mapping.function}" twice')
    for number, pattern in enumerate(mapping.filters, 1):
        try:
            compile_filters((pattern,), VALUE)
        except InvalidPattern as error:
            yield Problem((*place, "filters"), f"number {number} is no filter pattern: {error}")
    yield from _poller_problems(place, mapping)
    if mapping.on_failure is not None:
        yield from endpoint_problems(app, (*place, "on_failure"), mapping.on_failure, ("queue", "topic", "bucket"))
        yield from order_problems((*place, "on_failure"), mapping.on_failure)


def _poller_problems(place: Place, mapping: KafkaMapping) -> Iterator[Problem]:
    least, most = mapping.pollers_min, mapping.pollers_max
    if (least is None) != (most is None):
        yield Problem((*place, "pollers_min"), "provisioned mode needs both pollers_min and pollers_max")
    elif least is not None and most is not None and most < least:
        yield Problem((*place, "pollers_max"), f"it must be at least pollers_min, which is {least}")
    if least is not None:
        return
    defaults = {field.name: field.default for field in msgspec.structs.fields(KafkaMapping)}
    for key in _OF_PROVISIONED_MODE:
        if getattr(mapping, key) != defaults[key]:
            yield Problem((*place, key), "it needs provisioned mode: set pollers_min and pollers_max")
