"""Invokes functions by name, as everything outside does: finds the version, makes the invocation, hands it on."""

import secrets
import uuid
from collections.abc import Callable

from workshape.clock import Clock
from workshape.errors import Invalid
from workshape.functions.invocation_trace import InvocationTracer
from workshape.functions.invoker import Invoker
from workshape.functions.limits import SYNC_PAYLOAD_BYTES_MAX
from workshape.functions.model import FunctionVersion, Invocation, InvocationResult, RequestId
from workshape.functions.response_stream import ResponseStream


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

    async def __call__(self, name: str, qualifier: str | None, payload: bytes, trigger: str) -> InvocationResult:
        """Run the function once: an `InvokeFunction`."""
        return await self.invoke(name, qualifier, payload, trigger)

    async def stream(
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
    ) -> ResponseStream:
        """Run the function once; return when its response begins.

        Raises: as `invoke`.
        """
        function, invocation = self._prepare(name, qualifier, payload, request_id, client_context, trace_id, log_tail)
        return await self._invoker.stream(function, invocation, trigger)

    async def invoke(
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
        """Run the function once; an absent request id or trace id is made up.

        Raises:
            NotFound: no such function, version or alias.
            PayloadTooLarge: over 6 MiB.
            TooManyRequests, PlatformError: see `Invoker.invoke`.
        """
        function, invocation = self._prepare(name, qualifier, payload, request_id, client_context, trace_id, log_tail)
        return await self._invoker.invoke(function, invocation, trigger)

    def _prepare(
        self,
        name: str,
        qualifier: str | None,
        payload: bytes,
        request_id: str,
        client_context: str,
        trace_id: str,
        log_tail: bool,
    ) -> tuple[FunctionVersion, Invocation]:
        if len(payload) > SYNC_PAYLOAD_BYTES_MAX:
            raise PayloadTooLarge(size=len(payload), limit=SYNC_PAYLOAD_BYTES_MAX)
        function = self._resolve(name, qualifier)
        trace = None
        if self._tracer is not None:
            now_s = int(self._clock.wall_s())
            trace = self._tracer.begin(is_active=function.traces_actively, header=trace_id, now_s=now_s)
            trace_id = trace.header if trace is not None else trace_id
        invocation = Invocation(
            request_id=RequestId(request_id or str(uuid.uuid4())),
            payload=payload,
            invoked_arn=f"{function.arn}:{qualifier}" if qualifier else function.arn,
            client_context=client_context,
            trace_id=trace_id or _trace_id(self._clock.wall_s()),
            trace=trace,
            log_tail=log_tail,
        )
        return function, invocation


def _trace_id(at: float) -> str:
    """Make an X-Ray trace header that is not sampled.

    Source: https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
    """
    digits = secrets.token_hex(20)
    return f"Root=1-{int(at):08x}-{digits[:24]};Parent={digits[24:]};Sampled=0"
