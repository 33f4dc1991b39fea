"""An invoker that runs nothing: it answers as told, and remembers what it was asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from workshape.functions.model import LATEST, InvocationRequest, InvocationResult, RequestId
from workshape.functions.response_stream import ResponseStream
from workshape.later import Later


def echo(asked: InvocationRequest) -> InvocationResult:
    """Return the payload."""
    tail = b"START\nEND\n" if asked.log_tail else b""
    return InvocationResult(RequestId(asked.request_id), asked.payload, LATEST, log_tail=tail)


class Unhurried:
    """A sender that need not wait for its reader."""

    def pause(self) -> None:
        """Do nothing."""

    def resume(self) -> None:
        """Do nothing."""


@dataclass
class FakeInvoke:
    """Stands where `FunctionInvoker.invoke` and `FunctionInvoker.stream` stand."""

    resolve: Callable[[str, str | None], object]
    """The catalogue's: what it does not find is not invoked."""
    answer: Callable[[InvocationRequest], InvocationResult] = echo
    asked: list[InvocationRequest] = field(default_factory=list)
    streamed: tuple[str, Sequence[bytes]] | None = None
    """The content type and the pieces of a function that streams; else it does not."""

    def __call__(self, request: InvocationRequest) -> Later[InvocationResult]:
        self.resolve(request.name, request.qualifier)
        self.asked.append(request)
        return Later.given(self.answer(request))

    async def stream(self, request: InvocationRequest) -> ResponseStream:
        """Answer whole, as a function does that does not stream, unless it does."""
        stream = ResponseStream(LATEST)
        if self.streamed is not None:
            pieces = stream.begin(Unhurried())
            pieces.media_type, parts = self.streamed
            for piece in parts:
                pieces.push(piece)
        stream.follow(self(request))
        await stream.begun
        return stream
