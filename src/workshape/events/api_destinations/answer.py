"""What an endpoint's answer means for the event: delivered, tried again, or given up. A core.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html (error codes)
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from workshape.delivery import Delivered, DeliveryOutcome, Undelivered
from workshape.events.invocation import (
    CONNECTION_FAILURE,
    ERROR_FROM_TARGET,
    INVALID_PARAMETER,
    NO_PERMISSIONS,
    NO_RESOURCE,
    THROTTLING,
    TIMEOUT,
)

TIMEOUT_S = 5.0
UNAUTHORIZED = frozenset({401, 407})
"""What a connection's credentials are refused with."""
_RETRIED_BELOW_500 = UNAUTHORIZED | {409, 429}
_CODES = {401: NO_PERMISSIONS, 407: NO_PERMISSIONS, 429: THROTTLING}
"""AWS: undocumented which of its error codes goes with which status; others are the target's errors."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: tuple[tuple[str, str], ...] = field(repr=False, default=())
    """Their names in lower case."""
    body: bytes = field(repr=False, default=b"")

    def header(self, name: str) -> str | None:
        """Return the first of that name, in lower case."""
        return next((value for known, value in self.headers if known == name), None)


def outcome_of(answer: Answer, now: float) -> DeliveryOutcome:
    """Say what becomes of the event; `now` is Unix time, for a `Retry-After` that is a date."""
    status = answer.status
    if 200 <= status < 300:
        return Delivered()
    wait_s = retry_after_s(answer.header("retry-after"), now)
    is_retried = status in _RETRIED_BELOW_500 or status >= 500
    return Undelivered(
        _CODES.get(status, ERROR_FROM_TARGET),
        # AWS: undocumented; we chose the words.
        f"The API destination returned HTTP status {status}.",
        retryable=is_retried and wait_s >= 0.0,
        status=status,
        retry_after_s=max(wait_s, 0.0),
    )


def retry_after_s(header: str | None, now: float) -> float:
    """Read how long to wait, in seconds: negative, not to try again. What is no time at all asks for nothing.

    Source: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
    """
    if header is None:
        return 0.0
    text = header.strip()
    if text.removeprefix("-").isascii() and text.removeprefix("-").isdigit():
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - now, 0.0)
    except (ValueError, OverflowError):
        return 0.0


# The failures without an answer. AWS: undocumented; we chose the words.


def timed_out() -> Undelivered:
    """Nothing came back in time; it is tried again."""
    message = f"The API destination did not respond within {TIMEOUT_S:g} seconds."
    return Undelivered(TIMEOUT, message, retryable=True, status=504)


def unreachable(reason: str) -> Undelivered:
    """Nobody is there; it is tried again."""
    message = f"The API destination endpoint cannot be reached: {reason}."
    return Undelivered(CONNECTION_FAILURE, message, retryable=True, status=503)


def unwritable() -> Undelivered:
    """What parameters made of the request is no HTTP; it would be so again."""
    message = "The request is not valid HTTP: a header or the URL has characters that cannot be sent."
    return Undelivered(INVALID_PARAMETER, message, retryable=False)


def gone(what: Iterable[str]) -> Undelivered:
    """The destination, or its connection, was deleted."""
    return Undelivered(NO_RESOURCE, f"{' '.join(what)} does not exist.", retryable=False, status=404)


def not_authorized(connection: str, reason: str) -> Undelivered:
    """The connection cannot authorize requests now. It may be updated, so the event is tried again."""
    message = f"Connection {connection} is not authorized{f': {reason}' if reason else '.'}"
    return Undelivered(NO_PERMISSIONS, message, retryable=True, status=401)
