"""A PostgreSQL server that knows the protocol and a handful of statements: what a client would see directly.

Statements: `rows N` (N rows whose values look like messages), `error`, `parameter` (cannot be bound without one),
`begin`, `commit`, `rollback`, `set NAME VALUE` (reported), `show NAME`, `copy in`, `deallocate NAME`, `discard all`,
`select set_config(...)` as the proxy sends it.
Answers are as PostgreSQL's: errors skip to the Sync, a failed transaction refuses everything but its end, a named
statement must not exist yet to be parsed and must exist to be bound, a Sync among COPY data is ignored.
"""

import re
import struct

from workshape.pgproxy import messages
from workshape.pgproxy.messages import message, read_head

DONE = "(has run)"
ENDS = ("commit", "rollback")
LOOKS_LIKE_READY = b"Z\0\0\0\5I"


class ScriptedPostgres:
    """One backend: bytes in, bytes out."""

    def __init__(self) -> None:
        self.variables = {"application_name": "", "TimeZone": "UTC", "client_encoding": "UTF8"}
        self.statements: dict[bytes, str] = {}
        self.portals: dict[bytes, str] = {}
        self.status = messages.IDLE
        self._data = b""
        self._skipping = False
        self._copying = False
        self._copying_extended = False
        self._out: list[bytes] = []

    def receive(self, data: bytes) -> bytes:
        self._data += data
        while len(self._data) >= 5:
            kind, length = read_head(self._data)
            if len(self._data) <= length:
                break
            body, self._data = self._data[5 : length + 1], self._data[length + 1 :]
            self._take(kind, body)
        out = b"".join(self._out)
        self._out.clear()
        return out

    def _take(self, kind: int, body: bytes) -> None:
        if self._copying:
            self._take_copy(kind)
        elif kind == messages.SYNC:
            self._skipping = False
            if self.status == messages.IDLE:
                self.portals.clear()
            self._ready()
        elif self._skipping or kind in (messages.COPY_DATA, messages.COPY_DONE, messages.COPY_FAIL, messages.FLUSH):
            return
        elif kind == messages.QUERY:
            self.statements.pop(b"", None)
            text = body[:-1].decode()
            if self._run(text, extended=False) and not self._copying:
                self._ready()
        else:
            self._extended(kind, body)

    def _take_copy(self, kind: int) -> None:
        if kind in (messages.COPY_DATA, messages.SYNC, messages.FLUSH):
            return
        self._copying = False
        if kind == messages.COPY_DONE:
            self._say(messages.COMMAND_COMPLETE, b"COPY 0\0")
        else:
            self._fail("57014", extended=self._copying_extended)
        if not self._copying_extended and kind != messages.COPY_DONE:
            return  # the error said that it is ready
        if not self._copying_extended:
            self._ready()

    def _extended(self, kind: int, body: bytes) -> None:
        if kind == messages.PARSE:
            self._parse(body)
        elif kind == messages.BIND:
            self._bind(*body.split(b"\0")[:2])
        elif kind == messages.DESCRIBE:
            self._describe(body[:1], body[1:-1])
        elif kind == messages.CLOSE:
            (self.statements if body[:1] == b"S" else self.portals).pop(body[1:-1], None)
            self._say(messages.CLOSE_COMPLETE)
        elif kind == messages.EXECUTE:
            portal = body.split(b"\0")[0]
            bound = self.portals.get(portal)
            if bound is None:
                self._fail("34000")
            elif bound == DONE:
                self._fail("55000")
            else:
                self.portals[portal] = DONE
                self._run(bound, extended=True)
        else:
            raise AssertionError(kind)

    def _bind(self, portal: bytes, name: bytes) -> None:
        if name not in self.statements:
            self._fail("26000")
        elif self.status == messages.FAILED_TRANSACTION and self.statements[name] not in ENDS:
            self._fail("25P02")
        elif self.statements[name] == "parameter":
            self._fail("08P01", says=f'prepared statement "{name.decode()}" requires 1')
        else:
            self.portals[portal] = self.statements[name]
            self._say(messages.BIND_COMPLETE)

    def _parse(self, body: bytes) -> None:
        name, _, rest = body.partition(b"\0")
        text = rest[: rest.find(b"\0")].decode()
        if not name:
            self.statements.pop(b"", None)
        if self.status == messages.FAILED_TRANSACTION and text not in ENDS:
            self._fail("25P02")
        elif text == "broken":
            self._fail("42601")
        elif name and name in self.statements:
            self._fail("42P05", says=f'prepared statement "{name.decode()}" already exists')
        else:
            self.statements[name] = text
            self._say(messages.PARSE_COMPLETE)

    def _describe(self, what: bytes, name: bytes) -> None:
        text = (self.statements if what == b"S" else self.portals).get(name)
        if text is None:
            self._fail("26000" if what == b"S" else "34000")
            return
        if self.status == messages.FAILED_TRANSACTION:
            self._fail("25P02")
            return
        if what == b"S":
            self._say(messages.PARAMETER_DESCRIPTION, b"\0\0")
        self._say(messages.ROW_DESCRIPTION if text.startswith(("rows", "show")) else messages.NO_DATA)

    def _run(self, text: str, *, extended: bool) -> bool:  # noqa: C901 - a table of statements
        """Run a statement; False when it failed (and, in a query, has said that it is ready)."""
        if self.status == messages.FAILED_TRANSACTION and text.lower() not in ENDS:
            return self._fail("25P02", extended=extended)
        words = text.split()
        match words:
            case ["rows", count]:
                if not extended:
                    self._say(messages.ROW_DESCRIPTION)
                for _ in range(int(count)):
                    self._say(messages.DATA_ROW, struct.pack("!hi", 1, 6) + LOOKS_LIKE_READY)
            case ["error"]:
                return self._fail("22012", extended=extended)
            case ["begin"]:
                self.status = messages.IN_TRANSACTION
            case ["commit" | "rollback" | "ROLLBACK"]:
                self.status = messages.IDLE
            case ["set", name, value]:
                self._set(name, value)
            case ["show", name]:
                if not extended:
                    self._say(messages.ROW_DESCRIPTION)
                self._say(messages.DATA_ROW, self.variables[name].encode())
            case ["SELECT", *_] if "set_config" in text:
                for name, value in re.findall(r"set_config\('(\w+)', '([^']*)', false\)", text):
                    self._set(name, value)
            case ["copy", "in"]:
                self._copying, self._copying_extended = True, extended
                self._say(messages.COPY_IN_RESPONSE, b"\0\0\0")
                return True
            case ["deallocate", name]:
                if name.encode() not in self.statements:
                    return self._fail("26000", extended=extended)
                del self.statements[name.encode()]
            case ["discard" | "DISCARD", _]:
                self.statements.clear()
            case _:
                raise AssertionError(text)
        self._say(messages.COMMAND_COMPLETE, words[0].encode() + b"\0")
        return True

    def _set(self, name: str, value: str) -> None:
        if self.variables[name] != value:
            self.variables[name] = value
            self._out.append(messages.parameter_status(name, value))

    def _fail(self, code: str, *, extended: bool = True, says: str = "failed") -> bool:
        self._say(messages.ERROR_RESPONSE, f"SERROR\0VERROR\0C{code}\0M{says}\0Rfailed\0\0".encode())
        if self.status == messages.IN_TRANSACTION:
            self.status = messages.FAILED_TRANSACTION
        if extended:
            self._skipping = True
        else:
            self._ready()
        return False

    def _ready(self) -> None:
        if self.status == messages.IDLE:
            self.portals.clear()
        self._out.append(messages.ready_for_query(self.status))

    def _say(self, kind: int, body: bytes = b"") -> None:
        self._out.append(message(kind, body))
