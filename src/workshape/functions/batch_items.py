"""What became of each item of a batch, delivery by delivery. A core: values only.

A function's answer says which items failed, never why. Which of them were done already shows only over time, and
only to whoever saw every delivery: so the trigger notes each item's identity, a hash of its content and its outcome.
"""

from enum import StrEnum

import msgspec


class ItemOutcome(StrEnum):
    """What an invocation's end means for one item of its batch."""

    SUCCEEDED = "succeeded"
    REPORTED = "reported"
    """Named in `batchItemFailures`."""
    BATCH_FAILED = "batch_failed"
    """Its batch failed as a whole: an error, a timeout, or a response that is none."""


class BatchItemFact(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery of one item to a function."""

    time: float
    """When the invocation ended, Unix time."""
    function: str
    source: str
    """The queue's name."""
    request_id: str
    message_id: str
    content_hash: str
    """Equal for messages that say the same; `content_hash` makes it."""
    receive_count: int
    """Which delivery this was, from 1."""
    outcome: ItemOutcome


def content_hash(md5_of_body: str, md5_of_message_attributes: str | None) -> str:
    """Identify what a message says by the digests SQS computes anyway; the content itself is never recorded."""
    return f"{md5_of_body}:{md5_of_message_attributes}" if md5_of_message_attributes else md5_of_body
