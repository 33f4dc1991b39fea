"""A request as the event a function gets, and a function's result as the response a client gets: format 2.0.

A core. Source:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote

import msgspec

from workshape.errors import PlatformError
from workshape.gateway.routes import Match
from workshape.http1.message import Request, Response

API_ID = "workshape"
STAGE = "$default"

_TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml")
_UNSENDABLE_HEADERS = frozenset({"connection", "content-length", "transfer-encoding"})  # the server's own to write
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # https://www.rfc-editor.org/rfc/rfc9110#name-tokens
_BODILESS_STATUSES = frozenset({204, 304})  # a body after one of these would be read as the next response


class MalformedResponse(PlatformError):
    """The function's response is not one an HTTP API can send: {reason}."""

    reason: str


class _Structured(msgspec.Struct, rename="camel"):
    """The explicit form of a response."""

    status_code: int
    headers: dict[str, str | int | float | bool] = {}
    cookies: list[str] = []
    body: str | None = None
    is_base64_encoded: bool = False


def event_of(
    request: Request,
    match: Match,
    *,
    request_id: str,
    account: str,
    now: float,
    api_id: str = API_ID,
    caller: Mapping[str, Any] | None = None,
) -> bytes:
    """Describe a request to the function; `now` is Unix time, `caller` whoever IAM knows the client as."""
    cookies = [cookie for name, value in request.headers if name == "cookie" for cookie in _split_cookies(value)]
    headers = _joined((name, value) for name, value in request.headers if name != "cookie")
    host = request.header("host", "localhost")
    moment = datetime.fromtimestamp(now, UTC)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": match.route.key,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": {
            "accountId": account,
            "apiId": api_id,
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.peer,
                "userAgent": request.header("user-agent"),
            },
            "requestId": request_id,
            "routeKey": match.route.key,
            "stage": STAGE,
            "time": moment.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if caller is not None:
        event["requestContext"]["authorizer"] = {"iam": caller}
    if cookies:
        event["cookies"] = cookies
    if request.query:
        event["queryStringParameters"] = _joined(parse_qsl(request.query, keep_blank_values=True))
    if match.parameters:
        event["pathParameters"] = match.parameters
    if request.body:
        event["body"], event["isBase64Encoded"] = _body(request)
    return msgspec.json.encode(event)


def response_of(payload: bytes) -> Response:
    """Turn what a function returned into what the client gets.

    Without a `statusCode` the whole result is the body of a 200, as JSON.

    Raises:
        MalformedResponse: a status, header or body that cannot be sent.
    """
    try:
        result = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: nested thousands deep
        raise MalformedResponse(reason=f"not JSON ({error})") from error
    if not isinstance(result, dict) or "statusCode" not in result:
        body = result.encode() if isinstance(result, str) else payload
        return Response(200, (("content-type", "application/json"),), body)
    try:
        # Not strict: AWS takes a status code written as a string.
        structured = msgspec.convert(
            {key: value for key, value in result.items() if value is not None}, _Structured, strict=False
        )
    except msgspec.ValidationError as error:
        raise MalformedResponse(reason=str(error)) from error
    return _respond(structured)


def _respond(structured: _Structured) -> Response:
    if not 200 <= structured.status_code <= 599:
        raise MalformedResponse(reason=f"statusCode {structured.status_code} does not end a response")
    body = (structured.body or "").encode()
    if structured.is_base64_encoded:
        try:
            body = base64.b64decode(body, validate=True)
        except binascii.Error as error:
            raise MalformedResponse(reason=f"the body is not base64 ({error})") from error
    headers = [(name.lower(), _text(value)) for name, value in structured.headers.items()]
    headers = [(name, value) for name, value in headers if name not in _UNSENDABLE_HEADERS]
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "text/plain; charset=utf-8"))
    headers += [("set-cookie", _latin1(cookie)) for cookie in structured.cookies]
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise MalformedResponse(reason=f"{name!r} is not a header's name")
        if any(character in "\r\n\0" for character in value):
            raise MalformedResponse(reason=f"the header {name!r} holds a line break")
    if structured.status_code in _BODILESS_STATUSES:
        body = b""
    return Response(structured.status_code, tuple(headers), body)


def _text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else _latin1(str(value))


def _latin1(text: str) -> str:
    """Header values are Latin-1 on the wire (RFC 9110 section 5.5); what is beyond it is percent-encoded."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return quote(text, safe=" !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    return text


def _joined(pairs: Any) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _split_cookies(value: str) -> list[str]:
    return [cookie.strip() for cookie in value.split(";") if cookie.strip()]


def _body(request: Request) -> tuple[str, bool]:
    """As text where the content type says text and the bytes are UTF-8; else base64."""
    if request.header("content-type").lower().startswith(_TEXT_TYPES) and not request.header("content-encoding"):
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass  # said to be text, and is not: base64 loses nothing
    return base64.b64encode(request.body).decode(), True
