"""The response of a function that streams: what it says before its body, and the body as it comes.

A runtime that names the content type `application/vnd.awslambda.http-integration-response` begins with a prelude: a
JSON object with status, headers and cookies, then eight zero bytes. What another content type has is the body of a 200.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html (the prelude)
"""

from collections.abc import AsyncIterator

import msgspec

from workshape.functions.response_stream import ResponseStream
from workshape.gateway.bodies import MalformedResponse, make_response, scalar_text
from workshape.http1.message import Response

PRELUDE_TYPE = "application/vnd.awslambda.http-integration-response"
DELIMITER = bytes(8)
PRELUDE_BYTES_MAX = 16 * 1024
"""AWS: documented for API Gateway; undocumented for function URLs, and we chose the same."""
DEFAULT_TYPE = "application/octet-stream"


class ResponseBrokenOff(Exception):
    """The function failed in the middle of its response: the client must not take what came for a whole one."""


class _Prelude(msgspec.Struct):
    status_code: int = msgspec.field(name="statusCode", default=200)
    headers: dict[str, str | int | float | bool] = {}
    cookies: list[str] = []


def read_prelude(received: bytes) -> tuple[Response, bytes] | None:
    """Split what has come so far into a response without its body and the body's beginning; None: more has to come.

    Raises:
        MalformedResponse: a prelude that is none, or too long, or cannot be sent.
    """
    prelude, delimiter, rest = received.partition(DELIMITER)
    if len(prelude) > PRELUDE_BYTES_MAX:
        raise MalformedResponse(reason=f"no end of its prelude within {PRELUDE_BYTES_MAX} bytes")
    if not delimiter:
        return None
    try:
        # Not strict: AWS takes a status code written as a string.
        said = msgspec.convert(msgspec.json.decode(prelude), _Prelude, strict=False)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedResponse(reason=f"its prelude is none ({error})") from error
    headers = [(name, scalar_text(value)) for name, value in said.headers.items()]
    headers += [("set-cookie", cookie) for cookie in said.cookies]
    return make_response(said.status_code, headers, "", DEFAULT_TYPE, is_base64=False), rest


async def streamed_response(stream: ResponseStream) -> Response:
    """Turn a response that has begun to stream into what the client gets, its body as it comes.

    Raises:
        MalformedResponse: see `read_prelude`; or it ended before its prelude did.
    """
    if stream.media_type.partition(";")[0].strip().lower() != PRELUDE_TYPE:
        kind = stream.media_type or DEFAULT_TYPE
        return Response(200, (("content-type", kind),), _body(b"", stream))
    received = b""
    try:
        async for piece in stream:
            received += piece
            if (split := read_prelude(received)) is not None:
                head, begin = split
                return Response(head.status, head.headers, _body(begin, stream))
        raise MalformedResponse(reason="it ended within its prelude")
    except MalformedResponse:
        stream.abandon()
        raise


async def _body(begin: bytes, stream: ResponseStream) -> AsyncIterator[bytes]:
    try:
        if begin:
            yield begin
        async for piece in stream:
            yield piece
        if (await stream.result()).function_error is not None:
            raise ResponseBrokenOff
    finally:
        stream.abandon()
