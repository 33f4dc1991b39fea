"""How CloudWatch Logs' errors read on the wire.

Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/CommonErrors.html (and each operation's)
"""

from collections.abc import Mapping

from workshape.aws.operation import WireError
from workshape.aws.protocol.errors import ConstraintsViolated
from workshape.errors import Denied, Invalid, NotFound, WorkshapeError


class LogGroupNotFound(NotFound):
    """The specified log group does not exist."""


class LogStreamNotFound(NotFound):
    """The specified log stream does not exist."""


class InvalidToken(Invalid):
    """The specified nextToken is invalid."""


class InvalidFilterPattern(Invalid):
    """Invalid filter pattern {pattern!r}: {reason}"""

    pattern: str


class NotBuilt(Denied):
    """workshape does not do {feature} yet."""

    feature: str


ERRORS: Mapping[type[WorkshapeError], WireError] = {
    NotFound: WireError("ResourceNotFoundException", 400),
    Invalid: WireError("InvalidParameterException", 400),
    ConstraintsViolated: WireError("InvalidParameterException", 400),
    NotBuilt: WireError("InvalidParameterException", 400),
}
