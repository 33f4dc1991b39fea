"""What a REST API itself answers when something goes wrong, as its owner has it or as it is by default. A core.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gatewayResponse-definition.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from workshape.apis.rest_api import GatewayResponse
from workshape.gateway.bodies import latin1
from workshape.http1.message import HeaderPairs, Request, Response

JSON_TYPE = "application/json"
HEADER_PREFIX = "gatewayresponse.header."
_NAME = r"context\.(\w+(?:\.\w+)*)"
_CONTEXT = re.compile(rf"\$(?:\{{{_NAME}\}}|{_NAME})")


class Kind(StrEnum):
    """Response types that happen here."""

    ACCESS_DENIED = "ACCESS_DENIED"
    API_CONFIGURATION_ERROR = "API_CONFIGURATION_ERROR"
    AUTHORIZER_CONFIGURATION_ERROR = "AUTHORIZER_CONFIGURATION_ERROR"
    AUTHORIZER_FAILURE = "AUTHORIZER_FAILURE"
    INTEGRATION_FAILURE = "INTEGRATION_FAILURE"
    INTEGRATION_TIMEOUT = "INTEGRATION_TIMEOUT"
    INVALID_API_KEY = "INVALID_API_KEY"
    INVALID_SIGNATURE = "INVALID_SIGNATURE"
    MISSING_AUTHENTICATION_TOKEN = "MISSING_AUTHENTICATION_TOKEN"  # noqa: S105 - no token
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    REQUEST_TOO_LARGE = "REQUEST_TOO_LARGE"
    THROTTLED = "THROTTLED"
    UNAUTHORIZED = "UNAUTHORIZED"
    DEFAULT_4XX = "DEFAULT_4XX"
    DEFAULT_5XX = "DEFAULT_5XX"


_DEFAULTS: Mapping[Kind, tuple[int, str | None, str]] = {
    Kind.ACCESS_DENIED: (403, "User is not authorized to access this resource", "AccessDeniedException"),
    Kind.API_CONFIGURATION_ERROR: (500, "Internal server error", "InternalServerErrorException"),
    Kind.AUTHORIZER_CONFIGURATION_ERROR: (500, None, "AuthorizerConfigurationException"),
    Kind.AUTHORIZER_FAILURE: (500, None, "AuthorizerConfigurationException"),
    Kind.INTEGRATION_FAILURE: (504, "Network error communicating with endpoint", "InternalServerErrorException"),
    Kind.INTEGRATION_TIMEOUT: (504, "Endpoint request timed out", "InternalServerErrorException"),
    Kind.INVALID_API_KEY: (403, "Forbidden", "ForbiddenException"),
    Kind.INVALID_SIGNATURE: (403, "The request signature does not hold", "InvalidSignatureException"),
    Kind.MISSING_AUTHENTICATION_TOKEN: (403, "Missing Authentication Token", "MissingAuthenticationTokenException"),
    Kind.QUOTA_EXCEEDED: (429, "Limit Exceeded", "LimitExceededException"),
    Kind.REQUEST_TOO_LARGE: (413, "Request Too Long", "RequestTooLargeException"),
    Kind.THROTTLED: (429, "Too Many Requests", "TooManyRequestsException"),
    Kind.UNAUTHORIZED: (401, "Unauthorized", "UnauthorizedException"),
    Kind.DEFAULT_4XX: (403, "Forbidden", "ForbiddenException"),
    Kind.DEFAULT_5XX: (502, "Internal server error", "InternalServerErrorException"),
}
"""The status, the message and the exception of each.

AWS: the messages and the exceptions' names are not listed; they are those of its examples, or observed.
"""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong with a request."""

    kind: Kind
    message: str | None = None
    """In the place of the kind's own."""
    status: int | None = None


def answer(
    trouble: Trouble, defined: Mapping[str, GatewayResponse], request: Request, context: Mapping[str, str]
) -> Response:
    """Write the answer to a failure; `context` is what `$context` holds."""
    kind = trouble.kind
    status, text, exception = _DEFAULTS[kind]
    message = trouble.message if trouble.message is not None else text
    fallback = defined.get("DEFAULT_4XX" if status < 500 else "DEFAULT_5XX", GatewayResponse(""))
    own = defined.get(kind.value, fallback)
    code = own.status_code or fallback.status_code
    variables = {
        **context,
        "error.message": message or "",
        "error.messageString": msgspec.json.encode(message).decode(),
        "error.responseType": kind.value,
    }
    parameters = own.response_parameters or fallback.response_parameters
    headers: list[tuple[str, str]] = [("x-amzn-errortype", exception)]
    for name, value in parameters.items():
        if name.startswith(HEADER_PREFIX):
            headers.append((name.removeprefix(HEADER_PREFIX).lower(), latin1(_value(value, request, variables))))
    templates = own.response_templates or fallback.response_templates
    content_type, template = _template(templates, request)
    body = _CONTEXT.sub(lambda found: variables.get(found[1] or found[2], ""), template)
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", content_type))
    return Response(int(code or trouble.status or status), _once(headers), body.encode())


def _template(templates: Mapping[str, str], request: Request) -> tuple[str, str]:
    accepted = request.header("accept").partition(",")[0].partition(";")[0].strip()
    if accepted in templates:
        return accepted, templates[accepted]
    if JSON_TYPE in templates or not templates:
        return JSON_TYPE, templates.get(JSON_TYPE, '{"message":$context.error.messageString}')
    return next(iter(templates.items()))


def _value(text: str, request: Request, variables: Mapping[str, str]) -> str:
    """A static text in apostrophes, a header of the request, or something of its context."""
    if text.startswith("'"):
        return text.strip("'").replace("\r", "").replace("\n", "")
    if text.startswith("method.request.header."):
        return request.header(text.removeprefix("method.request.header.").lower())
    return variables.get(text.removeprefix("context."), "")


def _once(headers: list[tuple[str, str]]) -> HeaderPairs:
    return tuple({name: (name, value) for name, value in headers}.values())
