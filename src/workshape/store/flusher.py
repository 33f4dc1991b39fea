"""Brings to disk what was written to a file, for many who wait: while one flush is under way, the next gathers."""

import os
from functools import partial
from pathlib import Path

from workshape.errors import BackendUnavailable
from workshape.later import Later
from workshape.store.disk_thread import DiskThread

_flush = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter


class Flusher:
    """One file, opened when it is first flushed. Used on the event loop's thread; it flushes in another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._thread = DiskThread("flusher")
        self._next: Later[None] | None = None
        self._is_flushing = False

    def __repr__(self) -> str:
        return f"<Flusher {self._path} flushing={self._is_flushing}>"

    def flushed(self) -> Later[None]:
        """Say when everything written before this call is on disk; it fails with BackendUnavailable when it is not."""
        waiting = self._next
        if waiting is None:
            waiting = self._next = Later()
            if not self._is_flushing:
                self._begin()
        return waiting

    def close(self) -> None:
        """Close the file."""
        self._thread.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _begin(self) -> None:
        waiting, self._next, self._is_flushing = self._next, None, True
        assert waiting is not None, "somebody waits"
        self._thread.do(self._flush).when_done(partial(self._end, waiting))

    def _flush(self) -> None:
        """In the thread."""
        if self._descriptor < 0:
            self._descriptor = os.open(self._path, os.O_RDWR)
        _flush(self._descriptor)

    def _end(self, waiting: Later[None], flushing: Later[None]) -> None:
        self._is_flushing = False
        if self._next is not None:
            self._begin()
        try:
            flushing.result()
        except OSError as error:
            waiting.fail(BackendUnavailable(backend="the store", address=str(self._path), reason=str(error)))
        else:
            waiting.give(None)
