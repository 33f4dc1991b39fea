"""Which lines of functions' logs somebody wants to see. A core.

A request's lines are what its environment's stream has from its START on to its REPORT: what the function prints does
not name the request.
"""

from collections.abc import Callable

from workshape.functions.log_line import LogLine


class LogSelection:
    """Tells line by line, in the order they were written."""

    def __init__(self, matches: Callable[[str], bool] | None = None, request_id: str = "") -> None:
        """`matches` is put to the message; no function and no id: every line."""
        self._matches = matches
        self._request_id = request_id
        self._stream = ""
        """Where the request runs; an id runs once, in one environment."""

    def __repr__(self) -> str:
        return f"<LogSelection request={self._request_id or '*'} filtered={self._matches is not None}>"

    @property
    def is_everything(self) -> bool:
        """Whether no line can be left out."""
        return self._matches is None and not self._request_id

    def takes(self, line: LogLine) -> bool:
        """Tell whether a line is wanted."""
        if self._request_id and not self._is_of_request(line):
            return False
        return self._matches is None or self._matches(line.message)

    def _is_of_request(self, line: LogLine) -> bool:
        message = line.message
        named = self._request_id in message
        if message.startswith("START RequestId: ") or '"type":"platform.start"' in message:
            if named:
                self._stream = line.stream
            elif line.stream == self._stream:
                self._stream = ""
            return named
        return named or (bool(self._stream) and line.stream == self._stream)
