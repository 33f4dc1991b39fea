"""The operation InvokeWithResponseStream.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html
"""

from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from workshape.aws.lambda_.errors import NotBuilt
from workshape.aws.lambda_.invoke import NOT_BUILT, TRIGGER, check_payload, client_context
from workshape.aws.operation import Call, Operation
from workshape.aws.protocol.event_stream import Event
from workshape.functions.catalog import Catalog
from workshape.functions.function_invoker import InvokeStreaming
from workshape.functions.limits import SYNC_PAYLOAD_BYTES_MAX
from workshape.functions.loop_guard import LoopGuard
from workshape.functions.model import InvocationRequest
from workshape.functions.response_stream import ResponseStream


def streaming_operations(catalog: Catalog, stream: InvokeStreaming, loops: LoopGuard) -> Mapping[str, Operation]:
    """Offer the operation by its name in the service model."""

    async def invoke(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        for member in NOT_BUILT:
            if member in parameters:
                raise NotBuilt(feature=f"{member} of invocations")
        reference = catalog.reference(parameters["FunctionName"], parameters.get("Qualifier"))
        payload = parameters.get("Payload") or b"{}"
        check_payload(payload, SYNC_PAYLOAD_BYTES_MAX)
        context = client_context(parameters.get("ClientContext", ""))
        if parameters.get("InvocationType") == "DryRun":
            catalog.resolve(reference.name, reference.qualifier)
            return {"StatusCode": 204}
        log_tail = parameters.get("LogType") == "Tail"
        response = await stream(
            InvocationRequest(
                reference.name,
                reference.qualifier,
                payload,
                TRIGGER,
                request_id=call.request_id,
                client_context=context,
                trace_id=loops.enter(reference.name, reference.qualifier, call.trace_id),
                log_tail=log_tail,
            )
        )
        return {
            "StatusCode": 200,
            "ExecutedVersion": response.executed_version,
            "EventStream": _events(response, log_tail=log_tail),
        }

    return {"InvokeWithResponseStream": invoke}


async def _events(response: ResponseStream, *, log_tail: bool) -> AsyncGenerator[Event, None]:
    try:
        async for piece in response:
            yield "PayloadChunk", {"Payload": piece}
        result = await response.result()
    finally:
        response.abandon()  # a caller who goes away does not stop the function
    complete: dict[str, Any] = {}
    if result.function_error is not None:
        # AWS: what the two hold is undocumented; we chose what a runtime reports as the error's type and body.
        complete = {"ErrorCode": result.error_type, "ErrorDetails": result.payload.decode(errors="replace")}
    if log_tail:
        complete["LogResult"] = b64encode(result.log_tail).decode()
    yield "InvokeComplete", complete
