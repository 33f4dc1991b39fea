"""A PostgreSQL server that understands frames only, and answers each as if all were well.

Rows carry the name of whoever is answered, so that a row in the wrong hands shows.
"""

import struct

from workshape.pgproxy import messages
from workshape.pgproxy.messages import message, read_head

_ANSWERS = {
    messages.PARSE: message(messages.PARSE_COMPLETE),
    messages.BIND: message(messages.BIND_COMPLETE),
    messages.DESCRIBE: message(messages.NO_DATA),
    messages.CLOSE: message(messages.CLOSE_COMPLETE),
}
_KINDS = frozenset(b"BCDEHFPQSXdcf")


class FramingPostgres:
    """One backend: bytes in, bytes out."""

    def __init__(self) -> None:
        self.answers_to = b""
        """Whose rows they are."""
        self._data = b""

    @property
    def is_between_messages(self) -> bool:
        """Whether all that came were whole messages."""
        return not self._data

    def receive(self, data: bytes) -> bytes:
        self._data += data
        out = b""
        while len(self._data) >= messages.HEAD_BYTES:
            kind, length = read_head(self._data)
            assert kind in _KINDS, "the proxy passed on what is no message"
            assert length >= 4
            if len(self._data) <= length:
                break
            self._data = self._data[length + 1 :]
            out += self._answer(kind)
        return out

    def _answer(self, kind: int) -> bytes:
        ready = messages.ready_for_query(messages.IDLE)
        row = message(messages.DATA_ROW, struct.pack("!hi", 1, len(self.answers_to)) + self.answers_to)
        done = row + message(messages.COMMAND_COMPLETE, b"SELECT 1\0")
        if kind == messages.QUERY:
            return message(messages.ROW_DESCRIPTION, b"\0\0") + done + ready
        if kind == messages.FUNCTION_CALL:
            return message(messages.FUNCTION_CALL_RESPONSE, b"\xff\xff\xff\xff") + ready
        if kind == messages.SYNC:
            return ready
        return done if kind == messages.EXECUTE else _ANSWERS.get(kind, b"")
