"""How our own processes log: one event a line, with its fields; never a payload, never a secret."""

import logging
import sys

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class EventFormatter(logging.Formatter):
    """`2026-11-24T03:00:00Z WARNING http_invoke_failed route='GET /posts/{id}' reason='Rate Exceeded.'`"""

    def format(self, record: logging.LogRecord) -> str:
        """Write the event's name, then what its caller gave as `extra`, then the traceback, if any."""
        fields = {key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS}
        at = self.formatTime(record, "%Y-%m-%dT%H:%M:%S")
        text = f"{at}.{record.msecs:03.0f} {record.levelname} {record.getMessage()}"
        line = " ".join([text, *(f"{key}={value!r}" for key, value in fields.items())])
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def log_events_to_stderr() -> None:
    """Set up the process's logging; its parent keeps what it writes in `.workshape/logs/parts/`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EventFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for noisy in ("httpx", "httpcore", "botocore", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
