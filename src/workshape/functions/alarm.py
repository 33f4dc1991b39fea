"""One timer for whoever has many deadlines and knows the next of them."""

import asyncio
from collections.abc import Callable
from math import inf

AFTER_S_MIN = 0.001  # libuv counts in milliseconds: asking for less would only wake us too early


class Alarm:
    """Calls `ring` at the earliest time that was asked for since the last call. Needs a running event loop."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None
        self._at = inf

    def __repr__(self) -> str:
        return f"<Alarm at={self._at}>"

    def set(self, at: float, now: float) -> None:
        """Ring at `at`, or before; `inf` asks for nothing."""
        if at >= self._at:
            return
        self.cancel()
        self._at = at
        self._handle = asyncio.get_running_loop().call_later(max(at - now, AFTER_S_MIN), self._fire)

    def cancel(self) -> None:
        """Do not ring."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._at = inf

    def _fire(self) -> None:
        self._handle, self._at = None, inf
        self._ring()
