"""A replay: the events of an archive from a span of time, put on their bus again. A core.

Each event of the span that the archive has when the replay comes to it is replayed once, in the order of the events'
times, whatever restarts there are in between.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-replay-archived-event.html
Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_StartReplay.html
"""

from enum import StrEnum
from typing import Any

import msgspec

from workshape.errors import Conflict, Invalid, NotFound
from workshape.events.archive import REPLAY_NAME
from workshape.events.model import BusName

ACTIVE_MAX = 10
"""Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-replay-archived-event.html"""
REPLAYS_MAX = 1_000  # kept, beyond those that are active; the oldest go
KEPT_S = 90 * 86_400.0
"""How long a replay that has ended is told of. AWS: undocumented in the API's reference; we chose a quarter."""


class ReplayState(StrEnum):
    """Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DescribeReplay.html"""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


_NEXT: dict[ReplayState, frozenset[ReplayState]] = {
    ReplayState.STARTING: frozenset({ReplayState.RUNNING, ReplayState.CANCELLING, ReplayState.FAILED}),
    ReplayState.RUNNING: frozenset({ReplayState.COMPLETED, ReplayState.CANCELLING, ReplayState.FAILED}),
    ReplayState.CANCELLING: frozenset({ReplayState.CANCELLED}),
    ReplayState.COMPLETED: frozenset(),
    ReplayState.CANCELLED: frozenset(),
    ReplayState.FAILED: frozenset(),
}


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """One replay. Durable as it is: after a restart it goes on behind the last event that it had handed over."""

    name: str
    arn: str
    archive_arn: str
    bus: BusName
    from_at: float
    until_at: float
    """Unix times of events, as their `time` says: from the one, and before the other."""
    filter_arns: tuple[str, ...] = ()
    """The rules that get the events; none: all of the bus."""
    description: str = ""
    state: ReplayState = ReplayState.STARTING
    reason: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
    """0: it has not."""
    last_at: float | None = None
    """The time of the event that was replayed last, and the number it has in its archive."""
    last_number: int = 0

    @property
    def is_active(self) -> bool:
        """Tell whether anything is still to come of it."""
        return bool(_NEXT[self.state])

    def became(self, state: ReplayState, now: float, reason: str = "") -> "Replay":
        """Move on to another state."""
        assert state in _NEXT[self.state], f"a replay that is {self.state} does not become {state}"
        ended_at = 0.0 if _NEXT[state] else now
        return msgspec.structs.replace(self, state=state, reason=reason, ended_at=ended_at)

    def passed(self, at: float, number: int) -> "Replay":
        """Note the event that was replayed last."""
        return msgspec.structs.replace(self, last_at=at, last_number=number)

    def reaches(self, rule_arn: str) -> bool:
        """Tell whether a rule gets the events."""
        return not self.filter_arns or rule_arn in self.filter_arns


# The errors. AWS: undocumented; we chose the words.


class ReplayNotFound(NotFound):
    """Replay {name} does not exist."""


class ReplayExists(Conflict):
    """Replay {name} already exists."""

    name: str


class ReplayHasEnded(Conflict):
    """Replay {name} is not in a valid state for this operation: it is {state}."""

    name: str
    state: str


class SpanIsEmpty(Invalid):
    """Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime."""


class OtherDestination(Invalid):
    """Parameter Destination.Arn is not valid. Reason: events are replayed to the bus they were archived from, {bus}."""

    bus: str


class NoSuchFilter(Invalid):
    """Parameter Destination.FilterArns is not valid. Reason: {arn} is no rule of the bus."""

    arn: str


def replayed(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Make the event that is replayed of one that was archived: the same, with the replay's name."""
    return {**body, REPLAY_NAME: name}


def forgotten(replays: list[Replay], now: float) -> list[Replay]:
    """Choose which of the replays that have ended are told of no longer."""
    ended = sorted((one for one in replays if not one.is_active), key=lambda one: one.ended_at)
    surplus = ended[: max(len(ended) - REPLAYS_MAX, 0)]
    return [*surplus, *(one for one in ended[len(surplus) :] if one.ended_at + KEPT_S <= now)]
