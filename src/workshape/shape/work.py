"""What is known about the work apart from its records: the app file's facts, and what its owner declares.

None means that nobody said, unless a line here says otherwise: such a fact is unknown, and no rule passes on it.
"""

from dataclasses import dataclass
from enum import StrEnum


class Profile(StrEnum):
    """When the proxy is asked for (rule 17)."""

    ESSAY = "essay"
    """With a relational database, always."""
    EVIDENCE = "evidence"
    """When the connections need it."""


@dataclass(frozen=True, slots=True)
class QueueSource:
    """A queue and the event source mapping that brings its messages."""

    queue: str
    batch_size: int
    batch_window_s: int
    report_batch_item_failures: bool
    visibility_timeout_s: int
    concurrency_max: int | None
    """None: not limited."""
    receive_count_max: int | None
    """None: no dead-letter queue."""


@dataclass(frozen=True, slots=True)
class WorkDescription:
    """One function of the app."""

    name: str
    runtime: str
    memory_mb: int
    timeout_s: int
    reserved_concurrency: int | None = None
    """None: not reserved."""
    queues: tuple[QueueSource, ...] = ()
    route_timeouts_s: tuple[float, ...] = ()
    """One for each HTTP route that leads here."""
    database: str | None = None
    """`proxy`, `direct`; None: it uses no relational database."""
    latency_p99_ms: float | None = None
    """The owner's budget."""
    rate_per_s: float | None = None
    """Mean rate of a month."""
    pool_size: int | None = None
    """Database connections an environment opens at most."""
    in_flight_per_slot: float | None = None
    """How much of this work a worker does at once where a function does one: above 1 when it mostly waits."""
    is_idempotent: bool | None = None
    holds_state: bool | None = None
    """Whether it keeps anything in memory between events that must not be lost, or accepts connections itself."""
    coordinates: bool | None = None
    """Whether it owns offsets, or its steps must be one process's: a reindex with an alias swap."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all functions of the app share."""

    account_concurrency: int
    reserved_concurrency_total: int
    """Sum of all functions' reservations."""
    max_connections: int | None = None
    """The database server's setting."""
    borrow_timeout_s: float | None = None
    """How long the proxy lets a client wait for a connection."""
    idle_client_timeout_s: float | None = None
    """When the proxy drops a client that says nothing."""
    profile: Profile = Profile.ESSAY
