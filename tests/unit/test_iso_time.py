"""Times as text."""

import pytest

from workshape.iso_time import iso_milliseconds, iso_seconds


@pytest.mark.parametrize(
    ("at", "milliseconds", "seconds"),
    [
        (1_791_442_429.2567, "2026-10-08T06:53:49.256Z", "2026-10-08T06:53:49Z"),
        (0.0, "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00Z"),
        (1.9999999, "1970-01-01T00:00:02.000Z", "1970-01-01T00:00:01Z"),
        (-0.001, "1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z"),
    ],
)
def test_times_are_written_to_the_millisecond_or_the_second(at: float, milliseconds: str, seconds: str) -> None:
    assert (iso_milliseconds(at), iso_seconds(at)) == (milliseconds, seconds)
