"""A body on its way from who sends it to who reads it, piece by piece."""

import asyncio
from collections import deque

from workshape.http1.message import Flow

UNREAD_BYTES_MAX = 1024 * 1024  # the sender waits until its reader has caught up


class Pieces:
    """What has come of a body and has not been read yet; its sender waits while that is too much."""

    def __init__(self, flow: Flow | None = None) -> None:
        self.flow = flow
        self.bytes = 0
        """All that came so far."""
        self.media_type = ""
        """What its sender says it is."""
        self._pieces: deque[bytes] = deque()
        self._unread_bytes = 0
        self._ended = False
        self._failure: Exception | None = None
        self._discards = False
        self._arrived: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Pieces unread={self._unread_bytes} ended={self._ended}>"

    def __aiter__(self) -> "Pieces":
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise StopAsyncIteration
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        piece = self._pieces.popleft()
        self._unread_bytes -= len(piece)
        if self.flow is not None and self._unread_bytes <= UNREAD_BYTES_MAX // 2:
            self.flow.resume()
        return piece

    def push(self, piece: bytes) -> None:
        """Add what came."""
        self.bytes += len(piece)
        if self._discards:
            return
        self._pieces.append(piece)
        self._unread_bytes += len(piece)
        if self.flow is not None and self._unread_bytes > UNREAD_BYTES_MAX:
            self.flow.pause()
        self._wake()

    def end(self, failure: Exception | None = None) -> None:
        """Nothing more comes: all is here, or something broke. Once it has ended, it stays as it is."""
        if not self._ended:
            self._ended, self._failure = True, failure
            self._wake()

    def discard(self) -> None:
        """Nobody reads any more: let the sender go on, and keep nothing."""
        self._discards = True
        self._pieces.clear()
        self._unread_bytes = 0
        self.let_go()

    def let_go(self) -> None:
        """Its sender has nothing more for us, and waits for us no longer."""
        flow, self.flow = self.flow, None
        if flow is not None:
            flow.resume()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
