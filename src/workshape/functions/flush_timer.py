"""Writing behind: what is buffered reaches its file a little later, in one go."""

import asyncio
from collections.abc import Callable

FLUSH_AFTER_S = 0.1
"""How much a crash may cost of what is written behind, and how often a busy engine writes."""


class FlushTimer:
    """Calls `flush` once, `FLUSH_AFTER_S` after the first `arm` since the last call. Needs a running event loop."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._handle: asyncio.TimerHandle | None = None

    def arm(self) -> None:
        """See to it that what was just buffered is flushed."""
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(FLUSH_AFTER_S, self._fire)

    def cancel(self) -> None:
        """Forget the call that is due; the owner flushes itself."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        self._flush()
