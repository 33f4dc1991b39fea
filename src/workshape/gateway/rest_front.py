"""Serves REST APIs: resource and method, limits, authorization, API key, integration, response.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import logging

from msgspec.structs import replace

from workshape.apis.api_metrics import Measured
from workshape.apis.rest_api import AWS_IAM, CUSTOM, HTTP_PROXY, MOCK, Integration
from workshape.apis.usage_plans import UsagePlans
from workshape.errors import Denied, PlatformError
from workshape.gateway.access_log import Outcome
from workshape.gateway.api_means import ApiMeans, is_head_too_large, new_extended_id
from workshape.gateway.arrival import Arrival, Caller, IamCaller
from workshape.gateway.authorization import NotAuthorized, Why, context_variables
from workshape.gateway.bodies import MalformedResponse
from workshape.gateway.execution_arn import execution_arn
from workshape.gateway.function_calls import CallFailed, Failure, FunctionCall
from workshape.gateway.gateway_responses import Kind, Trouble, answer
from workshape.gateway.http_proxy import ProxyFailed, ProxyTimedOut
from workshape.gateway.metering import Metering
from workshape.gateway.mock import mock_response
from workshape.gateway.payload_v1 import rest_description, rest_event, rest_response
from workshape.gateway.rest_headers import for_client
from workshape.gateway.rest_stage import Found, RestStage, function_authorizer
from workshape.gateway.targets import with_variables
from workshape.gateway.throttle import admit
from workshape.http1.message import Request, Response
from workshape.identifiers import new_request_id

REQUEST_BYTES_MAX = 10_485_760
TIMEOUT_S_MAX = 29.0
"""Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html"""
AUTHORIZED_ARN_BYTES_MAX = 1_600
"""Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html"""
API_KEY_HEADER = "x-api-key"

_log = logging.getLogger(__name__)

_REFUSALS = {
    Why.UNAUTHENTICATED: Trouble(Kind.UNAUTHORIZED),
    Why.NOT_ALLOWED: Trouble(Kind.ACCESS_DENIED),
    # https://repost.aws/knowledge-center/api-gateway-403-error-lambda-authorizer
    Why.DENIED: Trouble(Kind.ACCESS_DENIED, "User is not authorized to access this resource with an explicit deny"),
    Why.AUTHORIZER_FAILED: Trouble(Kind.AUTHORIZER_FAILURE),
    Why.AUTHORIZER_UNREACHABLE: Trouble(Kind.AUTHORIZER_CONFIGURATION_ERROR),
}
# AWS: which failures of a function are 500 and which 502 is undocumented but for malformed responses and errors (502).
_FAILURES = {
    Failure.TIMED_OUT: Trouble(Kind.INTEGRATION_TIMEOUT),
    Failure.TOO_LARGE: Trouble(Kind.REQUEST_TOO_LARGE),
    Failure.FUNCTION_ERROR: Trouble(Kind.DEFAULT_5XX),
    Failure.NOT_PERMITTED: Trouble(Kind.API_CONFIGURATION_ERROR),
    Failure.NO_FUNCTION: Trouble(Kind.API_CONFIGURATION_ERROR),
    Failure.THROTTLED: Trouble(Kind.API_CONFIGURATION_ERROR),
    Failure.UNAVAILABLE: Trouble(Kind.API_CONFIGURATION_ERROR),
}


class _Stopped(PlatformError):
    """the request ends here: {reason}"""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(reason=trouble.kind.value)
        self.trouble = trouble


class RestFront:
    """Answers requests to stages of REST APIs."""

    def __init__(self, means: ApiMeans, plans: UsagePlans, metering: Metering) -> None:
        self._means = means
        self._plans = plans
        self._metering = metering

    def __repr__(self) -> str:
        return f"<RestFront {self._metering}>"

    async def answer(self, stage: RestStage, request: Request, sent: Request | None = None) -> Response:
        """Answer one request; its target is what the API's host would get, that of `sent` what the client wrote."""
        means = self._means
        began, name = means.clock.monotonic_s(), stage.stage.stage_name
        arrival = means.arrival(request, sent, stage.api_id, name, new_request_id(), stage.stage.variables)
        found = stage.find(arrival)
        exchange = _Exchange(means, self._plans, self._metering, stage, arrival)
        try:
            response = await exchange.run(found, began)
        except _Stopped as stopped:
            exchange.outcome.response_type = stopped.trouble.kind.value
            context = context_variables(arrival, found.key if found is not None else "")
            response = answer(stopped.trouble, stage.definition.gateway_responses, request, context)
        measured = Measured(stage.api_name, name, is_rest=True)
        if found is not None and stage.limits(found, began).is_measured:
            measured = replace(measured, method=found.method.http_method, resource=found.resource.path)
        log = stage.stage.access_log_settings
        key, form = found.key if found is not None else "", log.format if log is not None else ""
        means.note(arrival, key, response, exchange.outcome, began, measured, form)
        ids = (
            ("x-amzn-requestid", arrival.request_id),
            ("x-amz-apigw-id", new_extended_id()),
            ("x-amzn-trace-id", arrival.trace_id.partition(";")[0]),
        )
        return replace(response, headers=(*response.headers, *ids))


class _Exchange:
    """One request on its way."""

    def __init__(
        self, means: ApiMeans, plans: UsagePlans, metering: Metering, stage: RestStage, arrival: Arrival
    ) -> None:
        self._means = means
        self._plans = plans
        self._metering = metering
        self._stage = stage
        self._arrival = arrival
        self._usage_key: str | None = None
        self.outcome = Outcome()

    async def run(self, found: Found | None, began: float) -> Response:
        """Answer it.

        Raises:
            _Stopped: the API itself has to.
        """
        request = self._arrival.request
        if found is None:
            raise _Stopped(Trouble(Kind.MISSING_AUTHENTICATION_TOKEN))
        if is_head_too_large(request):
            raise _Stopped(Trouble(Kind.REQUEST_TOO_LARGE, "Request Header Fields Too Large", 431))
        if len(request.body) > REQUEST_BYTES_MAX:
            text = f"HTTP content length exceeded {REQUEST_BYTES_MAX} bytes."
            raise _Stopped(Trouble(Kind.REQUEST_TOO_LARGE, text))
        bucket = self._stage.limits(found, began).bucket
        buckets = (self._means.account_bucket,) if bucket is None else (bucket, self._means.account_bucket)
        if not admit(buckets, began):
            raise _Stopped(Trouble(Kind.THROTTLED))
        caller = self.outcome.caller = await self._authorize(found)
        api_key = self._check_key(began) if found.method.api_key_required else None
        integration = found.method.method_integration
        assert integration is not None, "checked when it was deployed"
        started = self._means.clock.monotonic_s()
        try:
            return await self._integrate(integration, found, caller, api_key)
        finally:
            self.outcome.integration_s = self._means.clock.monotonic_s() - started

    # who may

    async def _authorize(self, found: Found) -> Caller | None:
        if found.method.authorization_type == AWS_IAM:
            try:
                return IamCaller(
                    self._means.authenticate(self._arrival.sent or self._arrival.request), self._means.account
                )
            except Denied as error:
                has_signature = bool(self._arrival.request.header("authorization"))
                kind = Kind.INVALID_SIGNATURE if has_signature else Kind.MISSING_AUTHENTICATION_TOKEN
                raise _Stopped(Trouble(kind, str(error) if has_signature else None)) from error
        if found.method.authorization_type != CUSTOM:
            return None
        authorizer = function_authorizer(self._stage.definition.authorizers[found.method.authorizer_id or ""])
        arn = self._arn(found, self._arrival.routed_path)
        if len(arn) > AUTHORIZED_ARN_BYTES_MAX:
            raise _Stopped(Trouble(Kind.DEFAULT_4XX, "Request URI too long", 414))
        description = rest_description(self._arrival, found.resource.path, found.resource.id, found.parameters)
        try:
            answered = await self._means.authorizers.ask(
                authorizer, self._arrival, found.key, description, arn, TIMEOUT_S_MAX
            )
            self._usage_key = answered.usage_key
            return answered.caller(arn)
        except NotAuthorized as error:
            self.outcome.refusal = str(error)
            if error.why in (Why.AUTHORIZER_FAILED, Why.AUTHORIZER_UNREACHABLE):
                fields = {"api": self._stage.api_id, "method": found.key, "reason": str(error)}
                _log.warning("rest_authorizer_failed", extra=fields)
            raise _Stopped(_REFUSALS[error.why]) from error

    def _check_key(self, began: float) -> str:
        """Find the key that the client, or the authorizer for it, has given, and count its use."""
        from_authorizer = self._stage.definition.api_key_source == "AUTHORIZER"
        value = self._usage_key if from_authorizer else self._arrival.request.header(API_KEY_HEADER)
        key = self._plans.key_by_value(value) if value else None
        plan = self._plans.plan_of(key, self._stage.api_id, self._arrival.stage) if key is not None else None
        trouble = self._metering.check(key, plan, began, self._arrival.now)
        if trouble is not None:
            raise _Stopped(trouble)
        return value or ""

    # what is behind it

    async def _integrate(
        self, integration: Integration, found: Found, caller: Caller | None, api_key: str | None
    ) -> Response:
        if integration.type == MOCK:
            response = mock_response(integration)
            if response is None:
                raise _Stopped(Trouble(Kind.API_CONFIGURATION_ERROR))
            return response
        if integration.type == HTTP_PROXY:
            return await self._forward(integration, found)
        arrival, definition = self._arrival, self._stage.definition
        event = rest_event(
            arrival,
            found.resource.path,
            found.resource.id,
            found.parameters,
            binary_media_types=definition.binary_media_types,
            caller=caller,
            api_key=api_key,
        )
        call = FunctionCall(
            integration.uri or "",
            arrival.variables,
            self._arn(found, found.resource.path),
            integration.timeout_in_millis / 1_000,
            arrival.trace_id,
            has_role=integration.credentials is not None,
        )
        try:
            payload = await self._means.calls.call(call, event)
            return rest_response(payload, arrival.request.header("accept"), definition.binary_media_types)
        except CallFailed as error:
            if error.failure is Failure.FUNCTION_ERROR:
                self.outcome.failure = str(error)
            else:
                self._failed(found, str(error))
            raise _Stopped(_FAILURES[error.failure]) from error
        except MalformedResponse as error:
            self._failed(found, str(error))
            raise _Stopped(Trouble(Kind.DEFAULT_5XX)) from error

    async def _forward(self, integration: Integration, found: Found) -> Response:
        arrival = self._arrival
        uri = with_variables(integration.uri or "", arrival.variables)
        method = integration.http_method or "ANY"
        method = arrival.request.method if method == "ANY" else method
        parameters = _mapped(integration, found)
        try:
            answer = await self._means.proxy.send(
                arrival, uri, method, parameters, integration.timeout_in_millis / 1_000
            )
            return replace(answer, headers=tuple(for_client(answer.headers)))
        except ProxyTimedOut as error:
            self._failed(found, str(error))
            raise _Stopped(Trouble(Kind.INTEGRATION_TIMEOUT)) from error
        except ProxyFailed as error:
            self._failed(found, str(error))
            raise _Stopped(Trouble(Kind.INTEGRATION_FAILURE)) from error

    def _arn(self, found: Found, path: str) -> str:
        arrival = self._arrival
        return execution_arn(
            self._means.region, arrival.account, arrival.api_id, arrival.stage, arrival.request.method, path
        )

    def _failed(self, found: Found, reason: str) -> None:
        self.outcome.failure = reason
        _log.warning(
            "rest_integration_failed", extra={"api": self._stage.api_id, "method": found.key, "reason": reason}
        )


def _mapped(integration: Integration, found: Found) -> dict[str, str]:
    """Name the path variables as the integration's URI does, where its request parameters rename them."""
    named = dict(found.parameters)
    for target, source in integration.request_parameters.items():
        if target.startswith("integration.request.path.") and source.startswith("method.request.path."):
            value = found.parameters.get(source.removeprefix("method.request.path."), "")
            named[target.removeprefix("integration.request.path.")] = value
    return named
