"""A response on its way to a caller who reads it while it comes.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html
"""

import asyncio

from workshape.functions.model import InvocationResult
from workshape.http1.message import Flow
from workshape.http1.pieces import Pieces
from workshape.later import Later


class ResponseStream:
    """Iterate over the pieces, then await `result`. A buffered response comes as one piece.

    As on Lambda, a caller who leaves (`abandon`) does not stop the function: the rest goes nowhere.
    """

    def __init__(self, executed_version: str) -> None:
        self.executed_version = executed_version
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the response begins, or the invocation has ended without one."""
        self._pieces = Pieces()
        self._result: Later[InvocationResult] | None = None
        self._is_streamed = False

    def __repr__(self) -> str:
        return f"<ResponseStream begun={self.begun.done()} {self._pieces!r}>"

    def __aiter__(self) -> "ResponseStream":
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._pieces)

    @property
    def is_streamed(self) -> bool:
        """Its function streams; else it came whole, or has failed before."""
        return self._is_streamed

    @property
    def media_type(self) -> str:
        """What a function that streams says its response is."""
        return self._pieces.media_type

    @property
    def streamed_bytes(self) -> int:
        """What the function has streamed so far, read or not."""
        return self._pieces.bytes if self._is_streamed else 0

    async def result(self) -> InvocationResult:
        """Wait for how the invocation ended; its payload is the error's, if there is one.

        Raises:
            PlatformError: the platform is closing.
        """
        assert self._result is not None, "not invoked"
        return await self._result

    def raise_platform_error(self) -> None:
        """Raise what kept the invocation from a result, if that has ended it before its response began."""
        if self._result is not None and self._result.done:
            self._result.result()

    def abandon(self) -> None:
        """Read no more of it."""
        self._pieces.discard()

    # For the invoker

    def follow(self, result: Later[InvocationResult]) -> None:
        """End with the invocation."""
        self._result = result
        result.when_done(self._ended)

    def begin(self, flow: Flow) -> Pieces:
        """The runtime begins to stream: `flow` makes it wait for a slow reader."""
        self._is_streamed = True
        self._pieces.flow = flow
        self._set_begun()
        return self._pieces

    def _ended(self, ended: Later[InvocationResult]) -> None:
        try:
            result = ended.result()
        except Exception as failure:  # noqa: BLE001 - handed on to whoever reads the pieces
            self._pieces.end(failure)
        else:
            if not self._is_streamed and result.function_error is None:
                self._pieces.push(result.payload)
            self._pieces.end()
        self._set_begun()

    def _set_begun(self) -> None:
        if not self.begun.done():
            self.begun.set_result(None)
