"""What the pools keep of each connection, and of each who waits for one. A core."""

from dataclasses import dataclass
from enum import Enum, auto

from workshape.pgproxy.pool_actions import PoolKey


class PlaceState(Enum):
    """What a connection is doing."""

    CONNECTING = auto()
    IDLE = auto()
    LENT = auto()
    CHECKED = auto()
    """Asked for a sign of life."""


@dataclass(slots=True)
class Place:
    """One connection."""

    link: int
    key: PoolKey
    state: PlaceState
    since: float
    """When this state began."""
    connected: float = 0.0
    checked: float = 0.0
    """When the server last answered a check."""


@dataclass(slots=True)
class Wait:
    """One who waits."""

    key: PoolKey
    since: float
