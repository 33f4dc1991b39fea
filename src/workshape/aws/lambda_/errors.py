"""How Lambda's errors read on the wire, and those that only a request can make.

Source: https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html (and each operation's)
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.operation import WireError
from workshape.aws.protocol.errors import UnreadableBody
from workshape.errors import Conflict, Denied, Invalid, NotFound, PlatformError, Throttled, WorkshapeError
from workshape.functions.async_queue import EventsFull
from workshape.functions.configuration import OutOfBounds
from workshape.functions.function_name import UnreachableFunction
from workshape.functions.loop_guard import RecursiveInvocation
from workshape.functions.policy import PolicyTooLong
from workshape.functions.provisioned_configs import ProvisionedConfigNotFound
from workshape.functions.revision import RevisionMismatch
from workshape.functions.snap_start import RestoreFailed, RestoreTimedOut, SnapStartNotReady
from workshape.triggers.model import MappingBusy


class RequestTooLarge(Invalid):
    """Request must be smaller than {bytes_max} bytes for the InvokeFunction operation"""

    bytes_max: int


class NotJson(Invalid):
    """Could not parse request body into json: {reason}"""

    reason: str


class InvalidClientContext(Invalid):
    """Client context must be a valid Base64-encoded JSON object."""


class MissingRuntimeOrHandler(Invalid):
    """Runtime and Handler are mandatory parameters for functions created with deployment packages."""


class MissingCode(Invalid):
    """Please provide a source for function code."""


class CodeNotFetched(Invalid):
    """Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {message}"""

    code: str
    message: str


class NotBuilt(Denied):
    """workshape does not do {feature} yet."""

    feature: str


def _user(_error: Any) -> dict[str, Any]:
    return {"Type": "User"}


def _throttled(error: Any) -> dict[str, Any]:
    return {"Type": "User", "Reason": error.reason_code}


def _events_full(_error: Any) -> dict[str, Any]:
    return {"Type": "User", "Reason": "CallerRateLimitExceeded"}


def _service(_error: Any) -> dict[str, Any]:
    return {"Type": "Service"}


ERRORS: Mapping[type[WorkshapeError], WireError] = {
    NotFound: WireError("ResourceNotFoundException", 404, _user),
    UnreachableFunction: WireError("ResourceNotFoundException", 404, _user),
    ProvisionedConfigNotFound: WireError("ProvisionedConcurrencyConfigNotFoundException", 404, _user),
    Conflict: WireError("ResourceConflictException", 409, _user),
    SnapStartNotReady: WireError("SnapStartNotReadyException", 409, _user),
    RestoreFailed: WireError("SnapStartException", 400, _user),
    RestoreTimedOut: WireError("SnapStartTimeoutException", 408, _user),
    MappingBusy: WireError("ResourceInUseException", 400, _user),
    RevisionMismatch: WireError("PreconditionFailedException", 412, _user),
    Invalid: WireError("InvalidParameterValueException", 400, _user),
    NotBuilt: WireError("InvalidParameterValueException", 400, _user),
    PolicyTooLong: WireError("PolicyLengthExceededException", 400, _user),
    OutOfBounds: WireError("ValidationException", 400),
    NotJson: WireError("InvalidRequestContentException", 400, _user),
    UnreadableBody: WireError("InvalidRequestContentException", 400, _user),
    InvalidClientContext: WireError("InvalidRequestContentException", 400, _user),
    RequestTooLarge: WireError("RequestTooLargeException", 413, _user),
    RecursiveInvocation: WireError("RecursiveInvocationException", 400, _user),
    Throttled: WireError("TooManyRequestsException", 429, _throttled),
    EventsFull: WireError("TooManyRequestsException", 429, _events_full),
    PlatformError: WireError("ServiceException", 500, _service),
    WorkshapeError: WireError("ServiceException", 500, _service),
}
