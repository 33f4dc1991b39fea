"""Runs a timetable on the clock: sleeps until the next time, and tells whoever it is for. What each plan was last due
for is on disk, so that no time comes twice, whatever happens in between.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence

import msgspec

from workshape.clock import Clock
from workshape.events.timetable import Due, Missed, Plan, Timetable
from workshape.store.documents import Documents

SLEEP_S_MAX = 20.0  # a clock that was set, or a machine that slept, is noticed by then
RETRY_S = 1.0
ATTEMPTS_MAX = 60  # for whoever is told: what is due has a minute

Document = tuple[str, str, bytes]
"""Kind, key and value."""
OnDue = Callable[[Sequence[Due], Sequence[Document]], Awaitable[None]]
"""Takes all that is due together, and the documents that say so: it is to keep them with whatever it makes of it."""

_log = logging.getLogger(__name__)


class Timer:
    """One timetable that lives. `run` it."""

    def __init__(self, store: Documents, kind: str, clock: Clock, on_due: OnDue) -> None:
        """`kind` is that of its documents in the store."""
        self._store = store
        self._kind = kind
        self._clock = clock
        self._on_due = on_due
        self._table = Timetable()
        self._followed: dict[str, Hashable] = {}
        self._fired = {key: msgspec.msgpack.decode(at, type=float) for key, at in store.all(kind)}
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Timer {self._kind} {self._table!r}>"

    def follow(self, key: str, plan: Plan, since: float, sign: Hashable, *, is_start: bool = False) -> None:
        """Enter a plan, or replace it, unless it is there with the same sign.

        Its times up to `since` are over. At the start of everything, what became due shortly before is not.
        """
        if self._followed.get(key) == sign:
            return
        if is_start:
            since = max(since, self._clock.wall_s() - plan.grace_s - plan.window_s)
        self._followed[key] = sign
        self._table.put(key, plan, max(since, self._fired.get(key, 0.0)))
        self._changed.set()

    def leave(self, key: str) -> None:
        """Take a plan out; it may come back, and no time of it comes twice."""
        self._followed.pop(key, None)
        self._table.remove(key)

    def forget(self, key: str) -> None:
        """Take a plan out for good."""
        if key in self._followed or key in self._fired:
            self._store.change(deleted=self.forgotten(key))

    def forgotten(self, key: str) -> list[tuple[str, str]]:
        """Take a plan out for good, and return its documents' kinds and keys: whoever removes more removes them too."""
        self.leave(key)
        self._fired.pop(key, None)
        return [(self._kind, key)]

    def scheduled_at(self, key: str) -> float | None:
        """The next time of one plan; None: it has none."""
        return self._table.scheduled_at(key)

    async def run(self) -> None:
        """Tell what is due when it is, until cancelled."""
        while True:
            self._changed.clear()
            await self._tell(self._clock.wall_s())
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
        marks = [(self._kind, one.key, msgspec.msgpack.encode(one.scheduled_at)) for one in due]
        for _ in range(ATTEMPTS_MAX if due else 0):
            try:
                await self._on_due(due, marks)
            except Exception:  # noqa: BLE001 - the supervised boundary of what is due: told again, it is not lost
                _log.exception("schedule_failed", extra={"schedules": len(due)})
                await asyncio.sleep(RETRY_S)
            else:
                self._fired.update({one.key: one.scheduled_at for one in due if one.key in self._followed})
                return
