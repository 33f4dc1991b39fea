"""How Secrets Manager's errors read on the wire.

Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html (and each operation's)
"""

from collections.abc import Mapping

from workshape.aws.operation import WireError
from workshape.aws.pages import InvalidNextToken
from workshape.aws.protocol.errors import ConstraintsViolated
from workshape.errors import Conflict, Denied, Invalid, NotFound, WorkshapeError
from workshape.secrets.model import InvalidRequest, LimitExceeded, MalformedPolicy

ERRORS: Mapping[type[WorkshapeError], WireError] = {
    ConstraintsViolated: WireError("ValidationException", 400),
    Denied: WireError("AccessDeniedException", 400),
    Invalid: WireError("InvalidParameterException", 400),
    InvalidNextToken: WireError("InvalidNextTokenException", 400),
    InvalidRequest: WireError("InvalidRequestException", 400),
    MalformedPolicy: WireError("MalformedPolicyDocumentException", 400),
    NotFound: WireError("ResourceNotFoundException", 400),
    Conflict: WireError("ResourceExistsException", 400),
    LimitExceeded: WireError("LimitExceededException", 400),
    WorkshapeError: WireError("InternalServiceError", 500),
}


def error_code(error: WorkshapeError) -> str:
    """Name the error of one secret among several."""
    return next(ERRORS[kind].code for kind in type(error).__mro__ if kind in ERRORS)
