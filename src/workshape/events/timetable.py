"""When each of many things is due, and that it is done once. A core.

A time is due once, never before it, and late by at most a grace: what nobody came for within it (the machine slept,
the clock was set, nothing ran) is missed, and waits for its next time. So there is no burst of what was missed.

Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-flexible-time-windows.html
"""

import hashlib
import heapq
from dataclasses import dataclass, field

from workshape.events.schedule import At, Rate, Schedule

GRACE_S = 60.0
"""AWS's precision: what is due at 1:00 runs between 1:00:00 and 1:00:59."""
_JUST_BEFORE_S = 0.001


@dataclass(frozen=True, slots=True)
class Plan:
    """One schedule with all that bounds it; times are Unix times."""

    schedule: Schedule
    counts_from: float
    """What a rate counts from."""
    is_due_at_once: bool = False
    """A rate is due at `counts_from` already: as EventBridge Scheduler has it, not EventBridge's rules."""
    starts_at: float | None = None
    ends_at: float | None = None
    window_s: float = 0.0
    """It is due at some time in a window of this length, from its scheduled time on."""
    grace_s: float = GRACE_S

    def next_after(self, after: float) -> float | None:
        """The first scheduled time after `after`; None: never again."""
        if isinstance(self.schedule, At):
            return self.schedule.next_after(after, self.counts_from)  # start and end do not count for it
        begins = self.counts_from if self.starts_at is None else self.starts_at
        if self.starts_at is not None:
            after = max(after, self.starts_at - _JUST_BEFORE_S)
        if isinstance(self.schedule, Rate) and self.is_due_at_once and begins > after:
            due: float | None = begins
        else:
            due = self.schedule.next_after(after, begins)
        return None if due is None or (self.ends_at is not None and due > self.ends_at) else due

    def due_at(self, key: str, scheduled_at: float) -> float:
        """When it is due: the same for the same time, however often one asks, and before the next one."""
        if not self.window_s:
            return scheduled_at
        following = self.next_after(scheduled_at)
        window_s = self.window_s if following is None else min(self.window_s, following - scheduled_at)
        drawn = int.from_bytes(hashlib.sha256(f"{key} {scheduled_at}".encode()).digest()[:6], "big") / 2**48
        return scheduled_at + drawn * window_s


@dataclass(frozen=True, slots=True)
class Due:
    """It is time."""

    key: str
    scheduled_at: float
    is_last: bool
    """It will not be due again."""


@dataclass(frozen=True, slots=True)
class Missed:
    """Nobody came in time; the first of perhaps several."""

    key: str
    scheduled_at: float


@dataclass(slots=True)
class _Row:
    plan: Plan
    scheduled_at: float
    due_at: float
    number: int
    """Which heap entry is its own: older ones of the same key are void."""


@dataclass(slots=True)
class Timetable:
    """All of them. Who runs it asks `next_due_at`, waits, and calls `take`."""

    _rows: dict[str, _Row] = field(default_factory=dict)
    _heap: list[tuple[float, int, str]] = field(default_factory=list)
    _number: int = 0

    def __repr__(self) -> str:
        return f"<Timetable rows={len(self._rows)}>"

    def put(self, key: str, plan: Plan, after: float) -> bool:
        """Enter or replace a plan, whose times up to `after` are over; tell whether it will be due at all."""
        self._rows.pop(key, None)
        scheduled_at = plan.next_after(after)
        if scheduled_at is None:
            return False
        self._enter(key, plan, scheduled_at)
        return True

    def remove(self, key: str) -> None:
        """Forget a plan; nothing to do when there is none."""
        self._rows.pop(key, None)

    def scheduled_at(self, key: str) -> float | None:
        """The next time of one plan; None: it has none."""
        row = self._rows.get(key)
        return row.scheduled_at if row is not None else None

    def next_due_at(self) -> float | None:
        """When the next one is due; None: nothing is."""
        while self._heap and not self._is_current(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now: float) -> list[Due | Missed]:
        """Return what is due at `now`, the earliest first; each is entered again with its next time."""
        taken: list[Due | Missed] = []
        while (due_at := self.next_due_at()) is not None and due_at <= now:
            key = heapq.heappop(self._heap)[2]
            row = self._rows.pop(key)
            is_missed = now - row.due_at >= row.plan.grace_s
            after = row.scheduled_at
            if is_missed:
                after = max(after, now - row.plan.grace_s - row.plan.window_s)
            following = row.plan.next_after(after)
            if following is not None:
                self._enter(key, row.plan, following)
            if is_missed:
                taken.append(Missed(key, row.scheduled_at))
            else:
                taken.append(Due(key, row.scheduled_at, following is None))
        return taken

    def _enter(self, key: str, plan: Plan, scheduled_at: float) -> None:
        self._number += 1
        row = self._rows[key] = _Row(plan, scheduled_at, plan.due_at(key, scheduled_at), self._number)
        heapq.heappush(self._heap, (row.due_at, row.number, key))

    def _is_current(self, entry: tuple[float, int, str]) -> bool:
        row = self._rows.get(entry[2])
        return row is not None and row.number == entry[1]
