"""The one writer and reader of the metrics: asks those who measure, every few seconds, and answers from disk."""

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from workshape.clock import Clock
from workshape.metrics.archive import MetricArchive
from workshape.metrics.metric import Metric, Point

SAMPLE_S = 10.0
"""How often gauges are read, and how much a crash may cost."""
PRUNE_S = 3_600.0
WRITTEN_AT_ONCE = 32  # points, about two milliseconds

Source = Callable[[float], Iterable[Point]]
"""Returns what was measured since it was last asked; its argument is the Unix time."""

_log = logging.getLogger(__name__)


class MetricKeeper:
    """Owns the archive. Used on the event loop's thread; `close` it to lose nothing."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Raises: BackendUnavailable, as `MetricArchive`."""
        self._archive = MetricArchive(path)
        self._clock = clock
        self._sources: list[Source] = []
        self._waiting: deque[Point] = deque()  # asked for, and not written yet: gone before the next time
        self._pruned_at = 0.0

    def __repr__(self) -> str:
        return f"<MetricKeeper {self._archive} sources={len(self._sources)}>"

    def add_source(self, source: Source) -> None:
        """Ask one more."""
        self._sources.append(source)

    async def run(self) -> None:
        """Ask and write, until cancelled; a few points at a time, so that nobody else waits for the disk."""
        while True:
            await asyncio.sleep(SAMPLE_S)
            self._ask()
            while self._waiting:
                self._write(WRITTEN_AT_ONCE)
                await asyncio.sleep(0)
            self._prune()

    def flush(self) -> None:
        """Ask every source now, and write what they say."""
        self._ask()
        self._write(len(self._waiting))

    def read(self, metric: Metric, begin: int, end: int) -> list[Point]:
        """A metric's points from minute `begin` until before `end`, oldest first. Flush first to have the latest."""
        return self._archive.read(metric, begin, end)

    def metrics(self, active_since: int = 0) -> list[Metric]:
        """Every metric with a point in or after a minute. Flush first to have the latest."""
        return self._archive.metrics(active_since)

    def close(self) -> None:
        """Write the rest."""
        self.flush()
        self._archive.close()

    def _ask(self) -> None:
        now = self._clock.wall_s()
        for source in self._sources:
            self._waiting.extend(source(now))

    def _write(self, count: int) -> None:
        points = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
        try:
            self._archive.add(points)
        except sqlite3.Error as error:
            # A full disk must not stop the functions; what is lost is said.
            _log.error("metrics_lost", extra={"points": len(points), "reason": str(error)})

    def _prune(self) -> None:
        now = self._clock.wall_s()
        if now - self._pruned_at < PRUNE_S:
            return
        self._pruned_at = now
        try:
            self._archive.prune(now)
        except sqlite3.Error as error:
            _log.error("metrics_not_pruned", extra={"reason": str(error)})
