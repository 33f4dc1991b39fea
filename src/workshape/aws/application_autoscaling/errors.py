"""How Application Auto Scaling's errors read on the wire.

Source: https://docs.aws.amazon.com/autoscaling/application/APIReference/CommonErrors.html (and each operation's)
"""

from collections.abc import Mapping

from workshape.aws.operation import WireError
from workshape.aws.protocol.errors import ConstraintsViolated
from workshape.errors import Invalid, NotFound, WorkshapeError
from workshape.functions.autoscaling.autoscaler import NoSuchAction, NoSuchPolicy, NoSuchTarget


class NotBuilt(Invalid):
    """workshape does not do {feature} of Application Auto Scaling yet."""

    feature: str


class MissingParameter(Invalid):
    """{parameter} is required: {reason}."""

    parameter: str


class InvalidNextToken(Invalid):
    """Invalid NextToken: it is not one of an earlier answer"""


class NoSuchResource(NotFound):
    """ResourceARN {name} is no scalable target's."""


ERRORS: Mapping[type[WorkshapeError], WireError] = {
    ConstraintsViolated: WireError("ValidationException", 400),
    Invalid: WireError("ValidationException", 400),
    NotFound: WireError("ValidationException", 400),
    NoSuchTarget: WireError("ObjectNotFoundException", 400),
    NoSuchPolicy: WireError("ObjectNotFoundException", 400),
    NoSuchAction: WireError("ObjectNotFoundException", 400),
    NoSuchResource: WireError("ResourceNotFoundException", 400),
    InvalidNextToken: WireError("InvalidNextTokenException", 400),
    WorkshapeError: WireError("InternalServiceException", 500),
}
"""What is registered but not there as a function is invalid: only this service's own objects are not found."""
