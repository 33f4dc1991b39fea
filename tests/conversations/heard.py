"""What clients hear, message for message, without what may differ: process ids, and when variables are reported.

Source: https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import struct
from dataclasses import dataclass, field

from workshape.pgproxy import messages
from workshape.pgproxy.messages import HEAD_BYTES, read_head

BODY_SHOWN_BYTES = 200
COLUMN_BYTES = 18
"""Of a RowDescription, behind a column's name; its table's id is the first four."""
LATE = "application_name"
"""When it is reset, the proxy reports it right a moment after the next statement may come."""
COMPLETE = frozenset(b"123TnCIs")
"""What answers one message of the extended protocol."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One message of the server's."""

    kind: int
    body: bytes

    def __str__(self) -> str:
        if self.kind in (messages.ERROR_RESPONSE, messages.NOTICE_RESPONSE):
            found = messages.read_error_fields(self.body)
            rest = " ".join(f"{key}={value!r}" for key, value in found.items() if key not in "SVCM")
            return f"{chr(self.kind)} {found.get('V')} {found.get('C')} {found.get('M')} {rest}".rstrip()
        return f"{chr(self.kind)} {self.body[:BODY_SHOWN_BYTES]!r}"


@dataclass(slots=True)
class Hearing:
    """What one client has heard since its log-in."""

    process_id: bytes
    begun: dict[str, str]
    """What the server said of itself at the log-in."""
    changed: dict[str, str] = field(default_factory=dict)
    """What it has said differently since."""
    heard: list[Heard] = field(default_factory=list)
    notified: list[Heard] = field(default_factory=list)
    """Notifications: they come when they come."""
    _data: bytes = b""

    def feed(self, data: bytes) -> None:
        """Take what came."""
        self._data += data
        position = 0
        while len(self._data) - position >= HEAD_BYTES:
            kind, length = read_head(self._data, position)
            end = position + 1 + length
            if end > len(self._data):
                break
            self._take(kind, self._data[position + HEAD_BYTES : end])
            position = end
        self._data = self._data[position:]

    def _take(self, kind: int, body: bytes) -> None:
        if kind == messages.PARAMETER_STATUS:
            name, value = messages.read_parameter_status(body)
            self.changed[name] = value
            if self.begun.get(name) == value:
                del self.changed[name]
        elif kind == messages.NOTIFICATION_RESPONSE:
            notifier = b"self" if body.startswith(self.process_id) else b"other"
            self.notified.append(Heard(kind, notifier + body[len(self.process_id) :]))
        elif kind == messages.READY_FOR_QUERY:  # a variable has been reported when the next statement may come
            changed = "".join(f" {name}={value!r}" for name, value in sorted(self.changed.items()) if name != LATE)
            self.heard.append(Heard(kind, body + changed.encode()))
        elif kind in (messages.ERROR_RESPONSE, messages.NOTICE_RESPONSE):
            self.heard.append(Heard(kind, _without_place(body)))
        elif kind == messages.ROW_DESCRIPTION:
            self.heard.append(Heard(kind, _without_tables(body)))
        else:
            self.heard.append(Heard(kind, body))

    def count(self, kind: int) -> int:
        """How many messages of this kind there were."""
        return sum(one.kind == kind for one in self.heard)

    def since_ready(self) -> list[Heard]:
        """What was heard since the last ReadyForQuery."""
        last = max((at for at, one in enumerate(self.heard) if one.kind == messages.READY_FOR_QUERY), default=-1)
        return self.heard[last + 1 :]


def _without_place(body: bytes) -> bytes:
    """Leave out where in its source the server says it."""
    return b"\0".join(words for words in body.split(b"\0") if words[:1] not in (b"F", b"L", b"R"))


def _without_tables(body: bytes) -> bytes:
    """Leave out by which ids two databases know like tables."""
    found = body[:2]
    position = 2
    while position < len(body):
        end = body.index(b"\0", position) + 1
        (table,) = struct.unpack_from("!I", body, end)
        found += body[position:end] + (b"a table" if table else b"none") + body[end + 4 : end + COLUMN_BYTES]
        position = end + COLUMN_BYTES
    return found
