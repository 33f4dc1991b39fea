"""What a running workshape tells about itself: the answers of the admin API, for whoever serves and whoever asks.

The engine answers on its front door, the proxy on `RunFile.proxy.status_port`:

    GET /_workshape/health    200 {"status": "ready", "app": NAME or null}: `Health`, once everything is applied
    GET /_workshape/status    200 `EngineStatus` (the engine), 200 a JSON object of figures by name (the proxy)
    GET /_workshape/metrics   200 the engine's figures as Prometheus scrapes them
    GET /_workshape/logs?function=NAME&tail=N&since=T&filter=PATTERN&request=ID&follow=1
                              200 text/plain; charset=utf-8, one line of a function's log a line. Without `function`
                              the lines of all functions, each beginning with the function's name and a tab. `tail`
                              (default 0) lines of what is there come first; with `follow=1` the response goes on until
                              the client leaves, else it ends there. Only lines written since T (Unix time), that match
                              PATTERN (a filter pattern of CloudWatch Logs) and belong to the request ID. 404
                              {"message": ...} for a function not known, 400 for a pattern that is none.
    POST /_workshape/kill-connections?function=NAME&idle=1&all=1&dry=1
                              200 `EndedConnections`: ends connections of the database, by default those that functions
                              have of their own; with `dry=1` only tells what it would end. 404 {"message": ...} where
                              there is no database or no such function, 403 to a web page.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Health(msgspec.Struct, frozen=True):
    """Ready to be used."""

    status: str = "ready"
    app: str | None = None


class EnvironmentStatus(msgspec.Struct, frozen=True):
    """One execution environment."""

    id: int
    version: str
    state: str
    invocations: int
    started_at: float
    """Seconds since the Unix epoch."""
    provisioned: bool = False
    """It is part of its version's provisioned concurrency."""


class MinuteStatus(msgspec.Struct, frozen=True):
    """What a function has done in the last minute."""

    invocations: int = 0
    errors: int = 0
    throttles: int = 0
    cold_starts: int = 0
    """Of the invocations: those that waited for a new environment."""
    p50_ms: float | None = None
    """How long they ran; None, as the other: none has."""
    p99_ms: float | None = None


class FunctionStatus(msgspec.Struct, frozen=True):
    """One function and its environments."""

    name: str
    runtime: str
    memory_mb: int
    timeout_s: int
    reserved_concurrency: int | None = None
    environments: tuple[EnvironmentStatus, ...] = ()
    concurrency: int = 0
    """Invocations now, those that wait for an environment included."""
    limit: int = 0
    """How many there may be at once: what is reserved for it, or what all that have no reservation share."""
    last_minute: MinuteStatus = MinuteStatus()


class QueueStatus(msgspec.Struct, frozen=True):
    """One queue and its depth."""

    name: str
    visible: int
    in_flight: int
    delayed: int
    oldest_s: float | None = None
    """The age of the oldest message that is not deleted; None: there is none."""
    dead_letters_of: tuple[str, ...] = ()
    """The queues whose dead-letter queue it is."""


class MappingStatus(msgspec.Struct, frozen=True):
    """One event source mapping."""

    id: str
    source: str
    """The name of a queue, or of a Kafka topic."""
    function: str
    state: str
    batch_size: int
    last_processing_result: str = ""


class RouteStatus(msgspec.Struct, frozen=True):
    """One HTTP route."""

    route: str
    function: str
    answers: dict[int, int] = {}
    """How often it answered with each status since the engine started."""


class RuleStatus(msgspec.Struct, frozen=True):
    """One rule of an event bus."""

    bus: str
    name: str
    state: str
    schedule: str = ""
    """Its expression; empty: events alone run it."""
    targets: tuple[str, ...] = ()
    """ARNs."""
    next_run_at: float | None = None
    """By its schedule, Unix time; None: never again."""


class ScheduleStatus(msgspec.Struct, frozen=True):
    """One schedule of EventBridge Scheduler."""

    group: str
    name: str
    state: str
    expression: str
    time_zone: str
    target: str
    """ARN."""
    next_run_at: float | None = None
    """Unix time; None: never again."""


class TopicStatus(msgspec.Struct, frozen=True):
    """One topic of SNS."""

    name: str
    subscriptions: int
    deliveries_pending: int
    """Notifications that subscribers did not take yet, and that are tried again."""


class HolderKind(StrEnum):
    """What kind of somebody has a connection."""

    FUNCTION = "function"
    PROXY = "proxy"
    PLATFORM = "platform"
    OTHER = "other"


class ConnectionHolder(msgspec.Struct, frozen=True):
    """Somebody who has connections to the database."""

    name: str
    kind: HolderKind
    connections: int
    idle: int
    """Those of them that are outside a transaction, with nothing under way."""


class DatabaseStatus(msgspec.Struct, frozen=True):
    """The database server's connections."""

    name: str
    connections: int = 0
    max_connections: int = 0
    """How many there can be."""
    kept_for_superusers: int = 0
    """The last of them, which nobody else gets."""
    holders: tuple[ConnectionHolder, ...] = ()
    """Who has them, most first."""
    refused_last_minute: int | None = None
    """Connections that the server had no room for (SQLSTATE 53300). None: only the embedded server tells."""
    unknown: str = ""
    """Why the figures are not those of now; empty: they are."""


class HostedProxyStatus(msgspec.Struct, frozen=True):
    """One proxy made through RDS's API."""

    name: str
    endpoints: dict[str, str]
    """Addresses by name."""
    status: str
    target: str
    """The health of the database that it stands before, in RDS's words; empty: it stands before none."""
    why: str = ""
    """Why it is not available."""
    clients: int = 0
    database_connections: int = 0


class EngineStatus(msgspec.Struct, frozen=True):
    """All that the engine runs."""

    app: str | None = None
    account_concurrency: int = 0
    """Invocations there may be at once, of all functions."""
    concurrency: int = 0
    """Those there are now."""
    database: DatabaseStatus | None = None
    topics: tuple[TopicStatus, ...] = ()
    deliveries_pending: dict[str, int] = {}
    """What destinations did not take yet and is tried again, by what has sent it; kinds without any are left out."""
    functions: tuple[FunctionStatus, ...] = ()
    why_no_sandbox: str = ""
    """Why environments of functions are processes of this machine like any other; empty: they have a sandbox."""
    queues: tuple[QueueStatus, ...] = ()
    mappings: tuple[MappingStatus, ...] = ()
    routes: tuple[RouteStatus, ...] = ()
    rules: tuple[RuleStatus, ...] = ()
    schedules: tuple[ScheduleStatus, ...] = ()
    """Those that run soonest."""
    schedules_total: int = 0
    proxies: tuple[HostedProxyStatus, ...] = ()
    """Those made through RDS's API; the app's own tells of itself."""


class EndedConnections(msgspec.Struct, frozen=True):
    """What `POST /_workshape/kill-connections` did, or would do."""

    ended: dict[str, int]
    """Connections by who had them: a function, the proxy, an application's name."""
    left: dict[str, int]
    max_connections: int

    def told(self, *, in_advance: bool = False) -> str:
        """Say it: `ended 5 connections (3 of search, 2 of events)` and who is left, a line each."""
        end, leave = ("would end", "would leave") if in_advance else ("ended", "left")
        ended, left = _connections(self.ended), _connections(self.left)
        return f"{end} {ended}\n{leave} {left}, of {self.max_connections} there can be"


class Throttling(msgspec.Struct, frozen=True):
    """What became of a function's reserved concurrency; None: it has none."""

    function: str
    before: int | None
    now: int | None

    def told(self) -> str:
        """Say it in a line."""
        return f"{self.function}: reserved concurrency was {_limit(self.before)}, is {_limit(self.now)}"


class ProxyPool(msgspec.Struct, frozen=True):
    """Database connections that are alike to their users, and those users."""

    database: str
    user: str
    clients: int
    waiting: int
    lent: int
    idle: int
    connecting: int
    pinned: int
    longest_wait_s: float


class ProxyHolder(msgspec.Struct, frozen=True):
    """A client that has a database connection."""

    client: int
    user: str
    database: str
    address: str
    application: str
    held_s: float
    in_transaction: bool
    backend_pid: int | None


class ProxyPin(msgspec.Struct, frozen=True):
    """Why a session keeps its connection."""

    client: int
    user: str
    database: str
    address: str
    reason: str
    statement: str
    age_s: float


class ProxyStatus(msgspec.Struct, frozen=True):
    """The proxy at one moment: what its `GET /status` answers."""

    client_connections: int
    database_connections: int
    borrowed: int
    pinned: int
    in_transaction: int
    idle: int
    waiting: int
    max: int | None
    """Database connections there may be; None while the server has not been asked."""
    query_requests: int
    borrow_timeouts: int
    borrow_latency_ms: dict[str, float]
    """`p50`, `p90`, `p99` and `max` since it began; empty before the first."""
    pools: tuple[ProxyPool, ...]
    holders: tuple[ProxyHolder, ...]
    """Who holds a connection, longest first; at most a hundred."""
    pins: tuple[ProxyPin, ...]


class ProxyTargetFigures(msgspec.Struct, frozen=True):
    """One database server, as a proxy knows it."""

    values: dict[str, int | float]
    """Its connections, by RDS Proxy's names."""
    role: str
    """READ_WRITE or READ_ONLY, as it said of itself; else UNKNOWN."""
    is_failing: bool = False
    """The last attempt to connect to it failed, and no earlier connection is open any more."""
    latencies_us: dict[str, bytes] = {}
    """As those of the proxy, of what was asked there."""


class ProxyEndpointFigures(msgspec.Struct, frozen=True):
    """The clients of one endpoint."""

    values: dict[str, int | float]
    """By RDS Proxy's names."""
    latencies_us: dict[str, bytes] = {}
    """As those of the proxy, of what these clients asked."""


class ProxyFigures(msgspec.Struct, frozen=True):
    """What a proxy has counted since it began, and how many there are of what now: for whoever keeps metrics."""

    began: str
    """No other proxy has the same: what is counted begins with it at zero."""
    values: dict[str, int | float]
    """By RDS Proxy's names."""
    latencies_us: dict[str, bytes]
    """Encoded distributions of microseconds, by RDS Proxy's names."""
    endpoints: dict[str, ProxyEndpointFigures] = {}
    """By name."""
    targets: dict[str, ProxyTargetFigures] = {}
    """The database servers, by name."""


Figures = dict[str, float | int | str | bool | None]
"""The proxy's answer."""


def _connections(by_holder: Mapping[str, int]) -> str:
    """`5 connections (3 of search, 2 of events)`."""
    total = sum(by_holder.values())
    holders = ", ".join(f"{count} of {holder}" for holder, count in by_holder.items())
    return f"{total} connection{'' if total == 1 else 's'}" + (f" ({holders})" if holders else "")


def _limit(count: int | None) -> str:
    return "not set" if count is None else "0 (nothing runs)" if count == 0 else str(count)
