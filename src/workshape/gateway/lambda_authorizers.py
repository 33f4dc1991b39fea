"""Asks Lambda authorizers, and keeps their answers for as long as they are good.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec

from workshape.clock import Clock
from workshape.gateway.arrival import Arrival
from workshape.gateway.authorization import (
    TOKEN,
    AuthorizerAnswer,
    FunctionAuthorizer,
    MalformedAnswer,
    NotAuthorized,
    Why,
    identity_of,
    read_answer,
    request_event,
    token_event,
)
from workshape.gateway.function_calls import CallFailed, Failure, FunctionCall, FunctionCalls

KEPT_MAX = 10_000  # answers, each of some KiB; the oldest are asked for again
UNAUTHORIZED = "Unauthorized"
"""The error with which a REST API's authorizer says that it does not know the client.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
"""


class LambdaAuthorizers:
    """The authorizers' answers."""

    def __init__(self, calls: FunctionCalls, clock: Clock, region: str) -> None:
        self._calls = calls
        self._clock = clock
        self._region = region
        self._kept: OrderedDict[tuple[object, ...], tuple[float, AuthorizerAnswer]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<LambdaAuthorizers kept={len(self._kept)}>"

    def forget(self, api_id: str, stage: str) -> None:
        """Ask again for everything that reaches a stage."""
        for key in [key for key in self._kept if key[:2] == (api_id, stage)]:
            del self._kept[key]

    async def ask(
        self,
        authorizer: FunctionAuthorizer,
        arrival: Arrival,
        route_key: str,
        description: Mapping[str, Any],
        arn: str,
        timeout_s: float,
    ) -> AuthorizerAnswer:
        """Return what the authorizer thinks of a request; `description` is the request in the authorizer's format.

        Raises:
            NotAuthorized: it was not asked, or did not answer.
        """
        identity = identity_of(authorizer, arrival, route_key)
        # The authorizer itself is part of the key: what was answered under another configuration is good for nothing.
        key = (arrival.api_id, arrival.stage, authorizer, identity)
        if authorizer.ttl_s:
            kept = self._kept.get(key)
            if kept is not None and kept[0] > self._clock.monotonic_s():
                return kept[1]
        if authorizer.form == TOKEN:
            event = token_event(identity[0], arn)
        else:
            event = request_event(dict(description), identity, arn, authorizer.form)
        answer = await self._invoke(authorizer, arrival, event, timeout_s)
        if authorizer.ttl_s:
            self._kept[key] = (self._clock.monotonic_s() + authorizer.ttl_s, answer)
            self._kept.move_to_end(key)
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        return answer

    async def _invoke(
        self, authorizer: FunctionAuthorizer, arrival: Arrival, event: dict[str, Any], timeout_s: float
    ) -> AuthorizerAnswer:
        source = f"arn:aws:execute-api:{self._region}:{arrival.account}:{arrival.api_id}/authorizers/{authorizer.id}"
        call = FunctionCall(
            authorizer.uri, arrival.variables, source, timeout_s, arrival.trace_id, has_role=authorizer.has_role
        )
        try:
            payload = await self._calls.call(call, event)
            return read_answer(payload, is_simple=authorizer.is_simple, is_rest=authorizer.is_rest)
        except MalformedAnswer as error:
            raise NotAuthorized(Why.AUTHORIZER_FAILED, str(error)) from error
        except CallFailed as error:
            if error.failure is Failure.FUNCTION_ERROR:
                is_its_word = authorizer.is_rest and _error_message(error.payload) == UNAUTHORIZED
                why = Why.UNAUTHENTICATED if is_its_word else Why.AUTHORIZER_FAILED
                raise NotAuthorized(why, str(error)) from error
            raise NotAuthorized(Why.AUTHORIZER_UNREACHABLE, str(error)) from error


class _Error(msgspec.Struct, frozen=True, rename="camel"):
    error_message: str = ""


def _error_message(payload: bytes) -> str:
    try:
        return msgspec.json.decode(payload, type=_Error).error_message
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
