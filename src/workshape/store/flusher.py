"""Brings to disk what was written to a file, for many who wait: while one flush is under way, the next gathers."""

import asyncio
import os
from functools import partial
from pathlib import Path

from workshape.errors import BackendUnavailable

_flush = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter


class Flusher:
    """One file, opened when it is first flushed. Used on the event loop's thread; it flushes in another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._next: asyncio.Future[None] | None = None
        self._is_flushing = False

    def __repr__(self) -> str:
        return f"<Flusher {self._path} flushing={self._is_flushing}>"

    async def flushed(self) -> None:
        """Return when everything written before this call is on disk.

        Raises:
            BackendUnavailable: it is not.
        """
        waiting = self._next
        if waiting is None:
            waiting = self._next = asyncio.get_running_loop().create_future()
            if not self._is_flushing:
                self._begin()
        await asyncio.shield(waiting)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _begin(self) -> None:
        waiting, self._next, self._is_flushing = self._next, None, True
        assert waiting is not None, "somebody waits"
        if self._descriptor < 0:
            self._descriptor = os.open(self._path, os.O_RDWR)
        flushing = asyncio.get_running_loop().run_in_executor(None, _flush, self._descriptor)
        flushing.add_done_callback(partial(self._end, waiting))

    def _end(self, waiting: "asyncio.Future[None]", flushing: "asyncio.Future[None]") -> None:
        self._is_flushing = False
        failure = None if flushing.cancelled() else flushing.exception()
        if not waiting.done():
            if flushing.cancelled() or failure is not None:
                reason = str(failure) if failure is not None else "it was closed meanwhile"
                waiting.set_exception(BackendUnavailable(backend="the store", address=str(self._path), reason=reason))
                waiting.exception()  # whoever waits hears of it; that nobody does any more is no error
            else:
                waiting.set_result(None)
        if self._next is not None:
            self._begin()
