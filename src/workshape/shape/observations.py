"""What a run leaves behind, in the terms of the verdict; invocation records are mapped onto it."""

import msgspec

THROTTLED = "throttled"
TIMEOUT = "timeout"
CONNECTIONS_FOLDER_NAME = "connections"
"""Where connection samples are kept, inside the folder of the invocation records, one JSON line each."""
SUCCESS = "success"
DISPATCH_MS_MAX = 1.0  # between admission and an idle environment lie some 0.1 ms of our own


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """One invocation. Field for field what `InvocationRecord` calls the same, so that one converts to the other."""

    time: float
    """When it began to run, Unix time."""
    function: str
    trigger: str
    """`api`, `sqs` or `http`."""
    duration_ms: float
    memory_mb: int
    max_memory_mb: int
    timeout_s: float
    status: str
    request_bytes: int
    response_bytes: int
    environment: int | None = None
    init_ms: float | None = None
    """Cold: how long the init phase took."""
    queued_ms: float = 0.0
    batch_items: int | None = None
    batch_failures: int | None = None
    concurrency: int = 0
    environments: int = 0
    request_id: str = ""

    @property
    def is_cold(self) -> bool:
        """Whether it waited for a new environment."""
        return self.init_ms is not None

    @property
    def found_idle(self) -> bool:
        """Whether an environment was idle when it came. Lambda lets nobody wait for a busy one: who waits, waits for
        a start, even if another environment is free before that ends.
        """
        return not self.is_cold and self.queued_ms <= DISPATCH_MS_MAX

    @property
    def latency_ms(self) -> float:
        """What the caller waited: the wait for an environment (its init phase at least) and the invocation."""
        return max(self.queued_ms, self.init_ms or 0.0) + self.duration_ms

    @property
    def arrived_at(self) -> float:
        """Unix time."""
        return self.time + (self.duration_ms - self.latency_ms) / 1_000

    @property
    def ended_at(self) -> float:
        """Unix time."""
        return self.time + self.duration_ms / 1_000


class ConnectionSample(msgspec.Struct, frozen=True, kw_only=True):
    """How many connections the database server had at one moment, whoever held them."""

    time: float
    """Unix time."""
    connections: int
    max_connections: int
    """The server's setting, with what it keeps for its superuser."""
