"""Times as AWS writes them in events, records and logs: ISO 8601, in UTC. A core."""

from datetime import UTC, datetime
from functools import lru_cache

_SECONDS_MAX = 16  # what is written is about now: the same few seconds over and over


def iso_milliseconds(at: float) -> str:
    """Write Unix time as `2026-10-08T06:53:49.256Z`."""
    second, microsecond = divmod(round(at * 1_000_000), 1_000_000)
    return f"{_second(second)}.{microsecond // 1_000:03d}Z"


def iso_seconds(at: float) -> str:
    """Write Unix time as `2026-10-08T06:53:49Z`."""
    return f"{_second(int(at))}Z"


@lru_cache(maxsize=_SECONDS_MAX)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
