"""How API Gateway's errors read on the wire, and those that only a request can make.

Source: https://docs.aws.amazon.com/apigateway/latest/api/CommonErrors.html (and each operation's)
"""

from collections.abc import Mapping

from workshape.aws.operation import WireError
from workshape.aws.protocol.errors import ConstraintsViolated, Malformed, UnreadableBody
from workshape.errors import Conflict, Invalid, NotFound, WorkshapeError


class InvalidPosition(Invalid):
    """Invalid position parameter specified"""


ERRORS: Mapping[type[WorkshapeError], WireError] = {
    NotFound: WireError("NotFoundException", 404),
    Conflict: WireError("ConflictException", 409),
    Invalid: WireError("BadRequestException", 400),
    UnreadableBody: WireError("BadRequestException", 400),
    Malformed: WireError("BadRequestException", 400),
    ConstraintsViolated: WireError("BadRequestException", 400),
}
