"""Runs a timetable on the clock: sleeps until the next time, and tells whoever it is for."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from workshape.clock import Clock
from workshape.events.timetable import Due, Missed, Plan, Timetable

SLEEP_S_MAX = 20.0  # a clock that was set, or a machine that slept, is noticed by then
RETRY_S = 1.0
ATTEMPTS_MAX = 60  # for whoever is told: what is due has a minute

OnDue = Callable[[Sequence[Due]], Awaitable[None]]

_log = logging.getLogger(__name__)


class Timer:
    """One timetable that lives. `run` it."""

    def __init__(self, clock: Clock, on_due: OnDue) -> None:
        """`on_due` is told all that is due together."""
        self._clock = clock
        self._on_due = on_due
        self._table = Timetable()
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Timer {self._table!r}>"

    def put(self, key: str, plan: Plan, after: float) -> bool:
        """See `Timetable.put`."""
        will_be_due = self._table.put(key, plan, after)
        self._changed.set()
        return will_be_due

    def remove(self, key: str) -> None:
        """See `Timetable.remove`."""
        self._table.remove(key)

    def scheduled_at(self, key: str) -> float | None:
        """The next time of one plan; None: it has none."""
        return self._table.scheduled_at(key)

    async def run(self) -> None:
        """Tell what is due when it is, until cancelled."""
        while True:
            self._changed.clear()
            now = self._clock.wall_s()
            await self._tell(now)
            due_at = self._table.next_due_at()
            wait_s = SLEEP_S_MAX if due_at is None else min(due_at - self._clock.wall_s(), SLEEP_S_MAX)
            if wait_s <= 0:
                continue
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _tell(self, now: float) -> None:
        taken = self._table.take(now)
        for missed in taken:
            if isinstance(missed, Missed):
                _log.warning("schedule_missed", extra={"schedule": missed.key, "scheduled_at": missed.scheduled_at})
        due = [one for one in taken if isinstance(one, Due)]
        for _ in range(ATTEMPTS_MAX if due else 0):
            try:
                await self._on_due(due)
            except Exception:  # noqa: BLE001 - the supervised boundary of what is due: told again, it is not lost
                _log.exception("schedule_failed", extra={"schedules": len(due)})
                await asyncio.sleep(RETRY_S)
            else:
                return
