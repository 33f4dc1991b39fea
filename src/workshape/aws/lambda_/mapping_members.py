"""The members of requests and answers about event source mappings: read, refused by name, written.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
Source: https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from workshape.arn import Arn, parse_arn
from workshape.aws.operation import Call
from workshape.errors import Invalid
from workshape.streams.model import KafkaTopic, StartingPosition
from workshape.triggers.model import (
    STREAM_BATCH_SIZE_DEFAULT,
    AccessKind,
    EventSourceMapping,
    FailurePolicy,
    MappingInvalid,
    Pollers,
    SourceAccess,
)
from workshape.triggers.supervisor import MappingView

Members = dict[str, Any]

REPORT_BATCH_ITEM_FAILURES = "ReportBatchItemFailures"
BOOTSTRAP_SERVERS = "KAFKA_BOOTSTRAP_SERVERS"
QUEUE_POLLERS_DEFAULT = (2, 200)
TOPIC_POLLERS_DEFAULT = (1, 200)
"""Source: https://docs.aws.amazon.com/lambda/latest/api/API_ProvisionedPollerConfig.html"""

_PLAIN = {
    "Enabled": "enabled",
    "BatchSize": "batch_size",
    "MaximumBatchingWindowInSeconds": "batch_window_s",
    "KMSKeyArn": "kms_key_arn",
}
_READ: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "FunctionResponseTypes": ("report_batch_item_failures", lambda types: REPORT_BATCH_ITEM_FAILURES in types),
    "ScalingConfig": ("concurrency_max", lambda config: config.get("MaximumConcurrency")),
    "FilterCriteria": (
        "filters",
        lambda criteria: tuple(each.get("Pattern", "") for each in criteria.get("Filters") or ()),
    ),
    "SourceAccessConfigurations": ("access", lambda configs: tuple(map(_access, configs))),
    "MetricsConfig": ("metrics", lambda config: tuple(config.get("Metrics") or ())),
}
"""Members that are taken away by being set to nothing."""
_OF_FAILURES = {
    "MaximumRetryAttempts": "retries_max",
    "MaximumRecordAgeInSeconds": "age_s_max",
    "BisectBatchOnFunctionError": "bisect",
}
_NOT_BUILT: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "LoggingConfig": (
        bool,
        "workshape writes no logs of event pollers: see LastProcessingResult and metrics.",
    ),
}
"""Members that would change what a mapping does, when they do, and why not."""
_OTHER_SOURCES: Mapping[str, Callable[[Any], bool]] = {
    "ParallelizationFactor": lambda value: value != 1,
    "TumblingWindowInSeconds": bool,
    "Queues": bool,
    "AmazonManagedKafkaEventSourceConfig": bool,
    "DocumentDBEventSourceConfig": bool,
}
"""Members that are for Kinesis, DynamoDB, MQ, MSK and DocumentDB only, and when they say something."""
_OF_TOPICS = ("StartingPosition", "StartingPositionTimestamp", "Topics", "SelfManagedKafkaEventSourceConfig")
_SET_ONCE = ("SelfManagedEventSource", *_OF_TOPICS)


class NotOfMappings(Invalid):
    """{member} of event source mappings: {reason}"""

    member: str


def refuse_not_built(parameters: Members) -> None:
    """Refuse members that would not be obeyed, rather than pass over them.

    Raises:
        NotOfMappings: there is one.
    """
    for member, (matters, reason) in _NOT_BUILT.items():
        if member in parameters and matters(parameters[member]):
            raise NotOfMappings(member=member, reason=reason)
    for member, matters in _OTHER_SOURCES.items():
        if member in parameters and matters(parameters[member]):
            reason = "not for the sources that workshape maps, SQS queues and self-managed Apache Kafka."
            raise NotOfMappings(member=member, reason=reason)


def read_source(parameters: Members) -> Members:
    """Read what a new mapping polls, as fields of an `EventSourceMapping`.

    Raises:
        MappingInvalid, NotOfMappings: it says nothing, or nothing that can be polled.
    """
    if "SelfManagedEventSource" in parameters:
        if parameters.get("EventSourceArn"):
            raise MappingInvalid(reason="EventSourceArn and SelfManagedEventSource exclude each other.")
        return {"kafka": _topic(parameters), "batch_size": STREAM_BATCH_SIZE_DEFAULT}
    arn = parameters.get("EventSourceArn") or ""
    if not arn:
        raise MappingInvalid(reason="EventSourceArn (an SQS queue's) or SelfManagedEventSource is mandatory.")
    service = parse_arn(arn).service
    if service == "kafka":
        raise MappingInvalid(
            reason=f"Unrecognized event source: EventSourceArn {arn}. There is no Amazon MSK here: map the cluster's "
            f"topic by SelfManagedEventSource with {BOOTSTRAP_SERVERS}."
        )
    if service != "sqs":
        raise MappingInvalid(reason=f"Unrecognized event source: EventSourceArn {arn} is not an SQS queue's.")
    for member in _OF_TOPICS:
        if member in parameters:
            raise NotOfMappings(member=member, reason="not for SQS queues.")
    return {"queue_arn": arn}


def read_changes(parameters: Members, present: EventSourceMapping | None, *, topic: bool) -> Members:
    """Read what a request sets, as fields of an `EventSourceMapping`; what it leaves out stays.

    Raises:
        NotOfMappings: it sets what cannot be set, or not any more.
    """
    if present is not None:
        for member in _SET_ONCE:
            if member in parameters:
                raise NotOfMappings(member=member, reason="it can only be set when the mapping is created.")
    changes: Members = {field: parameters[member] for member, field in _PLAIN.items() if member in parameters}
    for member, (field, read) in _READ.items():
        if member in parameters:
            changes[field] = read(parameters[member])
    if "ProvisionedPollerConfig" in parameters:
        changes["pollers"] = _pollers(parameters["ProvisionedPollerConfig"], topic=topic)
    if present is None and "Tags" in parameters:
        changes["tags"] = dict(parameters["Tags"])
    failures = {field: parameters[member] for member, field in _OF_FAILURES.items() if member in parameters}
    if "DestinationConfig" in parameters:
        failures["destination"] = _destination(parameters["DestinationConfig"])
    if failures:
        policy = present.failures if present is not None else FailurePolicy()
        changes["failures"] = msgspec.structs.replace(policy, **failures)
    return changes


def write_mapping(call: Call, view: MappingView, *, listed: bool = False) -> Members:
    """Describe a mapping; a list leaves out filters that are said to be encrypted."""
    mapping = view.mapping
    arn = Arn("lambda", call.region, call.account, f"event-source-mapping:{mapping.id}")
    members: Members = {
        "UUID": mapping.id,
        "EventSourceMappingArn": str(arn),
        "FunctionArn": mapping.function_arn,
        "BatchSize": mapping.batch_size,
        "MaximumBatchingWindowInSeconds": mapping.batch_window_s or 0,
        "FunctionResponseTypes": [REPORT_BATCH_ITEM_FAILURES] if mapping.report_batch_item_failures else [],
        "LastModified": datetime.fromtimestamp(view.last_modified, UTC),
        "LastProcessingResult": view.last_processing_result,
        "State": view.state.value,
        "StateTransitionReason": view.state_reason.value,
    }
    if mapping.kafka is None:
        members["EventSourceArn"] = mapping.queue_arn
    else:
        members |= _write_topic(mapping.kafka, mapping.failures)
    if mapping.access:
        members["SourceAccessConfigurations"] = [{"Type": each.kind.value, "URI": each.uri} for each in mapping.access]
    if mapping.concurrency_max is not None:
        members["ScalingConfig"] = {"MaximumConcurrency": mapping.concurrency_max}
    if mapping.pollers is not None:
        members["ProvisionedPollerConfig"] = _write_pollers(mapping.pollers)
    if mapping.filters and not (listed and mapping.kms_key_arn):
        members["FilterCriteria"] = {"Filters": [{"Pattern": pattern} for pattern in mapping.filters]}
    if mapping.kms_key_arn:
        members["KMSKeyArn"] = mapping.kms_key_arn
    if mapping.metrics:
        members["MetricsConfig"] = {"Metrics": list(mapping.metrics)}
    return members


def _topic(parameters: Members) -> KafkaTopic:
    servers = parameters["SelfManagedEventSource"].get("Endpoints", {}).get(BOOTSTRAP_SERVERS) or []
    if not servers:
        raise MappingInvalid(reason=f"SelfManagedEventSource.Endpoints needs {BOOTSTRAP_SERVERS}: HOST:PORT, ...")
    topics = parameters.get("Topics") or []
    if len(topics) != 1:
        raise MappingInvalid(reason=f"Topics must name exactly one topic, not {len(topics)}")
    position = parameters.get("StartingPosition")
    if position is None:
        reason = "StartingPosition is mandatory for Kafka: TRIM_HORIZON, LATEST or AT_TIMESTAMP"
        raise MappingInvalid(reason=reason)
    config = parameters.get("SelfManagedKafkaEventSourceConfig") or {}
    if config.get("SchemaRegistryConfig"):
        raise NotOfMappings(member="SchemaRegistryConfig", reason="workshape asks no schema registry.")
    if config.get("ConsumptionMode", "Stream") != "Stream":
        raise NotOfMappings(member="ConsumptionMode", reason="workshape consumes in the mode Stream only.")
    timestamp = parameters.get("StartingPositionTimestamp")
    return KafkaTopic(
        bootstrap_servers=tuple(servers),
        topic=topics[0],
        group_id=config.get("ConsumerGroupId") or "",
        starting_position=StartingPosition(position),
        starting_timestamp=timestamp.timestamp() if isinstance(timestamp, datetime) else timestamp,
    )


def _destination(config: Members) -> str:
    if (config.get("OnSuccess") or {}).get("Destination"):
        raise NotOfMappings(member="DestinationConfig.OnSuccess", reason="mappings have on-failure destinations only.")
    arn: str = (config.get("OnFailure") or {}).get("Destination") or ""
    return arn


def _access(config: Members) -> SourceAccess:
    kind = config.get("Type") or ""
    try:
        return SourceAccess(AccessKind(kind), config.get("URI") or "")
    except ValueError:
        reason = f"the type {kind!r} is not one that workshape knows for Kafka: {', '.join(AccessKind)}."
        raise NotOfMappings(member="SourceAccessConfigurations", reason=reason) from None


def _pollers(config: Members, *, topic: bool) -> Pollers | None:
    if not config:
        return None
    least, most = TOPIC_POLLERS_DEFAULT if topic else QUEUE_POLLERS_DEFAULT
    least = config.get("MinimumPollers", least)
    return Pollers(least, config.get("MaximumPollers", max(most, least)), config.get("PollerGroupName") or "")


def _write_pollers(pollers: Pollers) -> Members:
    members: Members = {"MinimumPollers": pollers.least, "MaximumPollers": pollers.most}
    if pollers.group:
        members["PollerGroupName"] = pollers.group
    return members


def _write_topic(topic: KafkaTopic, failures: FailurePolicy) -> Members:
    members: Members = {
        "SelfManagedEventSource": {"Endpoints": {BOOTSTRAP_SERVERS: list(topic.bootstrap_servers)}},
        "Topics": [topic.topic],
        "StartingPosition": topic.starting_position.value,
        "SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": topic.group_id},
        "DestinationConfig": {"OnFailure": {"Destination": failures.destination} if failures.destination else {}},
        "MaximumRetryAttempts": failures.retries_max,
        "MaximumRecordAgeInSeconds": failures.age_s_max,
        "BisectBatchOnFunctionError": failures.bisect,
    }
    if topic.starting_timestamp is not None:
        members["StartingPositionTimestamp"] = datetime.fromtimestamp(topic.starting_timestamp, UTC)
    return members
