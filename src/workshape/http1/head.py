"""The head of a response: status line and header lines.

Source: https://www.rfc-editor.org/rfc/rfc9112#name-status-line
"""

import re
import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


_TEMPLATES_MAX = 1_024  # names of headers, in their order: a few dozen of ours, and what upstreams and functions send
_END = "\r\n"
_NAME = re.compile(r"[!-9;-~]+")  # what is visible, but a colon
_CHUNKED = f"transfer-encoding: chunked{_END}"
_LENGTH = f"content-length: {{length}}{_END}"


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

    Raises:
        ValueError: a header's name or value is none that HTTP can carry; whoever sent it would say something else.
    """
    names, values = zip(*headers, strict=True) if headers else ((), ())
    framing = _CHUNKED if length is None else _LENGTH if length >= 0 else ""
    template, lines = _template(status, names, framing, keep_alive)
    written = template.format(*values, date=_date_line.now(), length=length)
    if written.count("\n") != lines or written.count("\r") != lines:
        raise ValueError("a header's value has a line break")
    return written.encode("latin-1")


@lru_cache(maxsize=_TEMPLATES_MAX)
def _template(status: int, names: tuple[str, ...], framing: str, keep_alive: bool) -> tuple[str, int]:
    """Write the head of all responses that differ in their headers' values only; return how many lines it has, too."""
    if not all(map(_NAME.fullmatch, names)):
        raise ValueError(f"a header's name is none: {names}")
    first = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"
    lines = "".join([f"{_literal(name)}: {{}}\r\n" for name in names])
    own = {name.lower() for name in names}
    date = "" if "date" in own else "{date}"
    if framing == _LENGTH and ("content-length" in own or status < 200 or status == 204):
        framing = ""
    whole = f"{_literal(first)}{lines}{date}{framing}{'' if keep_alive else 'connection: close' + _END}{_END}"
    return whole, whole.count("\n") + bool(date)


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
