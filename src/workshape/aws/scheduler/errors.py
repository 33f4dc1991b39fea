"""How EventBridge Scheduler's errors read on the wire.

Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/CommonErrors.html (and each operation's)
"""

from collections.abc import Mapping

from workshape.aws.operation import WireError
from workshape.aws.protocol.errors import ConstraintsViolated
from workshape.errors import Conflict, Invalid, NotFound, Throttled, WorkshapeError
from workshape.events.scheduler.model import NotBuilt, QuotaExceeded


class NoSuchResource(NotFound):
    """{name} is no schedule group."""

    # AWS: undocumented; we chose the words.


ERRORS: Mapping[type[WorkshapeError], WireError] = {
    ConstraintsViolated: WireError("ValidationException", 400),
    Invalid: WireError("ValidationException", 400),
    NotBuilt: WireError("ValidationException", 400),
    NotFound: WireError("ResourceNotFoundException", 404),
    Conflict: WireError("ConflictException", 409),
    QuotaExceeded: WireError("ServiceQuotaExceededException", 402),
    Throttled: WireError("ThrottlingException", 429),
    WorkshapeError: WireError("InternalServerException", 500),
}
"""The statuses are the service model's."""
