"""An event loop whose seconds pass a hundred times as fast, and its clock: for what waits between its tries."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from workshape.clock import Clock

SPEED = 100.0

T = TypeVar("T")


class _FastSelector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / SPEED)


class _FastLoop(asyncio.SelectorEventLoop):
    def time(self) -> float:
        return super().time() * SPEED


class FastClock(Clock):
    """The time of the loop."""

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()

    def wall_s(self) -> float:
        """The same, so that both pass alike."""
        return self.monotonic_s()


def run_fast(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run something to its end, its seconds being hundredths."""
    with asyncio.Runner(loop_factory=lambda: _FastLoop(_FastSelector())) as runner:
        return runner.run(coroutine)
