"""What the APIs inside an environment answer: acceptance, refusals, error objects.

Source: https://docs.aws.amazon.com/lambda/latest/dg/samples/runtime-api.zip (the OpenAPI document)
"""

import json

from workshape.functions.limits import MIB, SYNC_PAYLOAD_BYTES_MAX
from workshape.http1.message import Response

RESPONSE_BYTES_MAX = SYNC_PAYLOAD_BYTES_MAX + 100
"""AWS: undocumented; its own refusal says "Exceeded maximum allowed payload size (6291556 bytes)"."""
STREAMED_RESPONSE_BYTES_MAX = 200 * MIB
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html"""
RESPONSE_TOO_LARGE = "Function.ResponseSizeTooLarge"
JSON = (("content-type", "application/json"),)
ACCEPTED = Response(202, JSON, b'{"status":"OK"}\n')


def refusal(status: int, error_type: str, message: str) -> Response:
    """Refuse a request."""
    return Response(status, JSON, error_json(error_type, message) + b"\n")


def refuse_transition(state: str, transition: str, whose: str) -> Response:
    """Refuse a request that its sender's state does not allow."""
    message = f"State transition from {state} to {transition} failed for {whose}. "
    return refusal(403, "InvalidStateTransition", message + "Error: State transition is not allowed")


def error_json(error_type: str, message: str) -> bytes:
    """Write an error object as functions report them."""
    return json.dumps({"errorMessage": message, "errorType": error_type}, separators=(",", ":")).encode()


def response_too_large(bytes_max: int) -> tuple[bytes, Response]:
    """Say that a response is over its limit: the error the caller gets, and the refusal the runtime gets."""
    limit = f"maximum allowed payload size ({bytes_max} bytes)."
    error = error_json(RESPONSE_TOO_LARGE, f"Response payload size exceeded {limit}")
    return error, refusal(413, "RequestEntityTooLarge", f"Exceeded {limit}")
