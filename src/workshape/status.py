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
    POST /_workshape/kill-connections?function=NAME&idle=1&all=1
                              200 `EndedConnections`: ends connections of the database, by default those that functions
                              have of their own. 404 {"message": ...} where there is no database or no such function.
"""

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


class FunctionStatus(msgspec.Struct, frozen=True):
    """One function and its environments."""

    name: str
    runtime: str
    memory_mb: int
    timeout_s: int
    reserved_concurrency: int | None = None
    environments: tuple[EnvironmentStatus, ...] = ()


class QueueStatus(msgspec.Struct, frozen=True):
    """One queue and its depth."""

    name: str
    visible: int
    in_flight: int
    delayed: int


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


class EngineStatus(msgspec.Struct, frozen=True):
    """All that the engine runs."""

    app: str | None = None
    functions: tuple[FunctionStatus, ...] = ()
    queues: tuple[QueueStatus, ...] = ()
    mappings: tuple[MappingStatus, ...] = ()
    routes: tuple[RouteStatus, ...] = ()
    rules: tuple[RuleStatus, ...] = ()
    schedules: tuple[ScheduleStatus, ...] = ()
    """Those that run soonest."""
    schedules_total: int = 0


class EndedConnections(msgspec.Struct, frozen=True):
    """What `POST /_workshape/kill-connections` did."""

    ended: dict[str, int]
    """Connections by who had them: a function, the proxy, an application's name."""
    left: dict[str, int]
    max_connections: int


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


class ProxyFigures(msgspec.Struct, frozen=True):
    """What a proxy has counted since it began, and how many there are of what now: for whoever keeps metrics."""

    began: str
    """No other proxy has the same: what is counted begins with it at zero."""
    values: dict[str, float]
    """By RDS Proxy's names."""
    latencies_us: dict[str, bytes]
    """Encoded distributions of microseconds, by RDS Proxy's names."""
    endpoints: dict[str, dict[str, float]] = {}
    """`values` of the clients of each endpoint, by its name."""


Figures = dict[str, float | int | str | bool | None]
"""The proxy's answer."""
