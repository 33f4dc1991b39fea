"""Bodies in JSON: text as it is, everything else as base64; and what a function may not put into a response. A core.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import binascii
import re
from collections.abc import Iterable
from urllib.parse import quote

from workshape.errors import PlatformError
from workshape.http1.message import Request, Response

_TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml")
_UNSENDABLE_HEADERS = frozenset({"connection", "content-length", "transfer-encoding"})  # the server's own to write
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # https://www.rfc-editor.org/rfc/rfc9110#name-tokens
_BODILESS_STATUSES = frozenset({204, 304})  # a body after one of these would be read as the next response


class MalformedResponse(PlatformError):
    """The function's response is not one an HTTP API can send: {reason}."""

    reason: str


def body_by_type(request: Request) -> tuple[str, bool]:
    """As text where the content type says text and the bytes are UTF-8; else base64. Tells whether it is base64."""
    if request.header("content-type").lower().startswith(_TEXT_TYPES) and not request.header("content-encoding"):
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass  # said to be text, and is not: base64 loses nothing
    return base64.b64encode(request.body).decode(), True


def body_by_media_types(request: Request, binary_media_types: Iterable[str]) -> tuple[str, bool]:
    """As base64 where the content type is one of those; else text, whatever it is.

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings-workflow.html
    """
    if is_among(request.header("content-type"), binary_media_types):
        return base64.b64encode(request.body).decode(), True
    return request.body.decode(errors="replace"), False


def is_among(media_type: str, media_types: Iterable[str]) -> bool:
    """Tell whether a media type is listed; `*/*` lists all, `image/*` all that begin so."""
    essence = media_type.partition(",")[0].partition(";")[0].strip().lower()
    kind = essence.partition("/")[0]
    return any(listed in ("*/*", essence, f"{kind}/*") for listed in map(str.lower, media_types))


def make_response(
    status: int, headers: list[tuple[str, str]], body: str, default_type: str, *, is_base64: bool
) -> Response:
    """Make the response that a function described, header names in small letters.

    Raises:
        MalformedResponse: a status, header or body that cannot be sent.
    """
    if not 200 <= status <= 599:
        raise MalformedResponse(reason=f"statusCode {status} does not end a response")
    content = body.encode()
    if is_base64:
        try:
            content = base64.b64decode(content, validate=True)
        except binascii.Error as error:
            raise MalformedResponse(reason=f"the body is not base64 ({error})") from error
    sent = [(name.lower(), latin1(value)) for name, value in headers]
    sent = [(name, value) for name, value in sent if name not in _UNSENDABLE_HEADERS]
    if not any(name == "content-type" for name, _ in sent):
        sent.append(("content-type", default_type))
    for name, value in sent:
        if not _TOKEN.fullmatch(name):
            raise MalformedResponse(reason=f"{name!r} is not a header's name")
        if any(character in "\r\n\0" for character in value):
            raise MalformedResponse(reason=f"the header {name!r} holds a line break")
    return Response(status, tuple(sent), b"" if status in _BODILESS_STATUSES else content)


def scalar_text(value: str | float | bool) -> str:
    """Write a header's value that a function gave as a number or a truth value."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def latin1(text: str) -> str:
    """Header values are Latin-1 on the wire (RFC 9110 section 5.5); what is beyond it is percent-encoded."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return quote(text, safe=" !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    return text
