"""How API Gateway's errors read on the wire, and those that only a request can make.

Source: https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis.html (responses of each method)
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.operation import WireError
from workshape.aws.protocol.errors import ConstraintsViolated, Malformed, UnreadableBody
from workshape.errors import Conflict, Invalid, NotFound, WorkshapeError


class InvalidPage(Invalid):
    """Invalid page token, or number of results, specified"""

    # AWS: undocumented; we chose the words.


def _kind(error: Any) -> dict[str, Any]:
    return {"ResourceType": error.kind}


ERRORS: Mapping[type[WorkshapeError], WireError] = {
    NotFound: WireError("NotFoundException", 404, _kind),
    Conflict: WireError("ConflictException", 409),
    Invalid: WireError("BadRequestException", 400),
    UnreadableBody: WireError("BadRequestException", 400),
    Malformed: WireError("BadRequestException", 400),
    ConstraintsViolated: WireError("BadRequestException", 400),
}
