"""The head of a response: status line and header lines.

Source: https://www.rfc-editor.org/rfc/rfc9112#name-status-line
"""

import time
from email.utils import formatdate
from http import HTTPStatus

from workshape.http1.header_lines import lower_names, written

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


_OWN = frozenset({"date", "content-length"})


class _DateLine:
    """The `date` header changes once a second; it is written that often and no oftener."""

    def __init__(self) -> None:
        self._second = 0
        self._line = ""

    def now(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = f"date: {formatdate(second, usegmt=True)}\r\n"
        return self._line


_date_line = _DateLine()


def response_head(status: int, headers: tuple[tuple[str, str], ...], length: int | None, *, keep_alive: bool) -> bytes:
    """Write a head, blank line included. `length` is the body's; None: chunked; -1: the body ends with the connection.

    A `date` or `content-length` among the headers stands as it is.
    """
    first = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"
    own = _OWN.intersection(lower_names(headers))
    date = "" if "date" in own else _date_line.now()
    if length is None:
        framing = "transfer-encoding: chunked\r\n"
    elif length >= 0 and "content-length" not in own and status >= 200 and status != 204:
        framing = f"content-length: {length}\r\n"
    else:
        framing = ""
    end = "\r\n" if keep_alive else "connection: close\r\n\r\n"
    return f"{first}{written(headers)}{date}{framing}{end}".encode("latin-1")
