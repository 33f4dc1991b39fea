"""How SNS's errors read on the wire, and those that only a request can make.

Source: https://docs.aws.amazon.com/sns/latest/api/CommonErrors.html (and each operation's)
"""

from collections.abc import Mapping

from workshape.aws.operation import WireError
from workshape.errors import CallerError, Conflict, Denied, Invalid, NotFound, Throttled, WorkshapeError
from workshape.topics.model import SubscriptionLimitExceeded, TooManyTags


class NotBuilt(Denied):
    """workshape does not do {feature} yet."""

    feature: str


class EmptyBatchRequest(Invalid):
    """The batch request doesn't contain any entries."""


class TooManyEntriesInBatchRequest(Invalid):
    """The batch request contains more entries than permissible (more than {entries_max})."""

    entries_max: int


class BatchEntryIdsNotDistinct(Invalid):
    """Two or more batch entries in the request have the same Id."""


class InvalidBatchEntryId(Invalid):
    """The Id of a batch entry in a batch request doesn't abide by the specification."""


class BatchRequestTooLong(Invalid):
    """The length of all the batch messages put together is more than the limit."""


class ResourceNotFound(NotFound):
    """Resource does not exist"""


ERRORS: Mapping[type[WorkshapeError], WireError] = {
    Invalid: WireError("InvalidParameter", 400),
    Conflict: WireError("InvalidParameter", 400),
    NotFound: WireError("NotFound", 404),
    ResourceNotFound: WireError("ResourceNotFound", 404),
    TooManyTags: WireError("TagLimitExceeded", 400),
    SubscriptionLimitExceeded: WireError("SubscriptionLimitExceeded", 403),
    EmptyBatchRequest: WireError("EmptyBatchRequest", 400),
    TooManyEntriesInBatchRequest: WireError("TooManyEntriesInBatchRequest", 400),
    BatchEntryIdsNotDistinct: WireError("BatchEntryIdsNotDistinct", 400),
    InvalidBatchEntryId: WireError("InvalidBatchEntryId", 400),
    BatchRequestTooLong: WireError("BatchRequestTooLong", 400),
    NotBuilt: WireError("InvalidParameter", 400),
    Throttled: WireError("Throttled", 429),
}


def entry_failure(entry_id: str, error: CallerError) -> dict[str, object]:
    """Describe why one entry of a batch failed: a BatchResultErrorEntry."""
    wire = next(ERRORS[kind] for kind in type(error).__mro__ if kind in ERRORS)
    return {"Id": entry_id, "SenderFault": wire.status != 429, "Code": wire.code, "Message": str(error)}
