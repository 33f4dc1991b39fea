"""An invoker that runs nothing: it answers as told, and remembers what it was asked."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from workshape.functions.model import LATEST, InvocationResult, RequestId
from workshape.functions.response_stream import ResponseStream


@dataclass(frozen=True, slots=True)
class Asked:
    """One invocation, as it arrived."""

    name: str
    qualifier: str | None
    payload: bytes
    trigger: str
    request_id: str
    client_context: str
    trace_id: str
    log_tail: bool


def echo(asked: Asked) -> InvocationResult:
    """Return the payload."""
    tail = b"START\nEND\n" if asked.log_tail else b""
    return InvocationResult(RequestId(asked.request_id), asked.payload, LATEST, log_tail=tail)


@dataclass
class FakeInvoke:
    """Stands where `FunctionInvoker.invoke` and `FunctionInvoker.stream` stand."""

    resolve: Callable[[str, str | None], object]
    """The catalogue's: what it does not find is not invoked."""
    answer: Callable[[Asked], InvocationResult] = echo
    asked: list[Asked] = field(default_factory=list)

    async def __call__(
        self,
        name: str,
        qualifier: str | None,
        payload: bytes,
        trigger: str,
        *,
        request_id: str = "",
        client_context: str = "",
        trace_id: str = "",
        log_tail: bool = False,
    ) -> InvocationResult:
        self.resolve(name, qualifier)
        asked = Asked(name, qualifier, payload, trigger, request_id, client_context, trace_id, log_tail)
        self.asked.append(asked)
        return self.answer(asked)

    async def stream(
        self, name: str, qualifier: str | None, payload: bytes, trigger: str, **more: Any
    ) -> ResponseStream:
        """Answer whole, as a function does that does not stream."""
        result: asyncio.Future[InvocationResult] = asyncio.get_running_loop().create_future()
        result.set_result(await self(name, qualifier, payload, trigger, **more))
        stream = ResponseStream(LATEST)
        stream.follow(result)
        await stream.begun
        return stream
