"""What the end of an invocation means for each item of its batch, message or record. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/kafka-retry-configurations.html#kafka-partial-batch-response
Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

Id = TypeVar("Id", bound=Hashable)
ReadId = Callable[[Any], Id | None]
"""Reads an `itemIdentifier`; None for one that no item has."""


@dataclass(frozen=True, slots=True)
class BatchOutcome(Generic[Id]):
    """Every item of the batch is in exactly one of the two."""

    done: tuple[Id, ...]
    """Ids of the items that are done with."""
    failed: tuple[Id, ...]
    """Ids of those that come again."""
    whole_batch_reason: str = ""
    """Why the batch failed as a whole; empty when it did not."""


def read_message_id(named: Any) -> str | None:
    """Read a message's id."""
    return named if isinstance(named, str) else None


def judge(
    payload: bytes, function_error: str | None, ids: Sequence[Id], read_id: ReadId[Id], *, partial: bool
) -> BatchOutcome[Id]:
    """Read an invocation's result.

    `partial` says that the mapping asks for ReportBatchItemFailures; without it any result but an error is success.
    An empty or null response and an empty or null list are success; a response that is not JSON, and an id that is
    empty, null, of another key's name or not of this batch, fail the whole batch.
    """
    if function_error is not None:
        return _whole(ids, f"the function failed ({function_error})")
    if not partial:
        return BatchOutcome(tuple(ids), ())
    try:
        response = msgspec.json.decode(payload) if payload.strip() else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # the last: nested thousands deep
        return _whole(ids, "the response is not JSON")
    if response is None:
        return BatchOutcome(tuple(ids), ())
    if not isinstance(response, dict):
        return _whole(ids, "the response is not an object")
    return _judge_failures(response.get("batchItemFailures"), ids, read_id)


def _judge_failures(failures: Any, ids: Sequence[Id], read_id: ReadId[Id]) -> BatchOutcome[Id]:
    if failures is None:
        return BatchOutcome(tuple(ids), ())
    if not isinstance(failures, list):
        return _whole(ids, "batchItemFailures is not a list")
    known, failed = set(ids), set[Id]()
    for failure in failures:
        named = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        name = read_id(named)
        if name is None or name not in known:
            return _whole(ids, f"batchItemFailures names an item that is not in the batch: {str(named)[:80]!r}")
        failed.add(name)
    return BatchOutcome(
        tuple(name for name in ids if name not in failed), tuple(name for name in ids if name in failed)
    )


def _whole(ids: Sequence[Id], reason: str) -> BatchOutcome[Id]:
    return BatchOutcome((), tuple(ids), reason)
