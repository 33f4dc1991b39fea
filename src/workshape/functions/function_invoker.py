"""Invokes functions by name, as everything outside does: finds the version, makes the invocation, hands it on."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from workshape.clock import Clock
from workshape.errors import Invalid
from workshape.functions.invocation_trace import InvocationTracer
from workshape.functions.invoker import Invoker
from workshape.functions.limits import SYNC_PAYLOAD_BYTES_MAX
from workshape.functions.lineage import carried
from workshape.functions.model import FunctionVersion, Invocation, InvocationRequest, InvocationResult, RequestId
from workshape.functions.response_stream import ResponseStream
from workshape.identifiers import new_request_id, random_hex
from workshape.later import Later

Invoke = Callable[[InvocationRequest], Awaitable[InvocationResult]]
"""Runs a function once: `FunctionInvoker.invoke`, for who waits."""
InvokeLater = Callable[[InvocationRequest], Later[InvocationResult]]
"""The same, for who does not wait but is told."""
InvokeStreaming = Callable[[InvocationRequest], Awaitable[ResponseStream]]
"""Runs a function once, and hands its response on as it comes: `FunctionInvoker.stream`."""


class InvokeFunction(Protocol):
    """How event source mappings invoke: by name, with what set them off and the trace header it came with."""

    def __call__(
        self, name: str, qualifier: str | None, payload: bytes, trigger: str, *, trace_id: str = ""
    ) -> Awaitable[InvocationResult]:
        """Run the function once."""


class PayloadTooLarge(Invalid):
    """{size} byte payload is too large for the RequestResponse invocation type (limit {limit} bytes)"""

    size: int
    limit: int


class FunctionInvoker:
    """Invokes functions by name, as everything outside does."""

    def __init__(
        self,
        resolve: Callable[[str, str | None], FunctionVersion],
        invoker: Invoker,
        clock: Clock,
        tracer: InvocationTracer | None = None,
    ) -> None:
        """`resolve` is the catalog's: name and qualifier to version. No tracer: nothing is traced."""
        self._resolve = resolve
        self._invoker = invoker
        self._clock = clock
        self._tracer = tracer

    async def __call__(
        self, name: str, qualifier: str | None, payload: bytes, trigger: str, *, trace_id: str = ""
    ) -> InvocationResult:
        """Run the function once: an `InvokeFunction`."""
        return await self.invoke(InvocationRequest(name, qualifier, payload, trigger, trace_id=trace_id))

    async def stream(self, request: InvocationRequest) -> ResponseStream:
        """Run the function once; return when its response begins.

        Raises: as `invoke`.
        """
        function, invocation = self._prepare(request)
        return await self._invoker.stream(function, invocation, request.trigger)

    def invoke(self, request: InvocationRequest) -> Later[InvocationResult]:
        """Run the function once. What keeps it from running is raised here, or fails the result.

        Raises:
            NotFound: no such function, version or alias.
            PayloadTooLarge: over 6 MiB.
            TooManyRequests, PlatformError: see `Invoker.invoke`.
        """
        function, invocation = self._prepare(request)
        return self._invoker.invoke(function, invocation, request.trigger)

    def _prepare(self, request: InvocationRequest) -> tuple[FunctionVersion, Invocation]:
        if len(request.payload) > SYNC_PAYLOAD_BYTES_MAX:
            raise PayloadTooLarge(size=len(request.payload), limit=SYNC_PAYLOAD_BYTES_MAX)
        function = self._resolve(request.name, request.qualifier)
        trace, trace_id, now = None, request.trace_id, self._clock.wall_s()
        if self._tracer is not None:
            trace = self._tracer.begin(is_active=function.traces_actively, header=trace_id, now_s=int(now))
            trace_id = trace.header if trace is not None else trace_id
        invocation = Invocation(
            request_id=RequestId(request.request_id or new_request_id()),
            payload=request.payload,
            invoked_arn=f"{function.arn}:{request.qualifier}" if request.qualifier else function.arn,
            client_context=request.client_context,
            trace_id=carried(request.trace_id, _completed(trace_id, now)),
            trace=trace,
            log_tail=request.log_tail,
        )
        return function, invocation


def _completed(header: str, at: float) -> str:
    """Make an X-Ray trace header that is not sampled, of none or of one that names its trace only.

    Source: https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
    """
    names_trace = header.startswith("Root=")
    if names_trace and ";" in header:
        return header
    digits = random_hex(40)
    root = header if names_trace else f"Root=1-{int(at):08x}-{digits[:24]}"
    return f"{root};Parent={digits[24:]};Sampled=0"
