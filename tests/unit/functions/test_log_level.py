"""Which lines a function's log level leaves out."""

import pytest

from workshape.functions.log_level import LogLevel, is_too_detailed

TIME = b'"timestamp": "2026-10-08T06:53:49.256Z"'


@pytest.mark.parametrize(
    ("line", "least", "is_left_out"),
    [
        (b'{"level": "DEBUG", ' + TIME + b"}", LogLevel.INFO, True),
        (b'{"level": "debug", "time": "2026-10-08T06:53:49Z"}', LogLevel.INFO, True),
        (b'{"level": "DEBUG", ' + TIME + b"}", LogLevel.DEBUG, False),
        (b'{"level": "ERROR", ' + TIME + b"}", LogLevel.FATAL, True),
        (b'{"level": "WARN", ' + TIME + b"}", LogLevel.WARN, False),
        (b'{"level": "ERROR"}', LogLevel.WARN, True),  # without a valid time it counts as INFO
        (b'{"level": "DEBUG", "timestamp": "noon"}', LogLevel.INFO, False),
        (b'{"level": "loud", ' + TIME + b"}", LogLevel.WARN, True),
        (b'{"level": 7, ' + TIME + b"}", LogLevel.INFO, False),
        (b'{"message": "no level"}', LogLevel.FATAL, False),
        (b"plain text", LogLevel.FATAL, False),
        (b"{not json", LogLevel.FATAL, False),
        (b'{"level": "TRACE", ' + TIME + b"}", LogLevel.TRACE, False),
    ],
)
def test_a_line_below_the_level_is_left_out(line: bytes, least: LogLevel, is_left_out: bool) -> None:
    assert is_too_detailed(line, least) is is_left_out
