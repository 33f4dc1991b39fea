"""What a Lambda authorizer is asked, and what its answer means. A core.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec

from workshape.errors import CallerError, PlatformError
from workshape.gateway.arrival import Arrival, LambdaCaller, query_pairs
from workshape.gateway.execution_arn import Decision, MalformedPolicy, decide

TOKEN, V1, V2 = "TOKEN", "1.0", "2.0"
REST_PREFIX = "method.request."
"""REST APIs write `method.request.header.X`, HTTP APIs `$request.header.X`; both write `context.X`."""


class Why(Enum):
    """Why a request does not reach its integration."""

    UNAUTHENTICATED = "unauthenticated"
    """Nobody could tell who it is."""
    NOT_ALLOWED = "not allowed"
    DENIED = "denied"
    AUTHORIZER_FAILED = "authorizer failed"
    AUTHORIZER_UNREACHABLE = "authorizer unreachable"


class NotAuthorized(CallerError):
    """the request is not authorized: {reason}"""

    def __init__(self, why: Why, reason: str, challenge: str = "") -> None:
        """`challenge` is the WWW-Authenticate header that goes with it."""
        super().__init__(reason=reason)
        self.why = why
        self.challenge = challenge


class MalformedAnswer(PlatformError):
    """the authorizer's answer is not one: {reason}"""


@dataclass(frozen=True, slots=True)
class FunctionAuthorizer:
    """A Lambda authorizer of either kind of API."""

    id: str
    uri: str
    form: str
    """What it is asked in, and answers in: `TOKEN`, or the payload format `1.0` or `2.0`."""
    identity_sources: tuple[str, ...] = ()
    ttl_s: int = 0
    is_simple: bool = False
    """It answers yes or no, not with a policy."""
    has_role: bool = False
    """It is invoked with credentials of its own, so that the function's policy is not asked."""
    token_pattern: str | None = None
    is_rest: bool = False
    """A REST API's: it says `Unauthorized` where it does not know the client, and its context has scalars alone."""


@dataclass(frozen=True, slots=True)
class AuthorizerAnswer:
    """What it answered, good for every request with the same identity until it expires."""

    principal: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)
    is_authorized: bool | None = None
    """None: the policy says."""
    policy: Any = None
    usage_key: str | None = None

    def caller(self, arn: str) -> LambdaCaller:
        """Let a request in.

        Raises:
            NotAuthorized: or not.
        """
        if self.is_authorized is None:
            try:
                decision = decide(self.policy, arn)
            except MalformedPolicy as error:
                raise NotAuthorized(Why.AUTHORIZER_FAILED, str(error)) from error
        else:
            decision = Decision.ALLOWED if self.is_authorized else Decision.NOT_ALLOWED
        match decision:
            case Decision.ALLOWED:
                return LambdaCaller(self.principal, self.context)
            case Decision.DENIED:
                raise NotAuthorized(Why.DENIED, f"the authorizer's policy denies {arn}")
            case Decision.NOT_ALLOWED:
                raise NotAuthorized(Why.NOT_ALLOWED, f"the authorizer does not allow {arn}")


def identity_of(authorizer: FunctionAuthorizer, arrival: Arrival, route_key: str) -> tuple[str, ...]:
    """Gather what the authorizer is to know a client by.

    Raises:
        NotAuthorized: the client does not say it, or not in the form that is demanded.
    """
    values = []
    for source in authorizer.identity_sources:
        value = identity_value(source, arrival, route_key)
        if not value:
            raise NotAuthorized(Why.UNAUTHENTICATED, f"the request has no {source}")
        values.append(value)
    pattern = authorizer.token_pattern
    if pattern and authorizer.form == TOKEN and not re.fullmatch(pattern, values[0]):
        raise NotAuthorized(Why.UNAUTHENTICATED, "the token does not match identityValidationExpression")
    return tuple(values)


def identity_value(source: str, arrival: Arrival, route_key: str) -> str:
    """Find one identity source in a request; empty: it is not there."""
    place, _, name = source.removeprefix("$").removeprefix(REST_PREFIX).removeprefix("request.").partition(".")
    match place:
        case "header":
            return arrival.request.header(name.lower())
        case "querystring":
            return next((value for key, value in query_pairs(arrival.request.query) if key == name), "")
        case "stageVariables":
            return (arrival.variables or {}).get(name, "")
        case "context":
            return context_variables(arrival, route_key).get(name, "")
        case _:
            return ""


def context_variables(arrival: Arrival, route_key: str) -> dict[str, str]:
    """What `$context` holds of a request that has not reached its integration.

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
    """
    request = arrival.request
    return {
        "accountId": arrival.account,
        "apiId": arrival.api_id,
        "domainName": arrival.host,
        "domainPrefix": arrival.host.partition(".")[0],
        "extendedRequestId": arrival.request_id,
        "httpMethod": request.method,
        "identity.sourceIp": request.peer,
        "identity.userAgent": request.header("user-agent"),
        "path": request.path,
        "protocol": "HTTP/1.1",
        "requestId": arrival.request_id,
        "requestTime": arrival.time(),
        "requestTimeEpoch": str(arrival.epoch_ms()),
        "resourcePath": route_key.partition(" ")[2] or route_key,
        "routeKey": route_key,
        "stage": arrival.stage,
    }


def read_answer(payload: bytes, *, is_simple: bool, is_rest: bool = False) -> AuthorizerAnswer:
    """Read what an authorizer returned.

    Raises:
        MalformedAnswer: it is neither a yes or no nor a principal with a policy, or has a context that cannot be.
    """
    try:
        answer = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedAnswer(reason=str(error)) from error
    if not isinstance(answer, dict):
        raise MalformedAnswer(reason="it is no JSON object")
    context = answer.get("context") or {}
    if not isinstance(context, dict):
        raise MalformedAnswer(reason="its context is no JSON object")
    if is_rest and any(isinstance(value, dict | list) for value in context.values()):
        raise MalformedAnswer(reason="its context has objects or arrays, which a REST API does not take")
    principal, usage_key = str(answer.get("principalId") or ""), answer.get("usageIdentifierKey")
    if is_simple:
        if not isinstance(answer.get("isAuthorized"), bool):
            raise MalformedAnswer(reason="isAuthorized is neither true nor false")
        return AuthorizerAnswer(principal, context, answer["isAuthorized"])
    policy = answer.get("policyDocument")
    if not principal or not isinstance(policy, dict):
        raise MalformedAnswer(reason="it has no principalId, or no policyDocument")
    return AuthorizerAnswer(principal, context, None, policy, usage_key if isinstance(usage_key, str) else None)


def token_event(token: str, arn: str) -> dict[str, Any]:
    """Ask a TOKEN authorizer.

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html
    """
    return {"type": TOKEN, "authorizationToken": token, "methodArn": arn}


def request_event(description: dict[str, Any], identity: tuple[str, ...], arn: str, form: str) -> dict[str, Any]:
    """Ask a REQUEST authorizer; `description` is of the request, in the same format."""
    if form == V2:
        return {**description, "type": "REQUEST", "routeArn": arn, "identitySource": list(identity) or None}
    text = ",".join(identity)
    more = {"identitySource": text, "authorizationToken": text} if "version" in description else {}
    return {**description, "type": "REQUEST", "methodArn": arn, **more}
