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
    queue: str
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


class EngineStatus(msgspec.Struct, frozen=True):
    """All that the engine runs."""

    app: str | None = None
    functions: tuple[FunctionStatus, ...] = ()
    queues: tuple[QueueStatus, ...] = ()
    mappings: tuple[MappingStatus, ...] = ()
    routes: tuple[RouteStatus, ...] = ()


class EndedConnections(msgspec.Struct, frozen=True):
    """What `POST /_workshape/kill-connections` did."""

    ended: dict[str, int]
    """Connections by who had them: a function, the proxy, an application's name."""
    left: dict[str, int]
    max_connections: int


Figures = dict[str, float | int | str | bool | None]
"""The proxy's answer."""
