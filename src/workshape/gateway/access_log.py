"""The line that a stage writes of each request, by its own format. A core.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from workshape.gateway.arrival import Arrival, Caller, IamCaller, JwtCaller, LambdaCaller
from workshape.gateway.authorization import context_variables
from workshape.gateway.bodies import scalar_text
from workshape.http1.message import Response

ABSENT = "-"
_VARIABLE = re.compile(r"\$context\.(\w+(?:[.:]\w+)*)")
_SUCCEEDED = "200"  # what Lambda's Invoke answers, whatever the function says


@dataclass(slots=True)
class Outcome:
    """What became of a request on its way, beside its response."""

    caller: Caller | None = None
    integration_s: float | None = None
    """None: it came to no integration."""
    failure: str = ""
    """Why the integration gave nothing of use."""
    refusal: str = ""
    """Why the authorizer did not let it in."""
    response_type: str = ""
    """The gateway response of a REST API that was the answer."""


def access_line(
    form: str, arrival: Arrival, route_key: str, response: Response, outcome: Outcome, latency_s: float
) -> str:
    """Write it; what is not known is a hyphen, and a line break in a value is a space."""
    variables = {**context_variables(arrival, route_key), **dict(_told(response, outcome, latency_s))}
    return _VARIABLE.sub(lambda found: " ".join((variables.get(found[1]) or ABSENT).splitlines()), form)


def _told(response: Response, outcome: Outcome, latency_s: float) -> Iterator[tuple[str, str]]:
    yield "status", str(response.status)
    yield "responseLength", str(len(response.body)) if isinstance(response.body, bytes) else ""
    yield "responseLatency", str(round(latency_s * 1_000))
    yield "error.message", outcome.refusal or outcome.failure
    yield "error.messageString", msgspec.json.encode(outcome.refusal or outcome.failure).decode()
    yield "error.responseType", outcome.response_type
    yield "authorizer.error", outcome.refusal
    for name in ("integrationErrorMessage", "integration.error"):
        yield name, outcome.failure
    if outcome.integration_s is not None:
        latency = str(round(outcome.integration_s * 1_000))
        for name in ("integrationLatency", "integration.latency"):
            yield name, latency
        status = "" if outcome.failure else _SUCCEEDED
        for name in ("integrationStatus", "integration.integrationStatus", "integration.status"):
            yield name, status
    yield from _of_caller(outcome.caller)


def _of_caller(caller: Caller | None) -> Iterator[tuple[str, str]]:
    match caller:
        case JwtCaller(claims, _):
            for name, text in claims.items():
                yield f"authorizer.claims.{name}", text
        case LambdaCaller(principal, context):
            yield "authorizer.principalId", principal
            for name, value in context.items():
                if isinstance(value, str | int | float | bool):
                    yield f"authorizer.{name}", scalar_text(value)
        case IamCaller(access_key, account):
            yield "identity.accessKey", access_key
            yield "identity.accountId", account
            for name in ("identity.caller", "identity.user"):
                yield name, access_key
            yield "identity.userArn", caller.arn
        case None:
            pass
