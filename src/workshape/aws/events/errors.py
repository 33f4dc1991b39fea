"""How EventBridge's errors read on the wire, and those that only a request can make.

Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/CommonErrors.html (and each operation's)
Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html
"""

from collections.abc import Mapping

from workshape.aws.operation import WireError
from workshape.aws.protocol.errors import ConstraintsViolated
from workshape.errors import CallerError, Conflict, Invalid, NotFound, Throttled, WorkshapeError
from workshape.events.event import InvalidArgument, MalformedDetail, NotAuthorizedForSource
from workshape.events.model import LimitExceeded, NotBuilt, PolicyTooLong
from workshape.events.replay import ReplayHasEnded
from workshape.events.rule import InvalidEventPattern
from workshape.events.target_queue import TargetQueueFull

# The errors, reasons included. AWS: undocumented; we chose the words.


class InvalidParameter(Invalid):
    """Parameter {parameter} is not valid. Reason: {reason}"""

    parameter: str


class MissingSqsParameters(Invalid):
    """Parameter(s) SqsParameters must be specified for target: {target}."""

    target: str


class StatementNotFound(NotFound):
    """Statement with the provided id does not exist."""


class NoPolicy(NotFound):
    """EventBus does not have a policy."""


ERRORS: Mapping[type[WorkshapeError], WireError] = {
    ConstraintsViolated: WireError("ValidationException", 400),
    Invalid: WireError("ValidationException", 400),
    NotBuilt: WireError("ValidationException", 400),
    NotFound: WireError("ResourceNotFoundException", 400),
    Conflict: WireError("ResourceAlreadyExistsException", 400),
    Throttled: WireError("ThrottlingException", 400),
    LimitExceeded: WireError("LimitExceededException", 400),
    ReplayHasEnded: WireError("IllegalStatusException", 400),
    InvalidEventPattern: WireError("InvalidEventPatternException", 400),
    PolicyTooLong: WireError("PolicyLengthExceededException", 400),
    WorkshapeError: WireError("InternalException", 500),
}

_ENTRY_CODES: Mapping[type[CallerError], str] = {
    InvalidArgument: "InvalidArgument",
    MalformedDetail: "MalformedDetail",
    NotAuthorizedForSource: "NotAuthorizedForSourceException",
    TargetQueueFull: "ThrottlingException",
}


def entry_failure(error: CallerError) -> dict[str, str]:
    """Describe why one entry of PutEvents failed: a PutEventsResultEntry."""
    return {"ErrorCode": _ENTRY_CODES[type(error)], "ErrorMessage": str(error)}
