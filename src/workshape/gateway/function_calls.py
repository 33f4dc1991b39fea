"""Invokes the functions behind integrations and authorizers, if their policies let API Gateway.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html (permissions)
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from workshape.errors import CallerError, Invalid, PlatformError, Throttled, WorkshapeError
from workshape.functions.catalog import Catalog
from workshape.functions.function_invoker import Invoke, PayloadTooLarge
from workshape.functions.function_name import FunctionReference
from workshape.functions.model import LATEST, FunctionName, InvocationRequest
from workshape.functions.policy import lets_invoke
from workshape.gateway.targets import function_of, with_variables

TRIGGER = "http"
SERVICE = "apigateway.amazonaws.com"
_PERMISSIONS_MAX = 10_000  # answers kept; one for each function and route in use

_log = logging.getLogger(__name__)


class Failure(Enum):
    """Why a function did not answer."""

    NOT_PERMITTED = "not permitted"
    NO_FUNCTION = "no such function"
    TOO_LARGE = "too large"
    THROTTLED = "throttled"
    TIMED_OUT = "timed out"
    UNAVAILABLE = "unavailable"
    FUNCTION_ERROR = "function error"


class CallFailed(PlatformError):
    """the function did not answer: {reason}"""

    def __init__(self, failure: Failure, reason: str, payload: bytes = b"") -> None:
        """`payload` is the error object of a function that failed."""
        super().__init__(reason=reason)
        self.failure = failure
        self.payload = payload


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """Whom to invoke, on whose behalf."""

    uri: str
    """As the integration or the authorizer has it."""
    variables: Mapping[str, str] | None
    source_arn: str
    """What the function's policy must let invoke it."""
    timeout_s: float
    trace_id: str = ""
    has_role: bool = False
    """The caller has credentials of its own, so that the function's policy is not asked."""


class FunctionCalls:
    """Invokes by what an integration's URI names."""

    def __init__(self, catalog: Catalog, invoke: Invoke) -> None:
        self._catalog = catalog
        self._invoke = invoke
        self._permissions: dict[tuple[FunctionName, str, str, str], bool] = {}

    def __repr__(self) -> str:
        return f"<FunctionCalls of {self._catalog!r}>"

    async def call(self, call: FunctionCall, event: Mapping[str, Any]) -> bytes:
        """Return what the function returned.

        Raises:
            CallFailed: it did not return.
        """
        reference = self._reference(call)
        if not call.has_role and not self._is_permitted(reference, call.source_arn):
            reason = (
                f"the policy of {reference.name} does not let {SERVICE} invoke it for {call.source_arn}: add one with "
                "lambda:AddPermission"
            )
            raise CallFailed(Failure.NOT_PERMITTED, reason)
        try:
            async with asyncio.timeout(call.timeout_s):
                payload = msgspec.json.encode(event)
                result = await self._invoke(
                    InvocationRequest(reference.name, reference.qualifier, payload, TRIGGER, trace_id=call.trace_id)
                )
        except TimeoutError as error:
            raise CallFailed(Failure.TIMED_OUT, f"not within {call.timeout_s:g} s; it runs on") from error
        except WorkshapeError as error:
            raise CallFailed(_failure(error), str(error)) from error
        if result.function_error is not None:
            raise CallFailed(Failure.FUNCTION_ERROR, result.error_type or result.function_error, result.payload)
        return result.payload

    def _reference(self, call: FunctionCall) -> FunctionReference:
        try:
            return self._catalog.reference(function_of(with_variables(call.uri, call.variables)))
        except Invalid as error:
            raise CallFailed(Failure.NO_FUNCTION, str(error)) from error

    def _is_permitted(self, reference: FunctionReference, source_arn: str) -> bool:
        qualifier = reference.qualifier or LATEST
        policy = self._catalog.policies.get(reference.name, qualifier)
        key = (reference.name, qualifier, policy.revision if policy is not None else "", source_arn)
        known = self._permissions.get(key)
        if known is None:
            if len(self._permissions) >= _PERMISSIONS_MAX:
                self._permissions.clear()
            known = self._permissions[key] = lets_invoke(policy, SERVICE, source_arn, self._catalog.account)
        return known


def _failure(error: WorkshapeError) -> Failure:
    if isinstance(error, PayloadTooLarge):
        return Failure.TOO_LARGE
    if isinstance(error, Throttled):
        return Failure.THROTTLED
    if isinstance(error, CallerError):
        return Failure.NO_FUNCTION
    return Failure.UNAVAILABLE
