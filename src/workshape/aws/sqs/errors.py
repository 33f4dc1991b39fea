"""How SQS's errors read on the wire, and those that only a request, never a queue, can make.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html (and each operation's)
Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-json-api-responses.html
"""

from collections.abc import Mapping

from workshape.aws.operation import WireError
from workshape.errors import CallerError, Invalid, WorkshapeError
from workshape.queues.model import (
    InvalidAttributeName,
    InvalidAttributeValue,
    InvalidMessageContents,
    MessageNotInflight,
    MissingParameter,
    OverLimit,
    PolicyOverLimit,
    PurgeQueueInProgress,
    QueueBusy,
    QueueDeletedRecently,
    QueueDoesNotExist,
    QueueNameExists,
    ReceiptHandleIsInvalid,
)
from workshape.queues.move_task import MoveTaskNotActive, MoveTaskNotFound, TooManyMoveTasks
from workshape.queues.mover import MoveQueueNotFound


class InvalidAddress(Invalid):
    """The address {address} is not valid for this endpoint."""

    address: str


class EmptyBatchRequest(Invalid):
    """There should be at least one {entry} in the request."""

    entry: str


class TooManyEntriesInBatchRequest(Invalid):
    """Maximum number of entries per request are {entries_max}. You have sent {entries}."""

    entries_max: int
    entries: int


class BatchEntryIdsNotDistinct(Invalid):
    """Id {id} repeated."""

    id: str


class InvalidBatchEntryId(Invalid):
    """A batch entry id can only contain alphanumeric characters, hyphens and underscores, 1 to 80 of them."""


class BatchRequestTooLong(Invalid):
    """Batch requests cannot be longer than {bytes_max} bytes. You have sent {size_bytes} bytes."""

    bytes_max: int
    size_bytes: int


_PREFIX = "AWS.SimpleQueueService."


def _prefixed(code: str) -> WireError:
    return WireError(code, 400, query_code=_PREFIX + code)


ERRORS: Mapping[type[WorkshapeError], WireError] = {
    Invalid: WireError("InvalidParameterValueException", 400, query_code="InvalidParameterValue"),
    MissingParameter: WireError("MissingParameterException", 400, query_code="MissingParameter"),
    InvalidAttributeName: WireError("InvalidAttributeName", 400),
    InvalidAttributeValue: WireError("InvalidAttributeValue", 400),
    InvalidMessageContents: WireError("InvalidMessageContents", 400),
    InvalidAddress: WireError("InvalidAddress", 400),
    ReceiptHandleIsInvalid: WireError("ReceiptHandleIsInvalid", 400),
    MessageNotInflight: _prefixed("MessageNotInflight"),
    QueueDoesNotExist: WireError("QueueDoesNotExist", 400, query_code=_PREFIX + "NonExistentQueue"),
    QueueNameExists: WireError("QueueNameExists", 400, query_code="QueueAlreadyExists"),
    QueueDeletedRecently: _prefixed("QueueDeletedRecently"),
    PurgeQueueInProgress: _prefixed("PurgeQueueInProgress"),
    EmptyBatchRequest: _prefixed("EmptyBatchRequest"),
    TooManyEntriesInBatchRequest: _prefixed("TooManyEntriesInBatchRequest"),
    BatchEntryIdsNotDistinct: _prefixed("BatchEntryIdsNotDistinct"),
    InvalidBatchEntryId: _prefixed("InvalidBatchEntryId"),
    BatchRequestTooLong: _prefixed("BatchRequestTooLong"),
    OverLimit: WireError("OverLimit", 400),
    PolicyOverLimit: WireError("OverLimit", 400),
    MoveQueueNotFound: WireError("ResourceNotFoundException", 400),
    MoveTaskNotFound: WireError("ResourceNotFoundException", 400),
    MoveTaskNotActive: _prefixed("UnsupportedOperation"),
    TooManyMoveTasks: WireError("OverLimit", 400),
    QueueBusy: WireError("RequestThrottled", 400),
}
"""The names are the service model's; the codes of the older query protocol differ where they are given."""


def entry_failure(entry_id: str, error: CallerError) -> dict[str, object]:
    """Describe why one entry of a batch failed: a BatchResultErrorEntry."""
    wire = next(ERRORS[kind] for kind in type(error).__mro__ if kind in ERRORS)
    return {"Id": entry_id, "SenderFault": True, "Code": wire.query_code or wire.code, "Message": str(error)}
