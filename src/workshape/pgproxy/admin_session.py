"""A client on the admin console: PostgreSQL's protocol on one side, commands and tables on the other.

The simple and the extended protocol both, so that any driver will do. A command may be answered later (PAUSE waits):
until then nothing further is read.

Source: https://www.postgresql.org/docs/current/protocol-flow.html
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from workshape.pgproxy import messages
from workshape.pgproxy.admin_commands import Command, Show, UnknownCommand, read_command
from workshape.pgproxy.admin_tables import TableShown, command_complete
from workshape.pgproxy.messages import MessageBuffer, ProtocolViolation
from workshape.pgproxy.sqlstate import (
    FEATURE_NOT_SUPPORTED,
    INVALID_CURSOR_NAME,
    INVALID_STATEMENT_NAME,
    SYNTAX_ERROR,
    WireError,
)

STATEMENTS_MAX = 100  # prepared by one client: drivers' caches hold as many
EMPTY_QUERY = messages.message(messages.EMPTY_QUERY_RESPONSE)
_NO_DATA = messages.message(messages.NO_DATA)
_NO_PARAMETERS = messages.message(messages.PARAMETER_DESCRIPTION, b"\0\0")

WELCOME_TO_ADMIN = b"".join(
    [
        *(
            messages.parameter_status(name, value)
            for name, value in {
                "server_version": "18.0 (workshape proxy)",
                "client_encoding": "UTF8",
                "server_encoding": "UTF8",
                "DateStyle": "ISO, MDY",
                "TimeZone": "UTC",
                "integer_datetimes": "on",
                "standard_conforming_strings": "on",
            }.items()
        ),
        messages.message(messages.BACKEND_KEY_DATA, bytes(8)),
        messages.ready_for_query(messages.IDLE),
    ]
)
"""What drivers want to know before they speak."""

Answer = TableShown | str | WireError
"""A table, the tag of a command that is done, or why it is not."""


@dataclass(frozen=True, slots=True)
class _Portal:
    command: Command | None
    formats: tuple[int, ...]
    answer: Answer | None
    """Of a table: it is taken when the portal is made, so that Describe and Execute agree."""


class AdminSession:
    """One client. `receive` its bytes, `answer` what was left open; what it is to be told lies in `to_client`."""

    def __init__(self, execute: Callable[[Command], Answer | None]) -> None:
        """`execute` does a command and gives its answer, or None: `answer` brings it later."""
        self.to_client: list[bytes] = []
        self.is_over = False
        """It said good-bye."""
        self._execute = execute
        self._buffer = MessageBuffer()
        self._statements: dict[bytes, Command | None] = {}
        self._portals: dict[bytes, _Portal] = {}
        self._is_waiting = False
        self._is_simple = False
        """The command that is waited for came by a Query, which ends with ReadyForQuery."""
        self._is_ignoring = False
        """A message failed: skip up to its Sync."""

    def __repr__(self) -> str:
        return f"<AdminSession waiting={self._is_waiting}>"

    def receive(self, data: bytes) -> None:
        """Take what the client sent.

        Raises:
            ProtocolViolation: it cannot be understood.
        """
        self._buffer.feed(data)
        self._go_on()

    def answer(self, answer: Answer) -> None:
        """Bring the answer that was left open, and go on with what came since.

        Raises:
            ProtocolViolation: what came since cannot be understood.
        """
        assert self._is_waiting
        self._is_waiting = False
        self._tell(answer, (), described=False)
        if self._is_simple:
            self._ready()
        self._go_on()

    def _go_on(self) -> None:
        while not self._is_waiting and not self.is_over:
            found = self._buffer.next_message()
            if found is None:
                return
            try:
                self._message(*found)
            except UnknownCommand as error:
                self._fail(WireError(SYNTAX_ERROR, error.reason))

    def _message(self, kind: int, body: bytes) -> None:
        if kind == messages.TERMINATE:
            self.is_over = True
        elif kind == messages.SYNC:
            self._is_ignoring = False
            self._ready()
        elif self._is_ignoring or kind == messages.FLUSH:
            return
        elif kind == messages.QUERY:
            self._query(body)
        elif kind == messages.PARSE:
            self._parse(body)
        elif kind == messages.BIND:
            self._bind(body)
        elif kind == messages.DESCRIBE:
            self._describe(body[:1], body[1:-1])
        elif kind == messages.EXECUTE:
            self._run(body.partition(b"\0")[0])
        elif kind == messages.CLOSE:
            self._close(body[:1], body[1:-1])
            self.to_client.append(messages.message(messages.CLOSE_COMPLETE))
        else:
            self._fail(WireError(FEATURE_NOT_SUPPORTED, f"the admin console does not take messages {chr(kind)!r}"))

    # the simple protocol

    def _query(self, body: bytes) -> None:
        self._is_simple = True
        try:
            command = read_command(_text(body[:-1]))
        except UnknownCommand as error:
            self.to_client.append(bytes(WireError(SYNTAX_ERROR, error.reason)))
            self._ready()
            return
        if command is None:
            self.to_client.append(EMPTY_QUERY)
            self._ready()
            return
        answer = self._execute(command)
        if answer is None:
            self._is_waiting = True
            return
        self._tell(answer, (), described=False)
        self._ready()

    # the extended protocol

    def _parse(self, body: bytes) -> None:
        name, _, rest = body.partition(b"\0")
        text, _, types = rest.partition(b"\0")
        if types[:2] not in (b"", b"\0\0"):
            raise UnknownCommand(reason="commands of the admin console take no parameters")
        if len(self._statements) >= STATEMENTS_MAX:
            raise UnknownCommand(reason=f"more than {STATEMENTS_MAX} prepared statements on the admin console")
        self._statements[name] = read_command(_text(text))
        self.to_client.append(messages.message(messages.PARSE_COMPLETE))

    def _bind(self, body: bytes) -> None:
        portal, _, rest = body.partition(b"\0")
        name, _, rest = rest.partition(b"\0")
        if name not in self._statements:
            self._fail(WireError(INVALID_STATEMENT_NAME, f"prepared statement {_text(name)!r} does not exist"))
            return
        command = self._statements[name]
        answer = self._now(command)
        asked = _result_formats(rest)
        formats = answer.formats(asked) if isinstance(answer, TableShown) else ()
        if len(self._portals) >= STATEMENTS_MAX:
            raise UnknownCommand(reason=f"more than {STATEMENTS_MAX} portals on the admin console")
        self._portals[portal] = _Portal(command, formats, answer)
        self.to_client.append(messages.message(messages.BIND_COMPLETE))

    def _describe(self, what: bytes, name: bytes) -> None:
        if what == b"S":
            if name not in self._statements:
                self._fail(WireError(INVALID_STATEMENT_NAME, f"prepared statement {_text(name)!r} does not exist"))
                return
            self.to_client.append(_NO_PARAMETERS)
            answer = self._now(self._statements[name])
            formats = answer.formats(()) if isinstance(answer, TableShown) else ()
        else:
            portal = self._portals.get(name)
            if portal is None:
                self._fail(WireError(INVALID_CURSOR_NAME, f"portal {_text(name)!r} does not exist"))
                return
            answer, formats = portal.answer, portal.formats
        self.to_client.append(answer.description(formats) if isinstance(answer, TableShown) else _NO_DATA)

    def _run(self, name: bytes) -> None:
        self._is_simple = False
        portal = self._portals.pop(name, None)
        if portal is None:
            self._fail(WireError(INVALID_CURSOR_NAME, f"portal {_text(name)!r} does not exist"))
        elif portal.command is None:
            self.to_client.append(EMPTY_QUERY)
        else:
            answer = portal.answer if portal.answer is not None else self._execute(portal.command)
            if answer is None:
                self._is_waiting = True
            else:
                self._tell(answer, portal.formats, described=True)

    def _close(self, what: bytes, name: bytes) -> None:
        if what == b"S":
            self._statements.pop(name, None)
        else:
            self._portals.pop(name, None)

    def _now(self, command: Command | None) -> Answer | None:
        """The answer to a command that only looks; None for one that does something, which is done at Execute."""
        return self._execute(command) if isinstance(command, Show) else None

    # answers

    def _tell(self, answer: Answer, formats: tuple[int, ...], *, described: bool) -> None:
        if isinstance(answer, WireError):
            if self._is_simple:
                self.to_client.append(bytes(answer))
            else:
                self._fail(answer)
        elif isinstance(answer, str):
            self.to_client.append(command_complete(answer))
        else:
            formats = formats or answer.formats(())
            if not described:
                self.to_client.append(answer.description(formats))
            self.to_client.append(answer.data(formats))

    def _fail(self, error: WireError) -> None:
        self.to_client.append(bytes(error))
        self._is_ignoring = True

    def _ready(self) -> None:
        self.to_client.append(messages.ready_for_query(messages.IDLE))


def _result_formats(rest: bytes) -> tuple[int, ...]:
    """Read what Bind says after its two names: formats of parameters, parameters, formats of results.

    Raises:
        ProtocolViolation: it is cut short, or has parameters.
    """
    try:
        (parameter_formats,) = struct.unpack_from("!H", rest)
        offset = 2 + 2 * parameter_formats
        (parameters,) = struct.unpack_from("!H", rest, offset)
        if parameters:
            raise ProtocolViolation(reason="commands of the admin console take no parameters")
        (count,) = struct.unpack_from("!H", rest, offset + 2)
        return struct.unpack_from(f"!{count}H", rest, offset + 4)
    except struct.error as error:
        raise ProtocolViolation(reason="insufficient data left in message") from error


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
