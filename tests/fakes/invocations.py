"""An invoker that runs nothing: it answers as told, and remembers what it was asked."""

from collections.abc import Callable
from dataclasses import dataclass, field

from workshape.functions.model import LATEST, InvocationRequest, InvocationResult, RequestId
from workshape.functions.response_stream import ResponseStream
from workshape.later import Later


def echo(asked: InvocationRequest) -> InvocationResult:
    """Return the payload."""
    tail = b"START\nEND\n" if asked.log_tail else b""
    return InvocationResult(RequestId(asked.request_id), asked.payload, LATEST, log_tail=tail)


@dataclass
class FakeInvoke:
    """Stands where `FunctionInvoker.invoke` and `FunctionInvoker.stream` stand."""

    resolve: Callable[[str, str | None], object]
    """The catalogue's: what it does not find is not invoked."""
    answer: Callable[[InvocationRequest], InvocationResult] = echo
    asked: list[InvocationRequest] = field(default_factory=list)

    def __call__(self, request: InvocationRequest) -> Later[InvocationResult]:
        self.resolve(request.name, request.qualifier)
        self.asked.append(request)
        return Later.given(self.answer(request))

    async def stream(self, request: InvocationRequest) -> ResponseStream:
        """Answer whole, as a function does that does not stream."""
        stream = ResponseStream(LATEST)
        stream.follow(self(request))
        await stream.begun
        return stream
