"""A thread that does what blocks, one piece after the other, so that the event loop never waits for the disk.

An executor of Python's own makes two futures of each piece, with a lock each, and wakes a task by a turn of the loop:
for one fsync that is a third of the time.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, TypeVar

from workshape.later import Later

T = TypeVar("T")


class _Piece(NamedTuple):
    work: Callable[[], Any]
    later: Later[Any]
    loop: asyncio.AbstractEventLoop


class DiskThread:
    """Begun with the first piece of work. How much may wait is for whoever brings it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pieces: SimpleQueue[_Piece | None] = SimpleQueue()
        self._thread: Thread | None = None

    def __repr__(self) -> str:
        return f"<DiskThread {self._name} waiting={self._pieces.qsize()}>"

    def do(self, work: Callable[[], T]) -> Later[T]:
        """Have something done when all that came before is; what it raises is what the result fails with."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        later: Later[T] = Later()
        self._pieces.put(_Piece(work, later, asyncio.get_running_loop()))
        return later

    def close(self) -> None:
        """Wait until everything is done; then there is no thread any more."""
        if self._thread is not None:
            self._pieces.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            try:
                value = piece.work()
            except Exception as failure:  # noqa: BLE001 - the boundary of the thread: whoever wanted it done is told
                told = partial(piece.later.fail, failure)
            else:
                told = partial(piece.later.give, value)
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                piece.loop.call_soon_threadsafe(told)
