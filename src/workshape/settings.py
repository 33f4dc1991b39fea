"""All configuration of the platform itself: one frozen tree, the `[platform]` table of `workshape.toml`.

What there is to run (functions, queues, ...) is not configuration: that is `app/model.py`.
"""

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Struct = msgspec.Struct


class Ports(Struct, frozen=True, forbid_unknown_fields=True):
    """TCP ports on `Settings.host`; 0 picks a free one."""

    endpoint: int = 4566
    """The AWS front door."""
    http: int = 8080
    """The app's HTTP API."""
    proxy: int = 6432
    """PostgreSQL through the proxy."""
    database: int = 5433
    """PostgreSQL itself (the embedded server)."""
    kafka: int = 9092
    """The Kafka broker."""
    console: int = 4567
    """The console: a web page, for this machine alone whatever the host."""


class FunctionSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """How execution environments are kept."""

    account_concurrency: Annotated[int, Meta(ge=1)] = 1_000
    filters_per_mapping: Annotated[int, Meta(ge=1, le=10)] = 5
    """How many filters an event source mapping may have: the quota, which AWS raises up to 10 when asked."""
    keep_alive_s: Annotated[float, Meta(gt=0)] = 637.0
    """An idle environment ends after this. Seen on AWS: about 637 s at low rates (SimFaaS's traces, 2020)."""
    age_s_max: Annotated[float, Meta(gt=0)] = 7_200.0
    """An environment ends after this, once idle. Seen on AWS: at most about two hours."""
    allow_substitute: bool = False
    """Run e.g. python3.12 on another Python 3 when that interpreter is missing, and say so."""
    cpu: Literal["proportional", "unlimited"] = "proportional"
    """`proportional`: to the function's memory, once it is initialised, as on Lambda. Where control groups allow it."""
    start: Literal["stem", "exec"] = "stem"
    """`stem`: from processes that wait, sandboxed and with their runtime loaded. `exec`: everything from the start."""
    stems: Annotated[int, Meta(ge=0)] = 2
    """The least of them that wait, of each kind in use; 0: none at all."""
    snapshots: Annotated[int, Meta(ge=0)] = 8
    """How many versions with SnapStart are kept in memory, initialised, for their environments to be copied of; at most
    16 for each Python. 0: each environment goes through its init phase.
    """
    snapshot_idle_s: Annotated[float, Meta(gt=0)] = 1_800.0
    """One of them ends when nobody has started from it for so long."""
    ecr_registry: str = ""
    """HOST[:PORT] of the registry that is asked for images of Amazon ECR; empty: such names are refused."""


class EndpointSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may use the AWS front door."""

    verify_signatures: bool = False
    """Refuse requests whose SigV4 signature is not made with these keys. Off: local clients use any keys."""
    access_key: str = "workshape"
    secret_key: str = "workshape"  # noqa: S105 - the local door's, and checked only by choice
    allowed_origins: tuple[str, ...] = ()
    """Whose web pages may use it (`http://localhost:3000`); their hosts are names that browsers may reach it by."""


class PoolMode(StrEnum):
    """How long a client keeps the database connection that it borrowed. PgBouncer's names.

    Source: https://www.pgbouncer.org/config.html#pool_mode
    """

    SESSION = "session"
    """Until it leaves."""
    TRANSACTION = "transaction"
    """Until its transaction is over."""
    STATEMENT = "statement"
    """As with TRANSACTION, and transactions of several statements are refused."""


class ProxySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The PostgreSQL proxy. The first five carry RDS Proxy's names and defaults.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ConnectionPoolConfiguration.html
    """

    max_connections_percent: Annotated[int, Meta(ge=1, le=100)] = 100
    max_idle_connections_percent: Annotated[int, Meta(ge=0, le=100)] = 50
    connection_borrow_timeout_s: Annotated[float, Meta(ge=0)] = 120.0
    idle_client_timeout_s: Annotated[float, Meta(gt=0)] = 1_800.0
    init_query: str = ""
    reset_query: str = "DISCARD ALL"
    """Run when a pinned client has left. Empty: its connection is closed."""
    pool_mode: PoolMode = PoolMode.TRANSACTION
    connection_lifetime_s: Annotated[float, Meta(gt=0)] = 3_600.0
    """Then a connection is replaced when it comes back: the server's memory and plans start anew."""
    idle_connection_timeout_s: Annotated[float, Meta(ge=0)] = 300.0
    """Beyond the idle share, a connection unused for this long is closed."""
    connection_check_s: Annotated[float, Meta(ge=0)] = 30.0
    """A connection that has been idle for this long is asked for a sign of life, and again each time. 0: never."""
    idle_in_transaction_timeout_s: Annotated[float, Meta(gt=0)] = 60.0
    startup_timeout_s: Annotated[float, Meta(gt=0)] = 10.0
    clients_max: Annotated[int, Meta(ge=1)] = 10_000
    clients_per_user_max: Annotated[int, Meta(ge=1)] = 10_000
    clients_per_address_max: Annotated[int, Meta(ge=1)] = 10_000
    admin_database: str = "workshape"
    """Who asks for this database gets the proxy's admin console. Empty: there is none."""


class UpstreamSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Who answers for the AWS services that are not ours: `auto`, `moto`, `local` (DynamoDB only), or a URL."""

    default: str = "moto"
    dynamodb: str = "auto"
    """`auto`: DynamoDB Local when Java and its jars can be had, else moto (in memory), and that is said."""


class TracingSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where traces go."""

    endpoint: str = ""
    """The base address of an OpenTelemetry collector (`http://127.0.0.1:4318`). Empty: what the environment variable
    OTEL_EXPORTER_OTLP_ENDPOINT says, else nothing is traced.
    """


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole tree."""

    host: str = "127.0.0.1"
    region: str = "us-east-1"
    account: str = "123456789012"
    ports: Ports = Ports()
    endpoint: EndpointSettings = EndpointSettings()
    functions: FunctionSettings = FunctionSettings()
    proxy: ProxySettings = ProxySettings()
    upstream: UpstreamSettings = UpstreamSettings()
    tracing: TracingSettings = TracingSettings()
