"""Keeps versions' snapshots in memory, so that their environments are copied rather than initialised (SnapStart).

A snapshot is taken when its version is published. What is gone since (the machine's restart, a process killed, too long
idle) is made again once an environment is wanted that could have been copied of it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection

from workshape.clock import Clock
from workshape.functions.launch.process import ProcessLauncher
from workshape.functions.model import FunctionName, FunctionVersion
from workshape.functions.snap_start import SnapshotFailure
from workshape.functions.snapshot_cache import SnapshotCache, SnapshotKey, snapshot_key
from workshape.functions.snapshot_taker import Taken
from workshape.settings import FunctionSettings

EXPIRY_S_MIN = 1.0
"""Nobody cares how exactly an idle snapshot's time is kept."""

_log = logging.getLogger(__name__)


class SnapshotKeeper:
    """Owns the processes that are copied. Used on the event loop's thread; `run` it, `close` it."""

    def __init__(
        self,
        settings: FunctionSettings,
        clock: Clock,
        launcher: ProcessLauncher,
        take: Callable[[FunctionVersion], Awaitable[Taken]],
    ) -> None:
        """`take` is the taker's."""
        self._clock = clock
        self._launcher = launcher
        self._take = take
        self._cache = SnapshotCache(settings.snapshots, settings.snapshot_idle_s)
        self._functions: dict[SnapshotKey, FunctionVersion] = {}
        """Those whose snapshot is kept."""
        self._tasks: set[asyncio.Task[SnapshotFailure | None]] = set()
        self._changed = asyncio.Event()
        launcher.on_missing_snapshot = self._missing
        launcher.on_restored = self._restored

    def __repr__(self) -> str:
        return f"<SnapshotKeeper {self._cache!r}>"

    async def take(self, function: FunctionVersion) -> SnapshotFailure | None:
        """Take a version's snapshot, and keep it if that can be; return why there is none, if so."""
        self._cache.begin(snapshot_key(function), self._clock.monotonic_s())
        return await self._make(function)

    async def run(self) -> None:
        """Let go of what nobody wants, until cancelled."""
        while True:
            self._changed.clear()
            wait_s = max(EXPIRY_S_MIN, self._cache.next_expiry() - self._clock.monotonic_s())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            self._drop(self._cache.expire(self._clock.monotonic_s()), "nobody has started from it for long")

    def retire(self, name: FunctionName, kept_revisions: Collection[str]) -> None:
        """The function changed: let go of snapshots of other revisions than these."""
        self._drop(self._cache.retire(name, kept_revisions), "its version is gone")

    async def close(self) -> None:
        """End what is under way, and what is kept."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._drop(list(self._functions), "workshape is closing")

    def _missing(self, function: FunctionVersion) -> None:
        """An environment could have been copied of a snapshot that is not there: make it for the next ones."""
        if self._cache.begin(snapshot_key(function), self._clock.monotonic_s()):
            task = asyncio.get_running_loop().create_task(self._make(function))
            self._tasks.add(task)
            task.add_done_callback(self._forget)

    def _restored(self, function: FunctionVersion) -> None:
        self._cache.used(snapshot_key(function), self._clock.monotonic_s())

    async def _make(self, function: FunctionVersion) -> SnapshotFailure | None:
        key, why_not, is_kept = snapshot_key(function), "", False
        try:
            taken = await self._take(function)
            why_not = taken.why_not
            if taken.process is not None:
                why_not = await self._launcher.keep(function, taken.process, lambda: self._lost(key))
                is_kept = not why_not
                if why_not:
                    await taken.process.kill()
        finally:
            now = self._clock.monotonic_s()
            fields = {"function": function.name, "version": function.version}
            if is_kept:
                self._functions[key] = function
                _log.info("snapshot_kept", extra=fields)
                self._drop(self._cache.kept(key, now), "others were used later")
            else:
                self._cache.failed(key, now, for_good=bool(why_not))
            if why_not:
                _log.warning("snapshot_not_copied", extra={**fields, "reason": why_not})
            self._changed.set()
        return taken.failure

    def _lost(self, key: SnapshotKey) -> None:
        self._cache.lost(key)
        self._functions.pop(key, None)
        _log.warning("snapshot_lost", extra={"function": key[0]})

    def _drop(self, keys: Collection[SnapshotKey], reason: str) -> None:
        for key in keys:
            function = self._functions.pop(key, None)
            if function is not None:
                self._launcher.drop(function)
                _log.info("snapshot_dropped", extra={"function": function.name, "reason": reason})

    def _forget(self, task: "asyncio.Task[SnapshotFailure | None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("snapshot_task_failed", exc_info=error)
