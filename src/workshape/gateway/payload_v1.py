"""Events and responses of format 1.0, which HTTP APIs may use and REST APIs know alone. A core.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from workshape.gateway.arrival import Arrival, Caller, IamCaller, JwtCaller, LambdaCaller, grouped, query_pairs
from workshape.gateway.bodies import (
    MalformedResponse,
    body_by_media_types,
    body_by_type,
    is_among,
    make_response,
    scalar_text,
)
from workshape.gateway.payload import JSON_TYPE, TEXT_TYPE
from workshape.gateway.rest_headers import for_client, for_function
from workshape.http1.hop_by_hop import end_to_end
from workshape.http1.message import HeaderPairs, Response

_NAMES_MAX = 1_024  # of headers that clients send; they send the same over and over
Values = dict[str, str | int | float | bool]


class _Structured(msgspec.Struct, rename="camel"):
    status_code: int
    headers: Values = {}
    multi_value_headers: dict[str, list[str | int | float | bool]] = {}
    body: str | None = None
    is_base64_encoded: bool = False


def http_event(
    arrival: Arrival, route_key: str, parameters: Mapping[str, str], caller: Caller | None = None
) -> dict[str, Any]:
    """Describe a request to the function behind a route of an HTTP API."""
    event = http_description(arrival, route_key, parameters)
    context = event["requestContext"]
    context["authorizer"] = {"claims": None, "scopes": None} if caller is None else _authorizer(caller)
    context["identity"].update(_identity(caller))
    event["body"], event["isBase64Encoded"] = body_by_type(arrival.request) if arrival.request.body else (None, False)
    return event


def http_description(arrival: Arrival, route_key: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Describe a request to an HTTP API without its body and who made it."""
    resource = route_key.partition(" ")[2] or route_key
    path = arrival.request.path
    event = {"version": "1.0", **_description(arrival, end_to_end(arrival.headers()), resource, path, parameters)}
    context = event["requestContext"]
    context.update(extendedRequestId=arrival.request_id, resourceId=None)
    context["identity"]["principalOrgId"] = None
    return event


def rest_event(
    arrival: Arrival,
    resource: str,
    resource_id: str,
    parameters: Mapping[str, str],
    *,
    binary_media_types: tuple[str, ...],
    caller: Caller | None = None,
    api_key: str | None = None,
) -> dict[str, Any]:
    """Describe a request to the function behind a method of a REST API."""
    headers = for_function(arrival.headers(), is_signed=isinstance(caller, IamCaller))
    event = _rest_description(arrival, headers, resource, resource_id, parameters)
    context = event["requestContext"]
    if isinstance(caller, LambdaCaller):
        # Values are made text, as documented:
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html
        # AWS: undocumented for null; we chose to leave it out.
        texts = {name: scalar_text(value) for name, value in caller.context.items() if value is not None}
        context["authorizer"] = {**texts, "principalId": caller.principal}
    context["identity"].update({**_identity(caller), "apiKey": api_key})
    if arrival.request.body:
        event["body"], event["isBase64Encoded"] = body_by_media_types(arrival.request, binary_media_types)
    else:
        event["body"], event["isBase64Encoded"] = None, False
    return event


def rest_description(
    arrival: Arrival, resource: str, resource_id: str, parameters: Mapping[str, str]
) -> dict[str, Any]:
    """Describe a request to a REST API without its body and who made it."""
    return _rest_description(arrival, arrival.headers(), resource, resource_id, parameters)


def _rest_description(
    arrival: Arrival, headers: HeaderPairs, resource: str, resource_id: str, parameters: Mapping[str, str]
) -> dict[str, Any]:
    """Header names are written as HTTP/1.1 clients write them (`Content-Type`): this server knows them in small letters
    only, and functions behind REST APIs look for them so. The path is told as it came, where an HTTP API's is
    percent-decoded. AWS: undocumented; observed, see https://github.com/middleapi/standard-server/pull/93.
    """
    titled = tuple((_title(name), value) for name, value in headers)
    event = _description(arrival, titled, resource, arrival.routed_path, parameters)
    event["requestContext"].update(
        resourceId=resource_id, extendedRequestId=arrival.request_id, path=arrival.request.raw_path
    )
    return event


def http_response(payload: bytes) -> Response:
    """Turn what a function of an HTTP API returned into what the client gets.

    Raises:
        MalformedResponse: it is no response of format 1.0.
    """
    structured = _read(payload)
    return make_response(
        structured.status_code,
        _headers(structured),
        structured.body or "",
        TEXT_TYPE,
        is_base64=structured.is_base64_encoded,
    )


def rest_response(payload: bytes, accept: str, binary_media_types: tuple[str, ...]) -> Response:
    """Turn what a function of a REST API returned into what the client gets.

    A base64 body becomes binary where the first media type that the client accepts is among the API's binary ones.

    Raises:
        MalformedResponse: it is no response.
    """
    structured = _read(payload)
    is_binary = structured.is_base64_encoded and is_among(accept or JSON_TYPE, binary_media_types)
    headers = list(for_client(_headers(structured)))
    return make_response(structured.status_code, headers, structured.body or "", JSON_TYPE, is_base64=is_binary)


def _description(
    arrival: Arrival,
    headers: tuple[tuple[str, str], ...],
    resource: str,
    path: str,
    parameters: Mapping[str, str],
) -> dict[str, Any]:
    request, host = arrival.request, arrival.host
    by_header, by_query = grouped(headers), grouped(query_pairs(request.query))
    return {
        "resource": resource,
        "path": path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in by_header.items()} or None,
        "multiValueHeaders": by_header or None,
        "queryStringParameters": {name: values[-1] for name, values in by_query.items()} or None,
        "multiValueQueryStringParameters": by_query or None,
        "requestContext": {
            "accountId": arrival.account,
            "apiId": arrival.api_id,
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "httpMethod": request.method,
            "identity": {
                "accessKey": None,
                "accountId": None,
                "caller": None,
                "cognitoAuthenticationProvider": None,
                "cognitoAuthenticationType": None,
                "cognitoIdentityId": None,
                "cognitoIdentityPoolId": None,
                "sourceIp": request.peer,
                "user": None,
                "userAgent": request.header("user-agent") or None,
                "userArn": None,
            },
            "path": request.path,
            "protocol": "HTTP/1.1",
            "requestId": arrival.request_id,
            "requestTime": arrival.time(),
            "requestTimeEpoch": arrival.epoch_ms(),
            "resourcePath": resource,
            "stage": arrival.stage,
        },
        "pathParameters": dict(parameters) or None,
        "stageVariables": dict(arrival.variables) if arrival.variables else None,
    }


@lru_cache(maxsize=_NAMES_MAX)
def _title(name: str) -> str:
    return name.title()


def _authorizer(caller: Caller) -> dict[str, Any]:
    match caller:
        case JwtCaller(claims, scopes):
            return {"claims": claims, "scopes": scopes}
        case LambdaCaller(principal, context):
            return {**context, "principalId": principal}
        case IamCaller():
            return {"claims": None, "scopes": None}


def _identity(caller: Caller | None) -> dict[str, str]:
    if not isinstance(caller, IamCaller):
        return {}
    key = caller.access_key
    return {"accessKey": key, "accountId": caller.account, "caller": key, "user": key, "userArn": caller.arn}


def _read(payload: bytes) -> _Structured:
    try:
        result = msgspec.json.decode(payload)
        given = {key: value for key, value in result.items() if value is not None}
        return msgspec.convert(given, _Structured, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedResponse(reason=f"no response of format 1.0 ({error})") from error
    except AttributeError as error:
        raise MalformedResponse(reason="not a JSON object with statusCode, headers and body") from error


def _headers(structured: _Structured) -> list[tuple[str, str]]:
    """Merge both kinds; a pair that is in both is there once."""
    several = [
        (name.lower(), scalar_text(value))
        for name, values in structured.multi_value_headers.items()
        for value in values
    ]
    single = [(name.lower(), scalar_text(value)) for name, value in structured.headers.items()]
    return [*(pair for pair in single if pair not in several), *several]
