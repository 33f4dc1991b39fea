"""One client's session, after its log-in: what it says, for which connection, and what keeps it there.

Bytes come in by `receive`; what is to go out lies in `to_database` and `to_client`. Without a connection, the session
holds what it got and asks for one (`Want.CONNECTION`); `attach` goes on, `refuse` answers in the database's place.

Source: https://www.postgresql.org/docs/current/protocol-flow.html
"""

from enum import Enum, auto

from workshape.pgproxy import messages
from workshape.pgproxy.client_state import ClientState
from workshape.pgproxy.client_statements import ClientStatements, Statements
from workshape.pgproxy.expected import (
    CLOSE,
    COPY_END,
    DESCRIBE,
    EXECUTE,
    NOT_ASKED,
    QUERY,
    SYNC,
    AnswerKind,
    Expected,
)
from workshape.pgproxy.link import Link
from workshape.pgproxy.messages import HEAD_BYTES, KIB, ProtocolViolation, read_head
from workshape.pgproxy.sqlstate import WireError

MIB = 1024 * KIB
TEXT_BYTES_MAX = (
    MIB  # a longer statement is passed on as it comes, unread, and pins: this is all a client can make us keep
)
MESSAGE_BYTES_MAX = (1 << 30) - 2  # as the server itself: PQ_LARGE_MESSAGE_LIMIT
NAMES_BYTES_MAX = 16 * KIB  # the names that Bind, Describe and Close begin with

STATEMENT = b"S"
BIND_TYPE = bytes((messages.BIND,))
_UNNAMED, _UNNAMED_TWICE, _UNNAMED_PORTAL = b"\0", b"\0\0", b"P\0"
# Names of this module's own: they are looked up for every message.
_QUERY, _PARSE, _BIND, _DESCRIBE = messages.QUERY, messages.PARSE, messages.BIND, messages.DESCRIBE
_EXECUTE, _SYNC = messages.EXECUTE, messages.SYNC
_KNOWN = frozenset(b"BCDEHFPQSXdcf")
_TEXTS = frozenset({messages.QUERY, messages.PARSE})
_NAMED = frozenset({messages.BIND, messages.DESCRIBE, messages.CLOSE})
_ASK_AT_ONCE = frozenset({messages.QUERY, messages.PARSE, messages.BIND})
_ALONE_NOTHING = frozenset({messages.COPY_DATA, messages.COPY_DONE, messages.COPY_FAIL, messages.FLUSH})
"""What means nothing where nothing has begun: COPY data that comes after the COPY failed, a Flush after the Sync."""
_QUERIES = frozenset({messages.QUERY, messages.FUNCTION_CALL})


class Want(Enum):
    """What a session needs next."""

    NOTHING = auto()
    CONNECTION = auto()
    END = auto()
    """The client said good-bye."""


_NOTHING, _CONNECTION = Want.NOTHING, Want.CONNECTION


class Session:
    """One client's."""

    __slots__ = (
        "_dropping",
        "_held",
        "_ignoring",
        "_is_over",
        "_needed",
        "_skip",
        "_statements",
        "link",
        "queries",
        "state",
        "to_client",
        "to_database",
    )

    def __init__(self, state: ClientState, statements: Statements) -> None:
        """`statements` are those of all clients."""
        self.state = state
        self.link: Link | None = None
        self.to_client = b""
        self.to_database = b""
        self.queries = 0
        """Statements passed on: Query, Execute and FunctionCall messages."""
        self._statements = ClientStatements(state, statements)
        self._held: bytearray | None = None
        """None while there is nothing: thousands of clients are idle."""
        self._needed = HEAD_BYTES
        self._skip = 0
        self._dropping = False
        """What is skipped of a message is not passed on."""
        self._ignoring = False
        """A batch was refused in the database's place: skip up to its Sync."""
        self._is_over = False
        """The client said good-bye: what it sent before is still run, as without us."""

    def __repr__(self) -> str:
        pins = ",".join(reason.name for reason in self.state.pins)
        return f"<Session link={self.link.id if self.link else None} held_bytes={len(self._held or b'')} pins={pins}>"

    @property
    def may_detach(self) -> bool:
        """Whether the connection can be given to somebody else."""
        return self.link is not None and self.link.at_rest and not self.state.pins and not self._skip

    @property
    def is_quiet(self) -> bool:
        """Whether the client has sent nothing, or less than a message, since it was last answered."""
        return not self._skip and (self.link is None or not self.link.expected)

    @property
    def may_hang_up(self) -> bool:
        """Whether a ROLLBACK would bring the connection to rest: nothing is owed, no message is half passed on.

        To a client that said good-bye nothing is owed; but COPY data that does not come is waited for.
        """
        link = self.link
        return link is not None and not self._skip and (not link.expected or (self._is_over and not link.copying_in))

    # the connection

    def attach(self, link: Link) -> Want:
        """Go on with this connection."""
        assert self.link is None
        assert link.holder is None
        self.link = link
        link.holder = self.state
        link.served = self.state.session_key
        restoring = link.restore(self.state.variables)
        if restoring:
            self.to_database += restoring
        return _NOTHING if self._held is None else self._go_on()

    def detach(self) -> Link:
        """Let go of the connection."""
        assert self.link is not None
        link, self.link = self.link, None
        link.holder = None
        return link

    # from the client

    def asks_at_once(self, data: bytes) -> bool:
        """Whether this is sure to need a connection: then `attach` may come before `receive`, and nothing is held."""
        if self.link is not None or self._held or self._skip or self._ignoring or len(data) <= HEAD_BYTES:
            return False
        kind, length = read_head(data)
        return kind in _ASK_AT_ONCE and 4 <= length < len(data)

    def receive(self, data: bytes, now: float) -> Want:
        """Take what the client sent.

        Raises:
            ProtocolViolation: it is no message; the session cannot go on.
        """
        self._statements.now = now
        if self._held:
            self._hold(data)
            return _NOTHING if len(self._held) < self._needed else self._go_on()
        if self.link is not None:
            return self._relay(self.link, data)
        asks = self.asks_at_once(data)
        self._hold(data)
        return _CONNECTION if asks else self._next_want()

    def hold(self, data: bytes, now: float) -> None:
        """Keep what the client sent, until there is a connection: for what `asks_at_once`."""
        self._statements.now = now
        self._hold(data)

    def refuse(self, error: WireError) -> Want:
        """Answer everything that was held in the database's place; the session survives."""
        data = self._take_held()
        self._needed = HEAD_BYTES
        position = 0
        while len(data) - position >= HEAD_BYTES:
            kind, length = _checked_head(data, position)
            end = position + 1 + length
            if len(data) < min(end, position + self._head_needed(kind, length)):
                break
            self._refuse_message(kind, error)
            if kind == messages.TERMINATE:
                return Want.END
            position = end
        if position > len(data):
            self._skip, self._dropping = position - len(data), True
        else:
            self._hold(data[position:])
        return _NOTHING

    def _refuse_message(self, kind: int, error: WireError) -> None:
        if kind in _QUERIES and not self._ignoring:
            self.to_client += bytes(error) + messages.ready_for_query(messages.IDLE)
        elif kind == messages.SYNC:
            self.to_client += messages.ready_for_query(messages.IDLE)
            self._ignoring = False
        elif kind not in _ALONE_NOTHING and kind != messages.TERMINATE and not self._ignoring:
            self.to_client += bytes(error)
            self._ignoring = True

    # what is held

    def _hold(self, data: bytes) -> None:
        if data:
            if self._held is None:
                self._held = bytearray()
            self._held += data

    def _take_held(self) -> bytes:
        held, self._held = self._held, None
        return b"" if held is None else bytes(held)

    def _go_on(self) -> Want:
        if self.link is None:
            return self._next_want()
        return self._relay(self.link, self._take_held()) if self._held else Want.NOTHING

    def _next_want(self) -> Want:
        """Look at what is held, while there is no connection, and throw away what needs none."""
        data = self._take_held()
        position = self._skip
        want = Want.NOTHING
        self._needed = HEAD_BYTES
        while len(data) - position >= HEAD_BYTES:
            kind, length = _checked_head(data, position)
            end = position + 1 + length
            if kind == messages.TERMINATE:
                return Want.END
            if self._ignoring:
                if kind == messages.SYNC:
                    self.to_client += messages.ready_for_query(messages.IDLE)
                    self._ignoring = False
            elif kind not in _ALONE_NOTHING:
                self._needed = self._head_needed(kind, length)
                want = Want.CONNECTION if len(data) - position >= self._needed else Want.NOTHING
                break
            position = end
        self._skip = max(0, position - len(data))
        self._dropping = self._skip > 0
        self._hold(data[position:])
        return want

    @staticmethod
    def _head_needed(kind: int, length: int) -> int:
        """How many bytes of a message must be here before it is passed on."""
        if kind in _TEXTS:
            return length + 1 if length <= TEXT_BYTES_MAX else HEAD_BYTES + 1
        if kind in _NAMED:
            return min(length + 1, NAMES_BYTES_MAX)
        return HEAD_BYTES

    # what is passed on

    def _relay(self, link: Link, data: bytes) -> Want:
        out: list[bytes] = []
        self._needed = HEAD_BYTES
        size = len(data)
        position = self._skip
        done = position if self._dropping else 0
        replacement: bytes | None = b"" if self._dropping else None
        while (position := self._pass_plain(link, data, position)) <= size - HEAD_BYTES:
            kind, length = _checked_head(data, position)
            end = position + 1 + length
            if size < end:
                self._needed = self._head_needed(kind, length)
                if size - position < self._needed:
                    break
            if kind == messages.TERMINATE:
                self._is_over = True
                self.to_database += b"".join((*out, data[done:position]))
                return Want.END
            is_ignored = link.ignoring and kind != messages.SYNC
            replacement = b"" if is_ignored else _PASS_ON[kind](self, link, data, position, end)
            if replacement is not None:
                out.append(data[done:position])
                out.append(replacement)
                done = end
            position = end
        if position > size:
            # Of a message that is cut, the rest follows what replaced its beginning, unless it was replaced by nothing.
            self._skip, self._dropping = position - size, replacement == b""
        else:
            self._skip, self._dropping = 0, False
            self._hold(data[position:])
        rest = data[done:position] if done or position < size else data
        self.to_database += b"".join((*out, rest)) if out else rest
        if link.expected and link.expected[0].kind in NOT_ASKED and link.at_message_boundary:
            self.to_client += link.made_here()
        return _NOTHING

    def _pass_plain(self, link: Link, data: bytes, position: int) -> int:
        """Take note of the usual: whole messages that go on as they are, and that leave nothing behind.

        Returns how far they go; what follows is looked at closely. A shorter way only: the longer one does the same.
        """
        statements, expected = self._statements, link.expected
        size = len(data)
        while size - position >= HEAD_BYTES and not link.ignoring:
            kind, length = read_head(data, position)
            end = position + 1 + length
            body = position + HEAD_BYTES
            if end > size or length < 4:
                break
            if kind == _QUERY:
                if link.unsynced or not statements.takes_query(link, data[body : end - 1]):
                    break
                self.queries += 1
            elif kind == _SYNC:
                if link.copying_in or statements.lifts:
                    break
                link.unsynced = False
                expected.append(SYNC)
            elif not _takes_part(statements, link, data, body, end, kind):
                break
            else:
                link.unsynced = True
                self.queries += kind == _EXECUTE
            position = end
        return position

    def _query(self, link: Link, data: bytes, position: int, end: int) -> bytes | None:
        self.queries += 1
        if link.unsynced:
            self._statements.end_batch(data[position + HEAD_BYTES : end - 1])
        first, entry = self._statements.query(link, data[position + HEAD_BYTES : end - 1], is_cut=end > len(data))
        link.expected.append(entry)
        wake = self._statements.take_wake(link)
        return None if not first and not wake else first + data[position:end] + wake

    def _parse(self, link: Link, data: bytes, position: int, end: int) -> bytes | None:
        link.unsynced = True
        name_end = data.find(b"\0", position + HEAD_BYTES)
        if name_end < 0 or end > len(data):
            self._statements.parse_unread(link, data[position + HEAD_BYTES :][:NAMES_BYTES_MAX])
            return None
        return self._statements.parse(link, data[position + HEAD_BYTES : name_end], data[name_end + 1 : end])

    def _bind(self, link: Link, data: bytes, position: int, end: int) -> bytes | None:
        link.unsynced = True
        portal_end = _zero(data, position + HEAD_BYTES, end)
        name_end = _zero(data, portal_end + 1, end)
        name = data[portal_end + 1 : name_end]
        found, first = self._statements.bind(link, name)
        if found == name:
            return None if not first else first + data[position:end]
        length = end - position - 1 + len(found) - len(name)
        head = BIND_TYPE + length.to_bytes(4, "big")
        return b"".join((first, head, data[position + HEAD_BYTES : portal_end + 1], found, data[name_end:end]))

    def _describe(self, link: Link, data: bytes, position: int, end: int) -> bytes | None:
        link.unsynced = True
        what, name = _what_and_name(data, position, end)
        if what != STATEMENT:
            link.expected.append(DESCRIBE)
            return None
        found, first = self._statements.find(link, name)
        link.expected.append(DESCRIBE if found == name else Expected(AnswerKind.DESCRIBE, named=name))
        if found == name:
            return None if not first else first + data[position:end]
        return first + messages.message(messages.DESCRIBE, STATEMENT + found + b"\0")

    def _close(self, link: Link, data: bytes, position: int, end: int) -> bytes | None:
        link.unsynced = True
        what, name = _what_and_name(data, position, end)
        if what == STATEMENT:
            return b"" if self._statements.close(link, name) else None
        link.expected.append(CLOSE)
        return None

    def _execute(self, link: Link, data: bytes, position: int, end: int) -> None:
        self.queries += 1
        link.unsynced = True
        link.expected.append(EXECUTE)

    def _pass_by(self, link: Link, data: bytes, position: int, end: int) -> None:
        """Begin and end nothing: drivers send a Flush after a Sync, too."""

    def _sync(self, link: Link, data: bytes, position: int, end: int) -> bytes | None:
        if link.copying_in:  # the server ignores it, and another must come after the data
            return None
        link.unsynced = False
        link.ignoring = False
        lift = self._statements.take_lift()
        link.expected.append(SYNC if lift is None else Expected(AnswerKind.READY, lift=lift))
        wake = self._statements.take_wake(link)
        return data[position:end] + wake if wake else None

    def _function_call(self, link: Link, data: bytes, position: int, end: int) -> None:
        self.queries += 1
        self._statements.call_function()
        link.expected.append(QUERY)

    def _copy_data(self, link: Link, data: bytes, position: int, end: int) -> bytes | None:
        return None if link.expected or link.unsynced else b""

    def _copy_end(self, link: Link, data: bytes, position: int, end: int) -> bytes | None:
        if not link.expected and not link.unsynced:
            return b""
        if link.copying_in:
            link.copying_in = False
        else:
            link.expected.append(COPY_END)
        return None


_PASS_ON = {
    messages.QUERY: Session._query,
    messages.PARSE: Session._parse,
    messages.BIND: Session._bind,
    messages.DESCRIBE: Session._describe,
    messages.CLOSE: Session._close,
    messages.EXECUTE: Session._execute,
    messages.FLUSH: Session._pass_by,
    messages.SYNC: Session._sync,
    messages.FUNCTION_CALL: Session._function_call,
    messages.COPY_DATA: Session._copy_data,
    messages.COPY_DONE: Session._copy_end,
    messages.COPY_FAIL: Session._copy_end,
}


def _takes_part(statements: ClientStatements, link: Link, data: bytes, body: int, end: int, kind: int) -> bool:
    """Take note of a usual part of a batch, for `Session._pass_plain`; False: nothing was noted."""
    if kind == _EXECUTE:
        link.expected.append(EXECUTE)
        return True
    if kind == _BIND:  # portal and statement, both unnamed
        return data.startswith(_UNNAMED_TWICE, body, end) and statements.takes_unnamed_bind(link)
    if kind == _PARSE:
        return data.startswith(_UNNAMED, body, end) and statements.takes_unnamed_parse(link, data[body + 1 : end])
    if kind == _DESCRIBE and data[body:end] == _UNNAMED_PORTAL:
        link.expected.append(DESCRIBE)
        return True
    return False


def _checked_head(data: bytes, position: int) -> tuple[int, int]:
    kind, length = read_head(data, position)
    if kind not in _KNOWN:
        raise ProtocolViolation(reason=f"invalid frontend message type {kind}")
    if not 4 <= length <= MESSAGE_BYTES_MAX:
        raise ProtocolViolation(reason="invalid message length")
    return kind, length


def _zero(data: bytes, start: int, end: int) -> int:
    found = data.find(b"\0", start, end)
    if found < 0:
        raise ProtocolViolation(reason="invalid message format: a name without an end")
    return found


def _what_and_name(data: bytes, position: int, end: int) -> tuple[bytes, bytes]:
    """Read a Describe or Close: of a statement or a portal, and its name."""
    zero = _zero(data, position + HEAD_BYTES + 1, end)
    if zero != end - 1:
        raise ProtocolViolation(reason="invalid message format")
    return data[position + HEAD_BYTES : position + HEAD_BYTES + 1], data[position + HEAD_BYTES + 1 : zero]
