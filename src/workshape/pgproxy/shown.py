"""How clients, connections and pools are shown to people: on the admin console, as JSON, by `workshape proxy top`."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ClientState(StrEnum):
    """What a client does."""

    LOGIN = "login"
    """It has not logged in yet."""
    IDLE = "idle"
    """It has no database connection, and needs none."""
    WAITING = "waiting"
    """It needs one."""
    ACTIVE = "active"
    """It has one."""
    ADMIN = "admin"
    """It is on the admin console."""


@dataclass(frozen=True, slots=True)
class ClientShown:
    """One client. Times are seconds."""

    id: int
    user: str
    database: str
    address: str
    application: str
    state: ClientState
    connected_s: float
    silent_s: float
    """Since it last said something."""
    waiting_s: float | None
    """For a database connection."""
    server: int | None
    """The database connection it has."""
    pins: int
    queries: int
    is_encrypted: bool


@dataclass(frozen=True, slots=True)
class ServerShown:
    """One database connection."""

    id: int
    target: str
    """The name of the database server."""
    backend_pid: int | None
    user: str
    database: str
    state: str
    """`connecting`, `idle`, `lent`, or `resetting`: its client left in the middle."""
    in_transaction: bool
    client: int | None
    state_s: float
    """How long it has been in that state: of a lent one, how long its client has held it."""
    age_s: float | None


@dataclass(slots=True)
class PoolShown:
    """Connections that are alike to their users, and those users."""

    database: str
    user: str
    parameters: Mapping[str, str]
    clients: int = 0
    waiting: int = 0
    lent: int = 0
    idle: int = 0
    connecting: int = 0
    pinned: int = 0
    longest_wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TargetShown:
    """One database server."""

    name: str
    address: str
    state: str
    """Whether it takes writes or only reads, and why it fails, if it does."""
    connections: int
    connections_max: int | None
    """The proxy's share; None while it has not been asked."""
    borrowed: int
    waiting: int


@dataclass(slots=True)
class DatabaseShown:
    """One database, as the configuration has it or somebody asked for it."""

    name: str
    server: str = ""
    readers: tuple[str, ...] = ()
    real_name: str = ""
    pool_mode: str = ""
    connections_max: int | None = None
    """On each server, whatever its share has room for."""
    clients: int = 0
    waiting: int = 0
    connections: int = 0
    is_paused: bool = False
