"""The operation Invoke.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Mapping
from typing import Any

import msgspec

from workshape.aws.lambda_.errors import InvalidClientContext, NotBuilt, NotJson, RequestTooLarge
from workshape.aws.operation import Call, Operation
from workshape.functions.async_queue import AsyncQueue
from workshape.functions.catalog import Catalog
from workshape.functions.function_invoker import InvokeLater
from workshape.functions.function_name import FunctionReference
from workshape.functions.limits import (
    ASYNC_PAYLOAD_BYTES_MAX,
    INVOKE_ASYNC_PAYLOAD_BYTES_MAX,
    SYNC_PAYLOAD_BYTES_MAX,
)
from workshape.functions.loop_guard import LoopGuard
from workshape.functions.model import InvocationRequest, InvocationResult
from workshape.later import Later

TRIGGER = "api"
CLIENT_CONTEXT_CHARACTERS_MAX = 3_583
_JSON = msgspec.json.Decoder(msgspec.Raw)  # looks at the syntax, and builds nothing
NOT_BUILT = ("DurableExecutionName", "TenantId")


def invoke_operations(
    catalog: Catalog, invoke: InvokeLater, events: AsyncQueue, loops: LoopGuard
) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _InvokeOperations(catalog, invoke, events, loops)
    return {"Invoke": operations.invoke, "InvokeAsync": operations.invoke_async}


class _InvokeOperations:
    def __init__(self, catalog: Catalog, invoke: InvokeLater, events: AsyncQueue, loops: LoopGuard) -> None:
        self._catalog = catalog
        self._invoke = invoke
        self._events = events
        self._loops = loops

    def invoke(self, call: Call, parameters: dict[str, Any]) -> Awaitable[dict[str, Any]]:
        for name in NOT_BUILT:
            if name in parameters:
                raise NotBuilt(feature=f"{name} of invocations")
        reference = self._catalog.reference(parameters["FunctionName"], parameters.get("Qualifier"))
        kind = parameters.get("InvocationType", "RequestResponse")
        payload = parameters.get("Payload") or b"{}"
        check_payload(payload, ASYNC_PAYLOAD_BYTES_MAX if kind == "Event" else SYNC_PAYLOAD_BYTES_MAX)
        context = client_context(parameters.get("ClientContext", ""))
        name, qualifier = reference.name, reference.qualifier
        if kind != "RequestResponse":
            self._catalog.invocable(name, qualifier)
            if kind == "DryRun":
                return Later.given({"StatusCode": 204})
            return self._accept(call, reference, payload, context)
        request = InvocationRequest(
            name,
            qualifier,
            payload,
            TRIGGER,
            request_id=call.request_id,
            client_context=context,
            trace_id=self._loops.enter(name, qualifier, call.trace_id),
            log_tail=parameters.get("LogType") == "Tail",
        )
        return self._invoke(request).then(_with_log if request.log_tail else _output)

    async def _accept(self, call: Call, reference: FunctionReference, payload: bytes, context: str) -> dict[str, Any]:
        await self._events.put(
            call.request_id,
            reference.name,
            reference.qualifier,
            payload,
            client_context=context,
            trace_id=call.trace_id,
        )
        return {"StatusCode": 202}

    async def invoke_async(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        """Deprecated by AWS: an Event, but smaller, and without the caller's trace."""
        reference = self._catalog.reference(parameters["FunctionName"])
        payload = parameters.get("InvokeArgs") or b"{}"
        check_payload(payload, INVOKE_ASYNC_PAYLOAD_BYTES_MAX)
        self._catalog.invocable(reference.name, reference.qualifier)
        await self._events.put(call.request_id, reference.name, reference.qualifier, payload)
        return {"Status": 202}


def _output(result: InvocationResult) -> dict[str, Any]:
    return {
        "StatusCode": 200,
        "FunctionError": result.function_error,
        "ExecutedVersion": result.executed_version,
        "Payload": result.payload,
    }


def _with_log(result: InvocationResult) -> dict[str, Any]:
    return _output(result) | {"LogResult": b64encode(result.log_tail).decode()}


def check_payload(payload: bytes, bytes_max: int) -> None:
    """Refuse an event that is too large or no JSON.

    Raises:
        RequestTooLarge, NotJson.
    """
    if len(payload) > bytes_max:
        raise RequestTooLarge(bytes_max=bytes_max)
    try:
        _JSON.decode(payload)
        payload.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if not _is_json_with_halves(payload):
            raise NotJson(reason=str(error)) from error


def _is_json_with_halves(payload: bytes) -> bool:
    """Tell whether it is JSON with escapes that are halves of a character, as clients write them of text cut in two.

    Source: https://datatracker.ietf.org/doc/html/rfc8259#section-8.2 (which the grammar allows)
    """
    if b"\\u" not in payload:
        return False
    try:
        json.loads(payload.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def client_context(encoded: str) -> str:
    """Decode the client context; empty when there is none.

    Raises:
        InvalidClientContext: it is too long, or no base64 of a JSON object.
    """
    if not encoded:
        return ""
    try:
        if len(encoded) > CLIENT_CONTEXT_CHARACTERS_MAX:
            raise InvalidClientContext()
        text = b64decode(encoded, validate=True).decode()
        msgspec.json.decode(text, type=dict[str, Any])
    except (binascii.Error, UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise InvalidClientContext() from error
    return text
