"""Work that is due at times: on disk until it is done with, attempted as it comes due, so many pieces at once.

That a piece is done with outlives the process at once, and a power cut a little later: after one in between it is
attempted once more.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, Protocol, TypeVar

import msgspec

from workshape.clock import Clock
from workshape.store.documents import Documents


class Due(Protocol):
    """What is due at a time."""

    @property
    def due_at(self) -> float:
        """Unix time."""


Work = TypeVar("Work", bound=Due)


class Backlog(Generic[Work]):
    """The pieces of one kind. `run` it; what it had not finished goes on at the next start.

    How many there may be is for whoever keeps them: see `len` and `size_bytes`.
    """

    def __init__(
        self,
        documents: Documents,
        kind: str,
        work: type[Work],
        clock: Clock,
        *,
        key: Callable[[Work], str],
        at_once_max: int,
        bytes_of: Callable[[Work], int] = lambda _: 0,
    ) -> None:
        """Read what there is; `bytes_of` says what a piece counts for in `size_bytes`."""
        self._documents = documents
        self._kind = kind
        self._clock = clock
        self._key = key
        self._at_once_max = at_once_max
        self._bytes_of = bytes_of
        self._pieces: dict[str, Work] = {}
        self._due: list[tuple[float, str]] = []
        self._changed = asyncio.Event()
        self.size_bytes = 0
        self.running = 0
        for _, document in documents.all(kind):
            self.hold(msgspec.msgpack.decode(document, type=work))

    def __repr__(self) -> str:
        return f"<Backlog {self._kind} waiting={len(self)} running={self.running}>"

    def __len__(self) -> int:
        return len(self._pieces)

    def __iter__(self) -> Iterator[Work]:
        return iter(self._pieces.values())

    def __contains__(self, key: str) -> bool:
        return key in self._pieces

    def piece(self, key: str) -> Work | None:
        """Return a piece that is not done with."""
        return self._pieces.get(key)

    def document(self, piece: Work) -> tuple[str, str, bytes]:
        """Write a piece as a document: its kind, key and value."""
        return self._kind, self._key(piece), msgspec.msgpack.encode(piece)

    def keep(self, piece: Work) -> None:
        """Write and hold a piece that is new, or whose attempt changed it. To be sure of the disk, wait for it."""
        self._documents.write(*self.document(piece))
        self.hold(piece)

    def hold(self, piece: Work) -> None:
        """Have a piece attempted when it is due; it is on disk already, and does not wait yet."""
        key = self._key(piece)
        if key not in self._pieces:
            self.size_bytes += self._bytes_of(piece)
        self._pieces[key] = piece
        heapq.heappush(self._due, (piece.due_at, key))
        self._changed.set()

    def forget(self, piece: Work) -> None:
        """Be done with a piece."""
        key = self._key(piece)
        self._documents.erase(self._kind, key)
        del self._pieces[key]
        self.size_bytes -= self._bytes_of(piece)

    async def run(self, attempt: Callable[[Work], Awaitable[None]]) -> None:
        """Attempt what comes due, until cancelled; `attempt` keeps the piece for another time, or forgets it."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                now = self._clock.wall_s()
                while self._due and self._due[0][0] <= now and self.running < self._at_once_max:
                    _, key = heapq.heappop(self._due)
                    self.running += 1
                    group.create_task(self._attempt(self._pieces[key], attempt))
                may_start = self._due and self.running < self._at_once_max
                wait_s = max(self._due[0][0] - now, 0.0) if may_start else None
                try:
                    async with asyncio.timeout(wait_s):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    async def _attempt(self, piece: Work, attempt: Callable[[Work], Awaitable[None]]) -> None:
        try:
            await attempt(piece)
        finally:
            self.running -= 1
            self._changed.set()
