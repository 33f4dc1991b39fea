"""What Lambda accepts as an event source mapping. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html
Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html (FIFO queues, provisioned mode)
Source: https://docs.aws.amazon.com/lambda/latest/dg/kafka-esm-parameters.html
Source: https://docs.aws.amazon.com/lambda/latest/dg/kafka-scaling-modes.html (provisioned mode)
Source: https://docs.aws.amazon.com/lambda/latest/dg/kafka-retry-configurations.html

Where no text of Lambda's is documented for a refusal, we chose the words.
"""

from workshape.arn import parse_arn
from workshape.events.filters import BODY, VALUE, compile_filters
from workshape.events.operators import InvalidPattern
from workshape.streams.model import KafkaTopic, StartingPosition
from workshape.triggers.model import (
    ERROR_COUNT,
    EVENT_COUNT,
    INFINITE,
    KAFKA_METRICS,
    EventSourceMapping,
    FailurePolicy,
    MappingInvalid,
    Pollers,
)
from workshape.triggers.source_access import check_access

BATCH_SIZE_MAX = 10_000
BATCH_SIZE_WITHOUT_WINDOW_MAX = 10
BATCH_SIZE_FIFO_MAX = 10
BATCH_WINDOW_S_MAX = 300
CONCURRENCY_MIN, CONCURRENCY_MAX = 2, 1_000
POLLERS_LEAST_MAX = 200
QUEUE_POLLERS_MIN, QUEUE_POLLERS_MAX = 2, 10_000
"""Source: https://docs.aws.amazon.com/lambda/latest/api/API_ProvisionedPollerConfig.html"""
TOPIC_POLLERS_MIN, TOPIC_POLLERS_MAX = 1, 2_000
RETRIES_MAX = 10_000
AGE_S_MIN, AGE_S_MAX = 60, 604_800
TAGS_MAX = 50
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/tags-esm.html"""
KAFKA_SCHEME = "kafka://"


def check_mapping(mapping: EventSourceMapping, *, filters_max: int) -> None:
    """Refuse what Lambda would refuse.

    Raises:
        MappingInvalid: a value outside its range, or two that do not go together.
    """
    _within("BatchSize", mapping.batch_size, 1, BATCH_SIZE_MAX)
    _within("MaximumBatchingWindowInSeconds", mapping.batch_window_s or 0, 0, BATCH_WINDOW_S_MAX)
    if len(mapping.tags) > TAGS_MAX:
        raise MappingInvalid(reason=f"An event source mapping has at most {TAGS_MAX} tags.")
    if len(mapping.filters) > filters_max:
        raise MappingInvalid(
            reason=f"FilterCriteria has {len(mapping.filters)} filters; the quota is {filters_max} "
            "(platform.functions.filters_per_mapping raises it up to 10)"
        )
    if mapping.kafka is None:
        _check_queue(mapping)
    else:
        _check_topic(mapping, mapping.kafka)
    try:
        compile_filters(mapping.filters, BODY if mapping.kafka is None else VALUE)
    except InvalidPattern as error:
        raise MappingInvalid(reason=f"Invalid filter pattern definition. {error}") from error


def check_visibility(visibility_timeout_s: int, function_timeout_s: int) -> None:
    """Refuse a queue whose messages would come back while the function may still be at work on them.

    Raises:
        MappingInvalid: the visibility timeout is under the function's timeout.
    """
    if visibility_timeout_s < function_timeout_s:
        reason = (
            f"Queue visibility timeout: {visibility_timeout_s} seconds is less than "
            f"Function timeout: {function_timeout_s} seconds"
        )
        raise MappingInvalid(reason=reason)


def _check_queue(mapping: EventSourceMapping) -> None:
    if parse_arn(mapping.queue_arn).service != "sqs":
        raise MappingInvalid(
            reason=f"Unrecognized event source: {mapping.queue_arn}. workshape maps SQS queues and topics of "
            "self-managed Apache Kafka."
        )
    _check_batches(mapping)
    if mapping.concurrency_max is not None:
        _within("ScalingConfig.MaximumConcurrency", mapping.concurrency_max, CONCURRENCY_MIN, CONCURRENCY_MAX)
        if mapping.pollers is not None:
            reason = "ScalingConfig.MaximumConcurrency and ProvisionedPollerConfig cannot be used together"
            raise MappingInvalid(reason=reason)
    if mapping.pollers is not None:
        _check_pollers(mapping.pollers, QUEUE_POLLERS_MIN, QUEUE_POLLERS_MAX)
        if mapping.pollers.group:
            raise MappingInvalid(reason="ProvisionedPollerConfig.PollerGroupName is for Kafka only")
    if mapping.failures != FailurePolicy():
        reason = "DestinationConfig and retry settings are not for SQS queues: use the queue's redrive policy"
        raise MappingInvalid(reason=reason)
    if mapping.access:
        raise MappingInvalid(reason="SourceAccessConfigurations is not for SQS queues")
    if not {EVENT_COUNT}.issuperset(mapping.metrics):
        raise MappingInvalid(reason=f"{ERROR_COUNT} and {KAFKA_METRICS} of MetricsConfig are for Kafka only")


def _check_batches(mapping: EventSourceMapping) -> None:
    if mapping.is_fifo:
        _within("BatchSize of a FIFO queue", mapping.batch_size, 1, BATCH_SIZE_FIFO_MAX)
        if mapping.batch_window_s:
            raise MappingInvalid(reason="Batching window is not supported for FIFO queues")
    elif mapping.batch_size > BATCH_SIZE_WITHOUT_WINDOW_MAX and not mapping.batch_window_s:
        reason = (
            f"Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than "
            f"{BATCH_SIZE_WITHOUT_WINDOW_MAX}"
        )
        raise MappingInvalid(reason=reason)


def _check_topic(mapping: EventSourceMapping, topic: KafkaTopic) -> None:
    if mapping.concurrency_max is not None:
        raise MappingInvalid(reason="ScalingConfig is for SQS queues only")
    if (topic.starting_position is StartingPosition.AT_TIMESTAMP) != (topic.starting_timestamp is not None):
        raise MappingInvalid(
            reason="StartingPositionTimestamp goes with StartingPosition AT_TIMESTAMP, and only with it"
        )
    if mapping.pollers is not None:
        _check_pollers(mapping.pollers, TOPIC_POLLERS_MIN, TOPIC_POLLERS_MAX)
    _check_failures(mapping, mapping.failures, topic)
    check_access(mapping.access)


def _check_failures(mapping: EventSourceMapping, failures: FailurePolicy, topic: KafkaTopic) -> None:
    if failures.retries_max != INFINITE:
        _within("MaximumRetryAttempts", failures.retries_max, 0, RETRIES_MAX)
    if failures.age_s_max != INFINITE:
        _within("MaximumRecordAgeInSeconds", failures.age_s_max, AGE_S_MIN, AGE_S_MAX)
    of_provisioned_mode = {
        "MaximumRetryAttempts": failures.retries_max != INFINITE,
        "MaximumRecordAgeInSeconds": failures.age_s_max != INFINITE,
        "BisectBatchOnFunctionError": failures.bisect,
        "FunctionResponseTypes": mapping.report_batch_item_failures,
        "A Kafka topic as on-failure destination": failures.destination.startswith(KAFKA_SCHEME),
    }
    for name, wanted in of_provisioned_mode.items():
        if wanted and mapping.pollers is None:
            raise MappingInvalid(reason=f"{name} needs provisioned mode: set ProvisionedPollerConfig")
    if failures.destination == KAFKA_SCHEME + topic.topic:
        raise MappingInvalid(reason="The on-failure destination cannot be the topic that is read")


def _check_pollers(pollers: Pollers, low: int, high: int) -> None:
    _within("ProvisionedPollerConfig.MinimumPollers", pollers.least, low, POLLERS_LEAST_MAX)
    _within("ProvisionedPollerConfig.MaximumPollers", pollers.most, low, high)
    if pollers.most < pollers.least:
        raise MappingInvalid(reason="MaximumPollers must be greater than or equal to MinimumPollers")


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise MappingInvalid(reason=f"{name} must be between {low} and {high}, not {value}")
