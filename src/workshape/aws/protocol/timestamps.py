"""Moments as the protocols write them. A moment is a `datetime` with a zone or, in outputs, also Unix seconds.

Source: https://smithy.io/2.0/spec/protocol-traits.html#timestampformat-trait
"""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from workshape.aws.protocol.errors import Malformed

UNIX = "unixTimestamp"
ISO = "iso8601"
HTTP = "rfc822"


def timestamp_reader(format_name: str) -> Callable[[Any], datetime]:
    """Choose how a format's values are read; what does not parse is `Malformed`."""
    read = _READERS[format_name]

    def checked(value: Any) -> datetime:
        try:
            return read(value)
        except (ValueError, TypeError, OverflowError, OSError) as error:  # the last: the system's calendar ends sooner
            raise Malformed(place="", expected=f"a timestamp ({format_name})") from error

    return checked


def timestamp_writer(format_name: str) -> Callable[[Any], Any]:
    """Choose how moments are written: a number for Unix time, else text."""
    return _WRITERS[format_name]


def moment(value: Any) -> datetime:
    """Take a moment or Unix seconds."""
    return value.astimezone(UTC) if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)


def _read_unix(value: Any) -> datetime:
    if isinstance(value, bool):
        raise TypeError("a truth value is no time")
    return datetime.fromtimestamp(float(value), UTC)


def _read_iso(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _read_http(value: Any) -> datetime:
    moment = parsedate_to_datetime(value)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _write_unix(value: Any) -> float | int:
    seconds: float = value.timestamp() if isinstance(value, datetime) else value
    return int(seconds) if seconds == int(seconds) else round(seconds, 3)


def _write_iso(value: Any) -> str:
    at = moment(value)
    precision = "milliseconds" if at.microsecond else "seconds"
    return at.isoformat(timespec=precision).replace("+00:00", "Z")


def _write_http(value: Any) -> str:
    return format_datetime(moment(value), usegmt=True)


_READERS: dict[str, Callable[[Any], datetime]] = {UNIX: _read_unix, ISO: _read_iso, HTTP: _read_http}
_WRITERS: dict[str, Callable[[Any], Any]] = {UNIX: _write_unix, ISO: _write_iso, HTTP: _write_http}
