"""Stems that are fitted to a function before an environment of it is wanted: its code is mounted, its limits are set.

To their spawner they are environments already; here they wait for their order, and a start is that one message, without
the way through the spawner. Of a revision that is started as many are kept as were lately started at once, between
bounds; none of one that nobody has started for half an hour (`shelf.py`).
"""

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from workshape.functions.launch import wire
from workshape.functions.launch.shelf import Shelf
from workshape.functions.launch.spawn_channel import SpawnChannel, Spawned, SpawnOrder

FIT_AFTER_S = 0.05  # after a start: whoever has just started should not share its core
OF_REVISION_MAX = 4
FITTED_MAX = 16
"""Of all revisions together, 6 MB each at most; those of the revision started longest ago go first."""

_log = logging.getLogger(__name__)


class FittedStem:
    """One, until it is told what it is, or has ended."""

    def __init__(self, ended: Callable[["FittedStem"], None]) -> None:
        """`ended` is called when it ends by itself while it waits."""
        self._ended_waiting = ended
        self._told: Callable[[int], None] | None = None
        self._spawned: Spawned
        self._kill: Callable[[int], None]
        self._code_folder = ""
        self._code = (0, 0)
        self.has_ended = False

    def __repr__(self) -> str:
        return f"<FittedStem {self._code_folder} {'ended' if self.has_ended else 'waits'}>"

    async def begin(self, channel: SpawnChannel, fitting: SpawnOrder) -> None:
        """Make its processes.

        Raises: as `SpawnChannel.spawn`.
        """
        self._code_folder, self._code = fitting.code, _identity(fitting.code)
        self._kill = channel.kill
        self._spawned = await channel.spawn(fitting, self.ended)

    def ended(self, status: int) -> None:
        """Its processes are gone: for its spawner."""
        self.has_ended = True
        if self._told is not None:
            self._told(status)
        else:
            self._ended_waiting(self)

    def tell(self, rest: str, ended: Callable[[int], None]) -> Spawned | None:
        """Give it the rest of its order; None: it is of no use any more, and `ended` will not be called."""
        control = self._spawned.control
        assert control is not None, "it is told once"
        message = wire.frame(rest.encode())
        try:
            if _identity(self._code_folder) != self._code or control.send(message, socket.MSG_DONTWAIT) < len(message):
                return None
        except OSError:  # somebody has killed it, or the code is gone
            return None
        control.close()
        self._told = ended
        return self._spawned

    def end(self) -> None:
        """Let it be nothing."""
        self._spawned.close()
        if not self.has_ended:
            self._kill(self._spawned.pid)


@dataclass(eq=False)
class _OfRevision:
    channel: SpawnChannel
    fitting: SpawnOrder
    shelf: Shelf
    stems: deque[FittedStem] = field(default_factory=deque)
    arriving: int = 0
    is_refused: bool = False
    """Until the next start, which tells why."""

    @property
    def count(self) -> int:
        return len(self.stems) + self.arriving

    def is_for(self, channel: SpawnChannel, fitting: SpawnOrder) -> bool:
        return self.channel is channel and (self.fitting is fitting or self.fitting == fitting)

    def end(self) -> None:
        while self.stems:
            self.stems.pop().end()


class FittedStems:
    """All of one engine. Used on the event loop's thread; `close` it before the spawners."""

    def __init__(self, *, is_kept: bool) -> None:
        """`is_kept`: else there are none, ever."""
        self._is_kept = is_kept
        # The one started last is the last. Bounded by `FITTED_MAX`, but for those that are being made.
        self._revisions: dict[str, _OfRevision] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<FittedStems {len(self)}>"

    def __len__(self) -> int:
        return sum(len(each.stems) for each in self._revisions.values())

    def take(self, revision: str, channel: SpawnChannel, fitting: SpawnOrder) -> FittedStem | None:
        """Take out one that is fitted to exactly this; None: none waits."""
        kept = self._revisions.get(revision)
        if kept is None or not kept.stems or not kept.is_for(channel, fitting):
            return None
        return kept.stems.popleft()

    def started(self, revision: str, channel: SpawnChannel, fitting: SpawnOrder) -> None:
        """An environment was started that a stem so fitted could have become: fit others, a little later."""
        if not self._is_kept:
            return
        now = asyncio.get_running_loop().time()
        kept = self._revisions.pop(revision, None)
        if kept is None or not kept.is_for(channel, fitting):
            if kept is not None:
                kept.end()
            kept = _OfRevision(channel, fitting, Shelf(1, OF_REVISION_MAX, now))
        self._revisions[revision] = kept
        kept.is_refused = False
        kept.shelf.used(now)
        self._look_again(FIT_AFTER_S)

    def forget(self, revision: str) -> None:
        """End those of a revision."""
        if (kept := self._revisions.pop(revision, None)) is not None:
            kept.end()

    async def close(self) -> None:
        """End them all."""
        self._is_kept = False
        if self._timer is not None:
            self._timer.cancel()
        for revision in list(self._revisions):
            self.forget(revision)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _look_again(self, after_s: float) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + after_s and not self._timer.cancelled():
                return
            self._timer.cancel()
        self._timer = loop.call_later(after_s, self._tend)

    def _tend(self) -> None:
        loop, self._timer = asyncio.get_running_loop(), None
        now, changes_at = loop.time(), float("inf")
        for revision, kept in list(self._revisions.items()):
            wanted = kept.shelf.wanted(now)
            while len(kept.stems) > wanted:
                kept.stems.pop().end()
            if kept.shelf.forgotten(now):
                self.forget(revision)
                continue
            changes_at = min(changes_at, kept.shelf.changes_at(now))
        for revision, kept in reversed(list(self._revisions.items())):
            while self._lacks(revision, kept, now) and self._has_room(kept):
                self._begin_to_fit(kept)
        if changes_at < float("inf"):
            self._look_again(max(changes_at - now, FIT_AFTER_S))

    def _lacks(self, revision: str, kept: _OfRevision, now: float) -> bool:
        is_there = self._revisions.get(revision) is kept  # it may have made room for another one
        return is_there and not kept.is_refused and kept.count < kept.shelf.wanted(now)

    def _has_room(self, kept: _OfRevision) -> bool:
        """Make room, at the cost of the revisions that were started before it."""
        count = sum(each.count for each in self._revisions.values())
        for revision, other in list(self._revisions.items()):
            if count < FITTED_MAX or other is kept:
                break
            count -= other.count
            self.forget(revision)
        return count < FITTED_MAX

    def _begin_to_fit(self, kept: _OfRevision) -> None:
        kept.arriving += 1
        task = asyncio.get_running_loop().create_task(self._fit(kept))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fit(self, kept: _OfRevision) -> None:
        stem = FittedStem(lambda ended: self._lost(kept, ended))
        try:
            await stem.begin(kept.channel, kept.fitting)
        except OSError as error:
            kept.is_refused = True
            _log.info("stem_not_fitted", extra={"reason": str(error)})
            return
        finally:
            kept.arriving -= 1
        if stem.has_ended or kept not in self._revisions.values():
            stem.end()
        else:
            kept.stems.append(stem)

    def _lost(self, kept: _OfRevision, stem: FittedStem) -> None:
        """One has ended while it waited: somebody has killed it, and the next start makes up for it."""
        if stem in kept.stems:
            kept.stems.remove(stem)
            stem.end()


def _identity(folder: str) -> tuple[int, int]:
    """Which folder it is: another one may have taken its name."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino
