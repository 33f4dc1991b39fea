"""Serves HTTP APIs: route, limits, authorization, integration, response.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api.html and
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-troubleshooting-lambda.html
"""

import logging
from dataclasses import dataclass

from msgspec.structs import replace

from workshape.apis.api_metrics import Measured
from workshape.apis.http_api import AWS_IAM, CUSTOM, JWT, NONE, Integration, Route
from workshape.apis.routes import DEFAULT, Match
from workshape.errors import BackendUnavailable, Denied
from workshape.gateway.access_log import Outcome
from workshape.gateway.api_means import ApiMeans, is_head_too_large, new_extended_id
from workshape.gateway.arrival import Arrival, Caller, IamCaller, JwtCaller
from workshape.gateway.authorization import V2, NotAuthorized, Why, identity_value
from workshape.gateway.bodies import MalformedResponse
from workshape.gateway.cors import preflight, with_cors
from workshape.gateway.function_calls import CallFailed, Failure, FunctionCall
from workshape.gateway.http_proxy import ProxyFailed
from workshape.gateway.http_stage import (
    HttpStage,
    authorizer_description,
    function_authorizer,
    integration_event,
    is_lambda,
    route_arn,
)
from workshape.gateway.payload import response_of
from workshape.gateway.payload_v1 import http_response
from workshape.gateway.targets import with_variables
from workshape.gateway.throttle import admit
from workshape.gateway.tokens import check_claims, check_scopes, claim_texts, invalid, read_token
from workshape.http1.message import HeaderPairs, Request, Response
from workshape.http1.origins import is_preflight

REQUEST_BYTES_MAX = 10_000_000
AUTHORIZER_S_MAX = 10.0
"""Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html"""
UNROUTED = "(no route)"
_PREFLIGHT_STATUS = 204  # AWS: undocumented; observed

_log = logging.getLogger(__name__)

_REFUSALS = {
    Why.UNAUTHENTICATED: (401, "Unauthorized"),
    Why.NOT_ALLOWED: (403, "Forbidden"),
    Why.DENIED: (403, "Forbidden"),
    Why.AUTHORIZER_FAILED: (500, "Internal Server Error"),
    Why.AUTHORIZER_UNREACHABLE: (500, "Internal Server Error"),
}
_FAILURES = {
    Failure.TOO_LARGE: (413, "Request Entity Too Large"),
    Failure.THROTTLED: (503, "Service Unavailable"),
    # AWS: the status is undocumented for HTTP APIs; observed: 503 with this message. The function runs on.
    Failure.TIMED_OUT: (503, "Service Unavailable"),
}


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and the key of the route that gave it."""

    response: Response
    route_key: str


class HttpFront:
    """Answers requests to stages of HTTP APIs."""

    def __init__(self, means: ApiMeans) -> None:
        self._means = means

    def __repr__(self) -> str:
        return f"<HttpFront {self._means.metrics}>"

    async def answer(self, stage: HttpStage, request: Request, sent: Request | None = None) -> Answered:
        """Answer one request; its target is what the API's host would get, that of `sent` what the client wrote."""
        means = self._means
        began, name = means.clock.monotonic_s(), stage.stage.stage_name
        arrival = means.arrival(request, sent, stage.api_id, name, new_extended_id(), stage.stage.stage_variables)
        match = stage.find(arrival)
        exchange = _Exchange(means, stage, arrival, match)
        response = await exchange.answer(began)
        measured = Measured(stage.api_id, name)
        if match is not None and stage.limits(match.key, began).is_measured:
            method, _, path = match.key.partition(" ")
            measured = replace(measured, method=method, resource=path or method)
        log = stage.stage.access_log_settings
        key, form = match.key if match is not None else "", log.format if log is not None else ""
        means.note(arrival, key, response, exchange.outcome, began, measured, form)
        headers = (*response.headers, ("apigw-requestid", arrival.request_id))
        return Answered(replace(response, headers=headers), match.key if match is not None else UNROUTED)


class _Exchange:
    """One request on its way."""

    def __init__(self, means: ApiMeans, stage: HttpStage, arrival: Arrival, match: Match[Route] | None) -> None:
        self._means = means
        self._stage = stage
        self._arrival = arrival
        self._match = match
        self.outcome = Outcome()

    async def answer(self, began: float) -> Response:
        """Answer it; headers for browsers go on every answer."""
        cors, request = self._stage.definition.cors, self._arrival.request
        if cors is None:
            return await self._routed(began)
        if is_preflight(request):
            # The API answers, even if nothing is routed there; but a route that catches preflights guards them too.
            refusal = await self._guard(began)
            return with_cors(cors, request, refusal) if refusal else preflight(cors, request, _PREFLIGHT_STATUS)
        return with_cors(cors, request, await self._routed(began))

    async def _guard(self, began: float) -> Response | None:
        if self._match is None or self._match.target.authorization_type == NONE:
            return None
        try:
            await self._authorize(self._match)
        except NotAuthorized as error:
            return self._refused(self._match, error)
        return None

    async def _routed(self, began: float) -> Response:
        match, arrival = self._match, self._arrival
        if is_head_too_large(arrival.request):
            return message(431, "Request Header Fields Too Large")  # AWS: undocumented; we chose the words
        if len(arrival.request.body) > REQUEST_BYTES_MAX:
            return message(413, "Request Entity Too Large")
        if match is None:
            return message(404, "Not Found")
        # AWS: undocumented whether limits come before authorization; we chose that they protect authorizers too.
        bucket = self._stage.limits(match.key, began).bucket
        buckets = (self._means.account_bucket,) if bucket is None else (bucket, self._means.account_bucket)
        if not admit(buckets, began):
            return message(429, "Too Many Requests")
        try:
            caller = self.outcome.caller = await self._authorize(match)
        except NotAuthorized as error:
            return self._refused(match, error)
        integration = self._stage.integration(match.target)
        if integration is None:
            # AWS: undocumented; a route without an integration is not one that can be used.
            return message(404, "Not Found")
        started = self._means.clock.monotonic_s()
        try:
            if is_lambda(integration):
                return await self._invoke(integration, match, caller)
            return await self._forward(integration, match)
        finally:
            self.outcome.integration_s = self._means.clock.monotonic_s() - started

    # who may

    async def _authorize(self, match: Match[Route]) -> Caller | None:
        route = match.target
        match route.authorization_type:
            case "NONE":
                return None
            case "JWT":
                return await self._check_token(route)
            case "CUSTOM":
                return await self._ask_authorizer(match)
            case "AWS_IAM":
                return self._check_signature()
            case other:
                raise AssertionError(f"no such authorization: {other}; there are {JWT}, {CUSTOM}, {AWS_IAM}, {NONE}")

    async def _check_token(self, route: Route) -> JwtCaller:
        authorizer = self._stage.definition.authorizers[route.authorizer_id or ""]
        configuration = authorizer.jwt_configuration
        assert configuration is not None, "checked when it was made"
        found = (identity_value(source, self._arrival, route.route_key) for source in authorizer.identity_source)
        value = next(filter(None, found), "")
        if not value:
            raise NotAuthorized(Why.UNAUTHENTICATED, "the request has no token", "Bearer")
        token = read_token(value)
        check_claims(token.claims, configuration.issuer, configuration.audience, self._arrival.now)
        try:
            await self._means.token_keys.check_signature(token, configuration.issuer)
        except BackendUnavailable as error:
            _log.warning("issuer_unavailable", extra={"api": self._stage.api_id, "reason": str(error)})
            raise invalid("OIDC discovery endpoint communication error") from error
        check_scopes(token.claims, route.authorization_scopes)
        return JwtCaller(claim_texts(token.claims), route.authorization_scopes or None)

    async def _ask_authorizer(self, match: Match[Route]) -> Caller:
        authorizer = function_authorizer(self._stage.definition.authorizers[match.target.authorizer_id or ""])
        arn = route_arn(self._arrival, match, self._means.region, self._arrival.routed_path)
        description = authorizer_description(authorizer.form, self._arrival, match)
        answer = await self._means.authorizers.ask(
            authorizer, self._arrival, match.key, description, arn, AUTHORIZER_S_MAX
        )
        return answer.caller(arn)

    def _check_signature(self) -> IamCaller:
        try:
            return IamCaller(self._means.authenticate(self._arrival.sent or self._arrival.request), self._means.account)
        except Denied as error:
            raise NotAuthorized(Why.NOT_ALLOWED, str(error)) from error

    def _refused(self, match: Match[Route], error: NotAuthorized) -> Response:
        self.outcome.refusal = str(error)
        status, text = _REFUSALS[error.why]
        event = "http_authorizer_failed" if status >= 500 else "http_not_authorized"
        level = logging.WARNING if status >= 500 else logging.DEBUG
        _log.log(level, event, extra={"api": self._stage.api_id, "route": match.key, "reason": str(error)})
        return message(status, text, (("www-authenticate", error.challenge),) if error.challenge else ())

    # what is behind it

    async def _invoke(self, integration: Integration, match: Match[Route], caller: Caller | None) -> Response:
        arrival = self._arrival
        path = DEFAULT if match.key == DEFAULT else match.key.partition(" ")[2]
        call = FunctionCall(
            integration.integration_uri,
            arrival.variables,
            route_arn(arrival, match, self._means.region, path),
            integration.timeout_in_millis / 1_000,
            arrival.trace_id,
            has_role=integration.credentials_arn is not None,
        )
        event = integration_event(integration, arrival, match, caller)
        read = response_of if integration.payload_format_version == V2 else http_response
        try:
            return read(await self._means.calls.call(call, event))
        except CallFailed as error:
            if error.failure is Failure.FUNCTION_ERROR:
                self.outcome.failure = str(error)
            else:
                self._failed(match, str(error))
            return message(*_FAILURES.get(error.failure, (500, "Internal Server Error")))
        except MalformedResponse as error:
            self._failed(match, str(error))
            return message(500, "Internal Server Error")

    async def _forward(self, integration: Integration, match: Match[Route]) -> Response:
        arrival = self._arrival
        uri = with_variables(integration.integration_uri, arrival.variables)
        if match.key == DEFAULT:
            uri = uri.rstrip("/") + arrival.routed_path
        method = integration.integration_method or "ANY"
        method = arrival.request.method if method == "ANY" else method
        try:
            return await self._means.proxy.send(
                arrival, uri, method, match.parameters, integration.timeout_in_millis / 1_000
            )
        except ProxyFailed as error:
            self._failed(match, str(error))
            return message(503, "Service Unavailable")

    def _failed(self, match: Match[Route], reason: str) -> None:
        self.outcome.failure = reason
        _log.warning("http_integration_failed", extra={"api": self._stage.api_id, "route": match.key, "reason": reason})


def message(status: int, text: str, headers: HeaderPairs = ()) -> Response:
    """Write an answer of the API itself."""
    return Response(status, (("content-type", "application/json"), *headers), f'{{"message":"{text}"}}'.encode())
