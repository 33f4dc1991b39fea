"""An event source mapping, and what Lambda accepts as one.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
"""

from enum import StrEnum

import msgspec

from workshape.arn import parse_arn
from workshape.errors import Conflict, Invalid, NotFound

BATCH_SIZE_DEFAULT = 10
BATCH_SIZE_MAX = 10_000
BATCH_SIZE_WITHOUT_WINDOW_MAX = 10
BATCH_WINDOW_S_MAX = 300
CONCURRENCY_MIN = 2
CONCURRENCY_MAX = 1_000
"""All six: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html"""


class MappingState(StrEnum):
    """Where a mapping is in its life."""

    CREATING = "Creating"
    ENABLING = "Enabling"
    ENABLED = "Enabled"
    UPDATING = "Updating"
    DISABLING = "Disabling"
    DISABLED = "Disabled"
    DELETING = "Deleting"


class EventSourceMapping(msgspec.Struct, frozen=True, kw_only=True):
    """A queue, a function, and how the one is fed to the other. Durable as it is."""

    id: str
    """The UUID."""
    queue_arn: str
    function: str
    """Name of the function, without a qualifier."""
    function_arn: str
    """As AWS shows it: with the qualifier, if one was given."""
    qualifier: str | None = None
    batch_size: int = BATCH_SIZE_DEFAULT
    batch_window_s: int = 0
    report_batch_item_failures: bool = False
    concurrency_max: int | None = None
    """ScalingConfig.MaximumConcurrency."""
    enabled: bool = True
    last_modified: float = 0.0
    """Unix time."""

    @property
    def queue(self) -> str:
        """The queue's name."""
        return parse_arn(self.queue_arn).resource


class MappingNotFound(NotFound):
    """The resource you requested does not exist."""


class MappingExists(Conflict):
    """An event source mapping with SQS arn (" {queue_arn} ") and function (" {function} ") already exists. Please
    update or delete the existing mapping with UUID {id}
    """

    queue_arn: str
    function: str
    id: str


class MappingBusy(Conflict):
    """The event source mapping {id} is being deleted."""

    id: str


class MappingInvalid(Invalid):
    """{reason}"""


def check_mapping(mapping: EventSourceMapping) -> None:
    """Refuse what Lambda would refuse.

    Raises:
        MappingInvalid: a value outside its range, or two that do not go together.
    """
    _within("BatchSize", mapping.batch_size, 1, BATCH_SIZE_MAX)
    _within("MaximumBatchingWindowInSeconds", mapping.batch_window_s, 0, BATCH_WINDOW_S_MAX)
    if mapping.batch_size > BATCH_SIZE_WITHOUT_WINDOW_MAX and mapping.batch_window_s < 1:
        reason = (
            f"Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than "
            f"{BATCH_SIZE_WITHOUT_WINDOW_MAX}"
        )
        raise MappingInvalid(reason=reason)
    if mapping.concurrency_max is not None:
        _within("ScalingConfig.MaximumConcurrency", mapping.concurrency_max, CONCURRENCY_MIN, CONCURRENCY_MAX)
    arn = parse_arn(mapping.queue_arn)
    if arn.service != "sqs":
        raise MappingInvalid(reason=f"Unrecognized event source: {mapping.queue_arn}. Only SQS queues can be mapped.")


def check_visibility(visibility_timeout_s: int, function_timeout_s: int) -> None:
    """Refuse a queue whose messages would come back while the function may still be at work on them.

    Raises:
        MappingInvalid: the visibility timeout is under the function's timeout.
    """
    if visibility_timeout_s < function_timeout_s:
        reason = (
            f"Queue visibility timeout: {visibility_timeout_s} seconds is less than "
            f"Function timeout: {function_timeout_s} seconds"
        )
        raise MappingInvalid(reason=reason)


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise MappingInvalid(reason=f"{name} must be between {low} and {high}, not {value}")
