"""A request as the event a function gets, and a function's result as the response a client gets: format 2.0.

A core. Source:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from workshape.apis.routes import DEFAULT
from workshape.gateway.arrival import Arrival, Caller, IamCaller, JwtCaller, LambdaCaller, grouped, joined, query_pairs
from workshape.gateway.bodies import MalformedResponse, body_by_type, make_response, scalar_text
from workshape.http1.hop_by_hop import end_to_end
from workshape.http1.message import Response

TEXT_TYPE = "text/plain; charset=utf-8"
JSON_TYPE = "application/json"


class _Structured(msgspec.Struct, rename="camel"):
    """The explicit form of a response."""

    status_code: int
    headers: dict[str, str | int | float | bool] = {}
    cookies: list[str] = []
    body: str | None = None
    is_base64_encoded: bool = False


def event_of(
    arrival: Arrival, route_key: str, parameters: Mapping[str, str], caller: Caller | None = None
) -> dict[str, Any]:
    """Describe a request, and who made it, to the function behind a route."""
    event = describe(arrival, route_key, parameters)
    if caller is not None:
        event["requestContext"]["authorizer"] = _authorizer(caller)
    event["isBase64Encoded"] = False
    if arrival.request.body:
        event["body"], event["isBase64Encoded"] = body_by_type(arrival.request)
    return event


def url_event_of(arrival: Arrival, caller: Caller | None = None) -> dict[str, Any]:
    """Describe a request to a function URL.

    Its path is told as it came, where an HTTP API's is percent-decoded. AWS: undocumented; observed, see
    https://github.com/middleapi/standard-server/pull/93.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-request-payload
    """
    event = event_of(arrival, DEFAULT, {}, caller)
    context = event["requestContext"]
    event["rawPath"] = context["http"]["path"] = arrival.request.raw_path
    context["authentication"] = None
    return event


def describe(arrival: Arrival, route_key: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Describe a request without its body and who made it."""
    request = arrival.request
    headers = grouped(end_to_end(arrival.headers()))
    cookies = [cookie.strip() for value in headers.pop("cookie", ()) for cookie in value.split(";") if cookie.strip()]
    host, path = arrival.host, request.path
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": path,
        "rawQueryString": request.query,
        "headers": joined(headers),
        "requestContext": {
            "accountId": arrival.account,
            "apiId": arrival.api_id,
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.peer,
                "userAgent": request.header("user-agent"),
            },
            "requestId": arrival.request_id,
            "routeKey": route_key,
            "stage": arrival.stage,
            "time": arrival.time(),
            "timeEpoch": arrival.epoch_ms(),
        },
    }
    if cookies:
        event["cookies"] = cookies
    if request.query:
        event["queryStringParameters"] = joined(grouped(query_pairs(request.query)))
    if parameters:
        event["pathParameters"] = parameters
    if arrival.variables:
        event["stageVariables"] = arrival.variables
    return event


def response_of(payload: bytes) -> Response:
    """Turn what a function returned into what the client gets.

    Without a `statusCode` the whole result is the body of a 200, as JSON; a text alone is without its quotes.

    Raises:
        MalformedResponse: a status, header or body that cannot be sent.
    """
    result = _decoded(payload)
    if isinstance(result, str):
        return Response(200, (("content-type", JSON_TYPE),), result.encode())
    return _response(result, payload)


def url_response_of(payload: bytes) -> Response:
    """Do the same for a function URL, which leaves a text in its quotes.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-response-payload

    Raises:
        MalformedResponse: a status, header or body that cannot be sent.
    """
    return _response(_decoded(payload), payload)


def _decoded(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: nested thousands deep
        raise MalformedResponse(reason=f"not JSON ({error})") from error


def _response(result: Any, payload: bytes) -> Response:
    if not isinstance(result, dict) or "statusCode" not in result:
        return Response(200, (("content-type", JSON_TYPE),), payload)
    try:
        # Not strict: AWS takes a status code written as a string.
        given = {key: value for key, value in result.items() if value is not None}
        structured = msgspec.convert(given, _Structured, strict=False)
    except msgspec.ValidationError as error:
        raise MalformedResponse(reason=str(error)) from error
    headers = [(name, scalar_text(value)) for name, value in structured.headers.items()]
    headers += [("set-cookie", cookie) for cookie in structured.cookies]
    return make_response(
        structured.status_code, headers, structured.body or "", TEXT_TYPE, is_base64=structured.is_base64_encoded
    )


def _authorizer(caller: Caller) -> dict[str, Any]:
    match caller:
        case JwtCaller(claims, scopes):
            return {"jwt": {"claims": claims, "scopes": scopes}}
        case LambdaCaller(_, context):
            return {"lambda": context}
        case IamCaller(access_key, account):
            return {
                "iam": {
                    "accessKey": access_key,
                    "accountId": account,
                    "callerId": access_key,
                    "cognitoIdentity": None,
                    "principalOrgId": None,
                    "userArn": caller.arn,
                    "userId": access_key,
                }
            }
