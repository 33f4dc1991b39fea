"""An event source mapping, as values: what it polls, what it invokes, and how. `rules.py` says what may be.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
"""

from enum import StrEnum

import msgspec

from workshape.arn import parse_arn
from workshape.errors import Conflict, Invalid, NotFound
from workshape.queues.model import FIFO_SUFFIX
from workshape.streams.model import KafkaTopic

BATCH_SIZE_DEFAULT = 10
"""Of queues; `STREAM_BATCH_SIZE_DEFAULT` is that of topics."""
STREAM_BATCH_SIZE_DEFAULT = 100
STREAM_BATCH_WINDOW_S_DEFAULT = 0.5
INFINITE = -1
EVENT_COUNT, ERROR_COUNT, KAFKA_METRICS = "EventCount", "ErrorCount", "KafkaMetrics"
"""Groups of metrics.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingMetricsConfig.html
"""


class MappingState(StrEnum):
    """Where a mapping is in its life."""

    CREATING = "Creating"
    ENABLING = "Enabling"
    ENABLED = "Enabled"
    UPDATING = "Updating"
    DISABLING = "Disabling"
    DISABLED = "Disabled"
    DELETING = "Deleting"


class StateReason(StrEnum):
    """StateTransitionReason: who or what made a mapping what it is.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kafka-troubleshoot.html
    """

    USER_INITIATED = "USER_INITIATED"
    ESM_CONFIG_NOT_VALID = "ESM_CONFIG_NOT_VALID"
    EVENT_SOURCE_AUTHN_ERROR = "EVENT_SOURCE_AUTHN_ERROR"
    EVENT_SOURCE_AUTHZ_ERROR = "EVENT_SOURCE_AUTHZ_ERROR"


class AccessKind(StrEnum):
    """What a mapping can say of how its Kafka cluster is reached: the types of SourceAccessConfiguration for that."""

    BASIC_AUTH = "BASIC_AUTH"
    SASL_SCRAM_256_AUTH = "SASL_SCRAM_256_AUTH"
    SASL_SCRAM_512_AUTH = "SASL_SCRAM_512_AUTH"
    CLIENT_CERTIFICATE_TLS_AUTH = "CLIENT_CERTIFICATE_TLS_AUTH"
    SERVER_ROOT_CA_CERTIFICATE = "SERVER_ROOT_CA_CERTIFICATE"
    VPC_SUBNET = "VPC_SUBNET"
    VPC_SECURITY_GROUP = "VPC_SECURITY_GROUP"


class SourceAccess(msgspec.Struct, frozen=True):
    """One of a mapping's SourceAccessConfigurations."""

    kind: AccessKind
    uri: str
    """A secret's ARN, or what is meant in a VPC: kept and shown, for there is no VPC here."""


class Pollers(msgspec.Struct, frozen=True):
    """Provisioned mode: how many event pollers there are at least, and at most."""

    least: int
    most: int
    group: str = ""
    """PollerGroupName: what is paid for together on AWS. Kept and shown."""


class FailurePolicy(msgspec.Struct, frozen=True):
    """What happens to records of a topic that the function fails on."""

    destination: str = ""
    """DestinationConfig.OnFailure: an ARN, or `kafka://TOPIC`."""
    retries_max: int = INFINITE
    age_s_max: int = INFINITE
    bisect: bool = False
    """BisectBatchOnFunctionError."""


class EventSourceMapping(msgspec.Struct, frozen=True, kw_only=True):
    """A source, a function, and how the one is fed to the other. Durable as it is."""

    id: str
    """The UUID."""
    queue_arn: str = ""
    """The source is a queue; or `kafka` says which topic it is."""
    kafka: KafkaTopic | None = None
    function: str
    """Name of the function, without a qualifier."""
    function_arn: str
    """As AWS shows it: with the qualifier, if one was given."""
    qualifier: str | None = None
    batch_size: int = BATCH_SIZE_DEFAULT
    batch_window_s: int | None = None
    """None: what the kind of source has by default."""
    report_batch_item_failures: bool = False
    concurrency_max: int | None = None
    """ScalingConfig.MaximumConcurrency."""
    pollers: Pollers | None = None
    filters: tuple[str, ...] = ()
    """Patterns, of which one must match."""
    kms_key_arn: str = ""
    """Encryption at rest is AWS's affair: kept and shown; what it is said to encrypt is left out of lists."""
    metrics: tuple[str, ...] = ()
    failures: FailurePolicy = FailurePolicy()
    access: tuple[SourceAccess, ...] = ()
    """Of topics."""
    tags: dict[str, str] = {}
    enabled: bool = True
    last_modified: float = 0.0
    """Unix time."""

    @property
    def queue(self) -> str:
        """The queue's name."""
        return parse_arn(self.queue_arn).resource

    @property
    def source(self) -> str:
        """The name of the queue or the topic."""
        return self.queue if self.kafka is None else self.kafka.topic

    @property
    def is_fifo(self) -> bool:
        """Tell whether the queue keeps the order of its message groups."""
        return self.queue_arn.endswith(FIFO_SUFFIX)

    @property
    def window_s(self) -> float:
        """How long to gather a batch."""
        if self.batch_window_s is not None:
            return float(self.batch_window_s)
        return 0.0 if self.kafka is None else STREAM_BATCH_WINDOW_S_DEFAULT


class MappingNotFound(NotFound):
    """The resource you requested does not exist."""


class MappingExists(Conflict):
    """An event source mapping with SQS arn (" {queue_arn} ") and function (" {function} ") already exists. Please
    update or delete the existing mapping with UUID {id}
    """

    queue_arn: str
    function: str
    id: str


class TopicMappingExists(Conflict):
    """An event source mapping with event source ("{servers}"), function ("{function}"), topics ("{topic}") already
    exists. Please update or delete the existing mapping with UUID {id}
    """

    # AWS: undocumented; we chose the words.
    servers: str
    function: str
    topic: str
    id: str


class MappingBusy(Conflict):
    """The event source mapping {id} is being deleted."""

    id: str


class MappingInvalid(Invalid):
    """{reason}"""
