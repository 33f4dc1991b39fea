"""The app: what its owner wants to run, whatever notation it was written in. A core: values only.

Code folders and files are absolute paths as text; defaults and bounds are AWS's own where AWS has them.
"""

from typing import Annotated, Literal

import msgspec

from workshape.app.delivery_model import Asynchronous, Notification, Subscription, Topic
from workshape.app.event_model import Bus, Rule, Schedule
from workshape.app.kafka_model import Kafka, KafkaMapping

Meta = msgspec.Meta
DatabaseUse = Literal["proxy", "direct"]
Tracing = Literal["PassThrough", "Active"]
PackageType = Literal["Zip", "Image"]
KeyType = Literal["S", "N", "B"]
DeduplicationScope = Literal["queue", "messageGroup"]
FifoThroughputLimit = Literal["perQueue", "perMessageGroupId"]
RedrivePermission = Literal["allowAll", "denyAll", "byQueue"]
MetricGroup = Literal["EventCount"]
Payload = Literal["1.0", "2.0"]


class ImageConfig(msgspec.Struct, frozen=True):
    """What goes before an image's own settings.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_ImageConfig.html
    """

    entry_point: Annotated[tuple[str, ...], Meta(max_length=1_500)] = ()
    command: Annotated[tuple[str, ...], Meta(max_length=1_500)] = ()
    working_directory: Annotated[str, Meta(max_length=1_000)] = ""


class Function(msgspec.Struct, frozen=True):
    """A Lambda function of the app.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html (defaults)
    """

    name: str
    package_type: PackageType = "Zip"
    runtime: str = ""
    handler: str = ""
    code: str = ""
    """Folder or zip archive."""
    image: str | None = None
    """Of package type Image, which has it in the place of the three before it."""
    image_config: ImageConfig | None = None
    entry: str | None = None
    """Source file, relative to `code`, that is bundled with all it imports."""
    requirements: str | None = None
    """Python requirements file, relative to `code`."""
    memory_mb: Annotated[int, Meta(ge=128, le=10_240)] = 128
    timeout_s: Annotated[int, Meta(ge=1, le=900)] = 3
    reserved_concurrency: Annotated[int, Meta(ge=0)] | None = None
    database: DatabaseUse | None = None
    layers: tuple[str, ...] = ()
    """Their names; of two files by one name the later layer's is seen."""
    environment: dict[str, str] = {}
    tracing: Tracing = "PassThrough"
    asynchronous: Asynchronous | None = None
    latency_p99_ms: Annotated[float, Meta(gt=0)] | None = None
    """The owner's budget. Only the verdict reads it."""


class Layer(msgspec.Struct, frozen=True):
    """What functions find in /opt."""

    name: str
    code: str
    """Folder or zip archive."""


class Redrive(msgspec.Struct, frozen=True):
    """Where messages go that were received too often."""

    dead_letter_queue: str
    receive_count_max: Annotated[int, Meta(ge=1, le=1_000)]


class RedriveAllow(msgspec.Struct, frozen=True):
    """Which queues may name this one as their dead-letter queue."""

    permission: RedrivePermission
    source_queues: tuple[str, ...] = ()


class Queue(msgspec.Struct, frozen=True):
    """An SQS queue.

    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html (defaults)
    """

    name: str
    visibility_timeout_s: Annotated[int, Meta(ge=0, le=43_200)] = 30
    delay_s: Annotated[int, Meta(ge=0, le=900)] = 0
    retention_s: Annotated[int, Meta(ge=60, le=1_209_600)] = 345_600
    message_bytes_max: Annotated[int, Meta(ge=1_024, le=1_048_576)] = 1_048_576
    receive_wait_s: Annotated[int, Meta(ge=0, le=20)] = 0
    fifo: bool = False
    content_based_deduplication: bool = False
    deduplication_scope: DeduplicationScope = "queue"
    fifo_throughput_limit: FifoThroughputLimit = "perQueue"
    redrive: Redrive | None = None
    redrive_allow: RedriveAllow | None = None


class Mapping(msgspec.Struct, frozen=True):
    """An event source mapping: a queue's messages go to a function.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html (defaults)
    """

    queue: str
    function: str
    batch_size: Annotated[int, Meta(ge=1, le=10_000)] = 10
    batch_window_s: Annotated[int, Meta(ge=0, le=300)] = 0
    report_batch_item_failures: bool = False
    concurrency_max: Annotated[int, Meta(ge=2, le=1_000)] | None = None
    filters: Annotated[tuple[str, ...], Meta(max_length=10)] = ()
    """Patterns, as JSON; a record that none of them takes does not reach the function."""
    pollers_min: Annotated[int, Meta(ge=1, le=200)] | None = None
    pollers_max: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    """Both are needed for provisioned mode."""
    metrics: tuple[MetricGroup, ...] = ()


class Route(msgspec.Struct, frozen=True):
    """An HTTP route of the app and the function that answers it.

    Source: https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-routes.html
    """

    route: str
    """A route key of API Gateway's HTTP APIs: `GET /posts/{id}`, `ANY /x`, `$default`."""
    function: str
    timeout_s: Annotated[int, Meta(ge=1, le=30)] = 30
    payload: Payload | None = None
    """None: as `[http]` has it."""
    authorizer: str | None = None
    """The name of one of the app's, or `iam`: the request must be signed."""
    scopes: Annotated[tuple[str, ...], Meta(max_length=10)] = ()
    throttle_rate: Annotated[float, Meta(ge=0)] | None = None
    throttle_burst: Annotated[int, Meta(ge=0)] | None = None


class Cors(msgspec.Struct, frozen=True):
    """What the HTTP API tells browsers of other origins.

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
    """

    allow_origins: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    allow_credentials: bool = False
    max_age_s: Annotated[int, Meta(ge=0, le=86_400)] = 0


class Http(msgspec.Struct, frozen=True):
    """The app's HTTP API as a whole."""

    payload: Payload = "2.0"
    cors: Cors | None = None
    throttle_rate: Annotated[float, Meta(ge=0)] | None = None
    throttle_burst: Annotated[int, Meta(ge=0)] | None = None
    variables: dict[str, str] = {}
    """The stage's."""


class Authorizer(msgspec.Struct, frozen=True):
    """Who decides whether a request reaches its route: the issuer of a token, or a function.

    Source: https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-authorizers.html
    """

    name: str
    issuer: str | None = None
    """Of JSON Web Tokens; a function otherwise."""
    audience: Annotated[tuple[str, ...], Meta(max_length=50)] = ()
    function: str | None = None
    identity: tuple[str, ...] = ("$request.header.Authorization",)
    payload: Payload = "2.0"
    simple: bool = True
    """The function answers yes or no, not with a policy."""
    ttl_s: Annotated[int, Meta(ge=0, le=3_600)] = 0


class Key(msgspec.Struct, frozen=True):
    """A key attribute of a table."""

    name: str
    type: KeyType = "S"


class Table(msgspec.Struct, frozen=True):
    """A DynamoDB table, billed by request."""

    name: str
    partition_key: Key
    sort_key: Key | None = None


class Bucket(msgspec.Struct, frozen=True):
    """An S3 bucket."""

    name: str
    event_bridge: bool = False
    """Whether the default event bus is told of its objects."""


class Database(msgspec.Struct, frozen=True):
    """The app's PostgreSQL database: in the embedded server, or in a server of the owner's."""

    name: str = "app"
    url: str | None = None
    readers: Annotated[int, Meta(ge=1, le=5)] | tuple[str, ...] = ()
    """How many servers follow the embedded one (`parts/postgres_reader.py` has the bound); or `HOST:PORT` of those that
    follow the one at `url`, reached as it is.
    """
    max_connections: Annotated[int, Meta(ge=5, le=10_000)] = 100
    """Three of them are the superuser's own, as PostgreSQL has it."""
    init_sql: str | None = None
    proxy: bool = True

    @property
    def readers_at(self) -> tuple[str, ...]:
        """Addresses of the owner's own readers."""
        return () if isinstance(self.readers, int) else self.readers

    @property
    def reader_count(self) -> int:
        """How many readers we run."""
        return self.readers if isinstance(self.readers, int) else 0


class App(msgspec.Struct, frozen=True):
    """All of it."""

    name: str
    functions: tuple[Function, ...] = ()
    layers: tuple[Layer, ...] = ()
    queues: tuple[Queue, ...] = ()
    mappings: tuple[Mapping, ...] = ()
    http: Http = Http()
    authorizers: tuple[Authorizer, ...] = ()
    routes: tuple[Route, ...] = ()
    tables: tuple[Table, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    notifications: tuple[Notification, ...] = ()
    topics: tuple[Topic, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    buses: tuple[Bus, ...] = ()
    rules: tuple[Rule, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    kafka: Kafka | None = None
    kafka_mappings: tuple[KafkaMapping, ...] = ()
    database: Database | None = None

    def function(self, name: str) -> Function | None:
        """The function of that name."""
        return next((function for function in self.functions if function.name == name), None)
