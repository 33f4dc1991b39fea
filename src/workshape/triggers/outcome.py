"""What the end of an invocation means for each message of its batch. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """Every message of the batch is in exactly one of the two."""

    done: tuple[str, ...]
    """Ids of the messages to delete."""
    failed: tuple[str, ...]
    """Ids of those that come back at their visibility timeout."""
    whole_batch_reason: str = ""
    """Why the batch failed as a whole; empty when it did not."""


def judge(payload: bytes, function_error: str | None, ids: Sequence[str], *, partial: bool) -> BatchOutcome:
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
    return _judge_failures(response.get("batchItemFailures"), ids)


def _judge_failures(failures: Any, ids: Sequence[str]) -> BatchOutcome:
    if failures is None:
        return BatchOutcome(tuple(ids), ())
    if not isinstance(failures, list):
        return _whole(ids, "batchItemFailures is not a list")
    known, failed = set(ids), set()
    for failure in failures:
        name = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        if not isinstance(name, str) or name not in known:
            return _whole(ids, f"batchItemFailures names an item that is not in the batch: {str(name)[:80]!r}")
        failed.add(name)
    return BatchOutcome(
        tuple(name for name in ids if name not in failed), tuple(name for name in ids if name in failed)
    )


def _whole(ids: Sequence[str], reason: str) -> BatchOutcome:
    return BatchOutcome((), tuple(ids), reason)
