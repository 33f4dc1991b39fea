"""What every operation reads from its input: required parameters, queue URLs, batches, pages.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-queue-message-identifiers.html
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from workshape.aws.operation import Call
from workshape.aws.sqs.errors import (
    BatchEntryIdsNotDistinct,
    EmptyBatchRequest,
    InvalidAddress,
    InvalidBatchEntryId,
    TooManyEntriesInBatchRequest,
)
from workshape.queues.limits import BATCH_ENTRIES_MAX, BATCH_ENTRY_ID_CHARACTERS_MAX, LIST_RESULTS_MAX
from workshape.queues.model import InvalidParameter, MissingParameter, QueueDoesNotExist, QueueName

_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]+")


def required(parameters: dict[str, Any], name: str) -> Any:
    """Return a parameter that must be there.

    Raises:
        MissingParameter: it is not.
    """
    value = parameters.get(name)
    if value is None:
        raise MissingParameter(parameter=name)
    return value


def integer(parameters: dict[str, Any], name: str, default: int, least: int, most: int) -> int:
    """Return a number from a range, or the default when it is not given.

    Raises:
        InvalidParameter: out of range.
    """
    value = parameters.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or not least <= value <= most:
        reason = f"Must be between {least} and {most}, if provided."
        raise InvalidParameter(value=value, parameter=name, reason=reason)
    return value


def queue_url(call: Call, name: str) -> str:
    """Write a queue's URL as this front door is reached."""
    return f"{call.endpoint}/{call.account}/{name}"


def queue_name(call: Call, parameters: dict[str, Any]) -> QueueName:
    """Read the queue's name from QueueUrl; whatever host the URL names, the path decides.

    Raises:
        MissingParameter, InvalidAddress: there is no URL, or it is none of a queue.
        QueueDoesNotExist: it is a queue of another account.
    """
    url = required(parameters, "QueueUrl")
    try:
        parts = urlsplit(url).path.split("/")
    except ValueError as error:
        raise InvalidAddress(address=url) from error
    if len(parts) < 3 or not parts[-1] or not parts[-2]:
        raise InvalidAddress(address=url)
    if parts[-2] != call.account:
        raise QueueDoesNotExist(kind="queue", name=url)
    return QueueName(parts[-1])


def batch_entries(parameters: dict[str, Any], entry_kind: str) -> list[dict[str, Any]]:
    """Return a batch's entries; `entry_kind` is what the service model calls one.

    Raises:
        EmptyBatchRequest, TooManyEntriesInBatchRequest, InvalidBatchEntryId, BatchEntryIdsNotDistinct: the whole
            batch is refused.
    """
    entries: list[dict[str, Any]] = parameters.get("Entries") or []
    if not entries:
        raise EmptyBatchRequest(entry=entry_kind)
    if len(entries) > BATCH_ENTRIES_MAX:
        raise TooManyEntriesInBatchRequest(entries_max=BATCH_ENTRIES_MAX, entries=len(entries))
    seen: set[str] = set()
    for entry in entries:
        entry_id = required(entry, "Id")
        if not _ENTRY_ID.fullmatch(entry_id) or len(entry_id) > BATCH_ENTRY_ID_CHARACTERS_MAX:
            raise InvalidBatchEntryId()
        if entry_id in seen:
            raise BatchEntryIdsNotDistinct(id=entry_id)
        seen.add(entry_id)
    return entries


def page(parameters: dict[str, Any], names: Sequence[QueueName]) -> tuple[Sequence[QueueName], dict[str, str]]:
    """Cut one page out of names in order; returns it, and the member that asks for the next one.

    Without MaxResults there is only the first page, of at most 1,000.

    Raises:
        InvalidParameter: MaxResults or NextToken is none.
    """
    size = integer(parameters, "MaxResults", LIST_RESULTS_MAX, 1, LIST_RESULTS_MAX)
    if token := parameters.get("NextToken"):
        after = _read_token(token)
        names = [name for name in names if name > after]
    shown = names[:size]
    if len(names) <= size or parameters.get("MaxResults") is None:
        return shown, {}
    return shown, {"NextToken": urlsafe_b64encode(shown[-1].encode()).decode()}


def _read_token(token: str) -> str:
    try:
        return urlsafe_b64decode(token.encode()).decode()
    except ValueError as error:
        reason = "Not a token of an earlier answer."
        raise InvalidParameter(value=token, parameter="NextToken", reason=reason) from error
