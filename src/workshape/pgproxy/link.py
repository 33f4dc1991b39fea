"""One connection to the database, after its log-in: what the server still owes, and to whom its answers go.

Bytes in, bytes out: nothing is kept but the tail of a message's head. Rows are never looked into.

Source: https://www.postgresql.org/docs/current/protocol-flow.html
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, MutableMapping
from itertools import count
from weakref import WeakValueDictionary

from workshape.pgproxy import messages
from workshape.pgproxy.client_state import CARRIED, ClientState
from workshape.pgproxy.expected import (
    CLOSE_COMPLETE,
    COMPLETES,
    NOT_ASKED,
    OUR_CLOSE,
    OUR_QUERY,
    OUR_WAKE,
    PARSE_COMPLETE,
    QUERY,
    SYNC,
    AnswerKind,
    Expected,
    Prepared,
    Statement,
    Undo,
    may_fail_before_next,
    take_again,
    take_made_here,
)
from workshape.pgproxy.messages import HEAD_BYTES, KIB, ProtocolViolation, read_head
from workshape.pgproxy.rewording import ERROR_BYTES_MAX, NAME_PREFIX, NOTIFIER_END, PROCESS_ID_BYTES, reworded
from workshape.pgproxy.sqlstate import CACHED_PLAN_CHANGED, INVALID_STATEMENT_NAME, WireError, transaction_refused
from workshape.pgproxy.variables_sql import rename, set_variables
from workshape.settings import PoolMode

STATEMENTS_MAX = 500  # prepared on one connection: each costs the server some KiB; the least used makes room
STATUS_BYTES_MAX = 64 * KIB  # a reported variable
ERROR_HEAD_BYTES = 96  # severity twice, the SQLSTATE and the message's beginning come first
READY_BYTES = HEAD_BYTES + 1
SCHEMA_TAGS = (b"ALTER ", b"CREATE ", b"DROP ")  # of commands after which the same text may mean something else
TAG_BYTES = max(map(len, SCHEMA_TAGS))
FATAL_SEVERITIES = ("FATAL", "PANIC")

# What needs no note, for it neither completes anything nor changes the state.
_PASSIVE = frozenset(
    {
        messages.DATA_ROW,
        messages.COPY_DATA,
        messages.COPY_DONE,
        messages.COPY_OUT_RESPONSE,
        messages.PARAMETER_DESCRIPTION,
        messages.NOTICE_RESPONSE,
        messages.FUNCTION_CALL_RESPONSE,
    }
)
_ROWS = frozenset({messages.DATA_ROW, messages.PARAMETER_DESCRIPTION})
_SCHEMA_INITIALS = frozenset(tag[0] for tag in SCHEMA_TAGS)
_MUST_MATCH = frozenset({messages.PARSE_COMPLETE, messages.BIND_COMPLETE, messages.CLOSE_COMPLETE})

# Names of this module's own: they are looked up for every message.
_MADE_HERE, _COPY_END = AnswerKind.MADE_HERE, AnswerKind.COPY_END
_READY_FOR_QUERY, _COMMAND_COMPLETE = messages.READY_FOR_QUERY, messages.COMMAND_COMPLETE


class Link:
    """One connection. `holder` is whose it is at the moment."""

    __slots__ = (
        "__weakref__",
        "_backends",
        "_failed",
        "_has_changed_schema",
        "_numbers",
        "_schema_changed",
        "_skip",
        "_skip_swallowed",
        "_tail",
        "application",
        "broken",
        "copying_in",
        "expected",
        "holder",
        "id",
        "ignoring",
        "key",
        "leave_alone",
        "offence",
        "parameters",
        "prepared",
        "said_why",
        "served",
        "status",
        "unnamed",
        "unsynced",
        "variables",
    )

    def __init__(
        self,
        link_id: int,
        parameters: Mapping[str, str],
        key: bytes,
        schema_changed: Callable[[], None] = lambda: None,
        leave_alone: Callable[[str], None] = lambda _database: None,
        backends: MutableMapping[bytes, "Link"] | None = None,
    ) -> None:
        """`parameters` are what the server reported at log-in, `key` what a cancel request needs.

        `schema_changed` is called when tables, types or the like are others now: what was prepared may not fit them.
        `leave_alone` is called before a statement that wants a database, by its real name, for itself.
        `backends` are the connections to the same server by their process ids; this one adds itself.
        """
        self.id = link_id
        self.parameters = dict(parameters)
        self.application = parameters.get("application_name", "")
        """What a RESET of application_name leads to."""
        self.variables: Mapping[str, str] = {name: parameters[name] for name in CARRIED if name in parameters}
        self.key = key
        self.holder: ClientState | None = None
        self.status = messages.IDLE
        self.expected: deque[Expected] = deque()
        self.prepared: OrderedDict[Statement, bytes] = OrderedDict()
        self.unnamed: Prepared | None = None
        """What the unnamed statement is."""
        self.unsynced = False
        """The client began a batch of the extended protocol and has not sent its Sync."""
        self.ignoring = False
        """The server reported an error in such a batch and skips everything until the Sync."""
        self.copying_in = False
        """The server reads COPY data: a Sync among it gets no answer."""
        self.broken = ""
        """Why the connection must not be used again; empty: it may."""
        self.offence: WireError | None = None
        """What its client did that it must not: it is told that in the end."""
        self.said_why = False
        """The server reported a fatal error: it hangs up next."""
        self.served = b""
        """What its last holder was given for cancel requests; it begins with the process id that others are told."""
        self._backends = WeakValueDictionary[bytes, "Link"]() if backends is None else backends
        self._backends[key[:PROCESS_ID_BYTES]] = self
        self._failed = False
        self.leave_alone = leave_alone
        self._schema_changed = schema_changed
        self._has_changed_schema = False
        """In the transaction that is open."""
        self._numbers = count(1)
        self._tail = b""
        self._skip = 0
        self._skip_swallowed = False

    def __repr__(self) -> str:
        return f"<Link {self.id} {chr(self.status)} expected={len(self.expected)} held={self.holder is not None}>"

    @property
    def backend_pid(self) -> int:
        """The process id of the server's end.

        Source: https://www.postgresql.org/docs/current/protocol-message-formats.html (BackendKeyData)
        """
        return int.from_bytes(self.key[:PROCESS_ID_BYTES])

    @property
    def at_rest(self) -> bool:
        """Whether no transaction is open and nothing is owed in either direction."""
        return (
            self.status == messages.IDLE
            and not self.expected
            and not self.unsynced
            and not self._tail
            and not self._skip
            and not self.ignoring
        )

    @property
    def waits_for_client(self) -> bool:
        """Whether a transaction is open and the server has nothing to do."""
        return self.status != messages.IDLE and not self.expected and not self._skip

    @property
    def at_message_boundary(self) -> bool:
        """Whether what was passed on to the client ends with a whole message."""
        return not self._skip or self._skip_swallowed

    # from the database

    def receive(self, data: bytes) -> bytes:
        """Take what the server sent; return what of it, and of our own making, goes to the client.

        Raises:
            ProtocolViolation: the server sent what nobody asked for; the connection must not be used again.
        """
        if self._tail:
            data = self._tail + data
            self._tail = b""
        position = self._skip
        if not position:
            position = self._pass_plain(data, 0)
            if position == len(data) and not self.expected:
                return data
        return self._read(data, position)

    def _read(self, data: bytes, position: int) -> bytes:
        size = len(data)
        expected = self.expected
        done = position if self._skip and self._skip_swallowed else 0
        out: list[bytes] = []
        while True:
            position = self._pass_plain(data, position)
            if expected and expected[0].kind in NOT_ASKED and position <= size:
                out.append(data[done:position])
                done = position
                out.append(self.made_here())
                continue
            if size - position < HEAD_BYTES:
                break
            swallowed = self._runs_our_query()
            kind, length = read_head(data, position)
            end = position + 1 + length
            words = None
            if kind not in _PASSIVE:
                if size < end and size - position < self._needed(kind, length):
                    break
                named = expected[0].named if expected else None
                words = None if self.holder is None else reworded(data, position, end, self._backends, named)
                swallowed = self._note(kind, data, position, end)
            if swallowed:
                out.append(data[done:position])
                done = end
            elif words is not None:
                out += (data[done:position], words)
                done = min(end, size)
            position = end
        self._keep(data, position, done)
        if not out:
            return data[done:position] if done or position < size else data
        out.append(data[done:position])
        return b"".join(out)

    def _keep(self, data: bytes, position: int, done: int) -> None:
        """Keep a head that is not whole, or how much of a message is still to come."""
        size = len(data)
        if position > size:
            self._skip, self._skip_swallowed = position - size, done >= position
        else:
            self._skip = 0
            self._tail = data[position:]

    def _pass_plain(self, data: bytes, position: int) -> int:
        """Take the usual: whole messages that answer what the client asked, and that change nothing but what is owed.

        Returns how far they go; what follows is looked at closely. A shorter way only: the longer one does the same.
        """
        expected = self.expected
        size = len(data)
        while size - position >= HEAD_BYTES and expected:
            kind, length = read_head(data, position)
            end = position + 1 + length
            entry = expected[0]
            owed = entry.kind
            if end > size or entry.ours or owed is _MADE_HERE or owed is _COPY_END:
                break
            if kind in _ROWS:
                pass
            elif kind == _READY_FOR_QUERY:
                if end != position + READY_BYTES or not self._take_plain_ready(entry, data[position + HEAD_BYTES]):
                    break
            elif kind == _COMMAND_COMPLETE and data[position + HEAD_BYTES] in _SCHEMA_INITIALS:
                break
            elif kind in COMPLETES:
                if owed is COMPLETES[kind]:
                    expected.popleft()
                elif kind in _MUST_MATCH:
                    break
            else:
                break
            position = end
        return position

    def _take_plain_ready(self, entry: Expected, status: int) -> bool:
        """Take note of a ReadyForQuery that nothing else follows from; False: more does, and nothing was noted."""
        if self._failed or self._has_changed_schema or not (entry is QUERY or entry is SYNC):
            return False
        if status != messages.IDLE and self.holder is not None and self.holder.pool_mode is PoolMode.STATEMENT:
            return False
        self.expected.popleft()
        if entry is QUERY and not self.expected:
            self.unsynced = False
        self.status = status
        self.copying_in = False
        return True

    def made_here(self) -> bytes:
        """Give the answers that are due and that the server was never asked for."""
        return take_made_here(self.expected)

    # to the database

    def ask(self, sql: str, restores: Mapping[str, str] | None = None) -> bytes:
        """Run statements of our own; their answers are swallowed, an error breaks the connection."""
        entry = OUR_QUERY if restores is None else Expected(AnswerKind.READY, True, True, restores=restores)
        self.expected.append(entry)
        self.unnamed = None  # any query ends it
        return messages.query(sql)

    def rename(self, application: str) -> bytes:
        """Call the application so, if its name is what this connection began with; to follow a RESET of it."""
        self.expected.append(OUR_WAKE)
        self.unnamed = None
        return messages.query(rename(self.application, application))

    def restore(self, variables: Mapping[str, str]) -> bytes:
        """Give the connection a client's variables; returns what to send first."""
        if self.variables is variables:
            return b""
        differing = {name: value for name, value in variables.items() if self.variables.get(name) != value}
        if not differing:
            self.variables = variables
            return b""
        return self.ask(set_variables(differing), restores=variables)

    def prepare(self, statement: Statement, *, ours: bool, undo: Undo | None = None) -> tuple[bytes, bytes]:
        """Have a statement prepared here; return its name and what to send first. `ours`: unasked, untold."""
        name = self.prepared.get(statement)
        closing = b""
        if name is not None:
            self.prepared.move_to_end(statement)
            if ours:
                return name, b""
            if self.status != messages.FAILED_TRANSACTION and not may_fail_before_next(self.expected):
                self.expected.append(Expected(AnswerKind.MADE_HERE, answer=PARSE_COMPLETE, undo=undo))
                return name, b""
            # The server is asked by a name that serves for nothing else: should it refuse, what is there stays.
            self.expected += (Expected(AnswerKind.PARSE, undo=undo), OUR_CLOSE)
            asked = NAME_PREFIX + b"%d" % next(self._numbers)
            return name, messages.parse(asked, statement.body) + messages.close_statement(asked)
        if len(self.prepared) >= STATEMENTS_MAX:
            closing = messages.close_statement(self.prepared.popitem(last=False)[1])
            self.expected.append(OUR_CLOSE)
        name = self.prepared[statement] = NAME_PREFIX + b"%d" % next(self._numbers)
        self.expected.append(Expected(AnswerKind.PARSE, ours, prepares=statement, undo=undo))
        return name, closing + messages.parse(name, statement.body)

    def close_here(self, undo: Undo) -> None:
        """Answer a Close of a client's name; the statement stays for others."""
        self.expected.append(Expected(AnswerKind.MADE_HERE, answer=CLOSE_COMPLETE, undo=undo))

    def forget_statements(self) -> None:
        """The server dropped them all, or they cannot be trusted."""
        self.prepared.clear()
        self.unnamed = None

    # what the server's messages mean

    def _needed(self, kind: int, length: int) -> int:
        """How many bytes of a message must be here before it is looked at."""
        if kind == messages.PARAMETER_STATUS:
            if length > STATUS_BYTES_MAX:
                raise ProtocolViolation(reason="the database reported a variable of no reasonable length")
            return length + 1
        if kind == messages.ERROR_RESPONSE:
            return length + 1 if length < ERROR_BYTES_MAX else ERROR_HEAD_BYTES
        if kind == messages.NOTIFICATION_RESPONSE:
            return min(length + 1, NOTIFIER_END)
        if kind == messages.COMMAND_COMPLETE:
            return min(length + 1, HEAD_BYTES + TAG_BYTES)
        return HEAD_BYTES + 1 if kind == messages.READY_FOR_QUERY else HEAD_BYTES

    def _runs_our_query(self) -> bool:
        """Whether what comes is the answer to a query of ours, which the client must not see."""
        return bool(self.expected) and self.expected[0].ours and self.expected[0].ends_query

    def _note(self, kind: int, data: bytes, position: int, end: int) -> bool:
        """Take note of a message; True when the client must not see it."""
        completes = COMPLETES.get(kind)
        if completes is not None:
            if kind == messages.COMMAND_COMPLETE and data.startswith(SCHEMA_TAGS, position + HEAD_BYTES):
                self._has_changed_schema = True
            return self._complete(kind, completes)
        if kind == messages.READY_FOR_QUERY:
            if end != position + READY_BYTES:
                raise ProtocolViolation(reason="the database was ready in a message of no such length")
            return self._ready(data[position + HEAD_BYTES])
        ours = self._runs_our_query()
        if kind == messages.ERROR_RESPONSE:
            return self._error(data[position + HEAD_BYTES : min(end, position + ERROR_HEAD_BYTES)])
        if kind == messages.PARAMETER_STATUS:
            self._report(*messages.read_parameter_status(data[position + HEAD_BYTES : end]))
            return ours and not self.expected[0].follows
        elif kind == messages.COPY_IN_RESPONSE:
            self._copy_in()
        elif kind == messages.NOTIFICATION_RESPONSE:
            return False
        else:
            raise ProtocolViolation(reason=f"the database sent an unexpected message of type {chr(kind)!r}")
        return ours

    def _complete(self, kind: int, completes: AnswerKind) -> bool:
        expected = self.expected
        if expected and expected[0].kind is completes:
            return expected.popleft().ours
        if kind == messages.PARSE_COMPLETE and expected and expected[0].again is not None:
            return take_again(expected, self.prepared)
        if kind in _MUST_MATCH or not expected:
            raise ProtocolViolation(reason=f"the database answered out of turn with {chr(kind)!r}")
        return expected[0].ours

    def _ready(self, status: int) -> bool:
        """A Query, FunctionCall or Sync is done."""
        expected = self.expected
        while expected and expected[0].kind is not AnswerKind.READY:
            expected.popleft()
        if not expected:
            raise ProtocolViolation(reason="the database was ready without having been asked")
        done = expected.popleft()
        if done.lift is not None and not self._failed and status == messages.IDLE and self.holder is not None:
            self.holder.lift(done.lift)
        if done.restores is not None and not self._failed:
            self.variables = done.restores
        if done.ends_query and not expected:  # a query ends the batch before it, unless it was skipped with it
            self.unsynced = False
        if status != messages.IDLE and self.holder is not None and self.holder.pool_mode is PoolMode.STATEMENT:
            self.offence = transaction_refused()
            self.broken = "its client began a transaction in statement pooling mode"
            return True
        self.status = status
        self._failed = False
        self.copying_in = False
        if self._has_changed_schema and status == messages.IDLE:
            self._has_changed_schema = False
            self._schema_changed()
        return done.ours

    def _error(self, head: bytes) -> bool:
        self._failed = True
        fields = messages.read_error_fields(head)
        self.said_why = fields.get("V") in FATAL_SEVERITIES
        if not self.expected:
            return False
        first = self.expected[0]
        code = fields.get("C", "")
        if code == CACHED_PLAN_CHANGED:
            # It stays, so that the server tells everybody else who prepared it; whoever prepares it now gets another.
            self._schema_changed()
        elif code == INVALID_STATEMENT_NAME and NAME_PREFIX in head:
            self.forget_statements()  # somebody deallocated what was ours: what comes next is prepared anew
        if first.kind is AnswerKind.READY:
            if first.ours and not first.follows:
                self.broken = f"the database refused what the proxy asked (SQLSTATE {code})"
            if first.undo is not None:
                first.undo.undo_query()
            return first.ours
        self._abandon_batch()
        return bool(self.expected) and self.expected[0].ours

    def _abandon_batch(self) -> None:
        """The server skips everything up to the next Sync, and so do we."""
        expected = self.expected
        abandoned = []
        while expected and not (expected[0].kind is AnswerKind.READY and not expected[0].ends_query):
            abandoned.append(expected.popleft())
        failed = abandoned[0]
        for entry in reversed(abandoned):
            if entry.prepares is not None:
                self.prepared.pop(entry.prepares, None)
            if entry.undo is not None:
                entry.undo.undo()
        if failed.kind is AnswerKind.PARSE and failed.undo is not None and b"" in failed.undo.before:
            # The one that failed, unlike those that were skipped, ended the unnamed statement before it.
            names = failed.undo.names
            if names.get(b"") is failed.undo.before[b""]:
                names.pop(b"", None)
        if any(entry.kind is AnswerKind.PARSE and entry.prepares is None for entry in abandoned):
            self.unnamed = None  # or some other: it is parsed again where it is wanted
        self.ignoring = not expected
        self.copying_in = False

    def _report(self, name: str, value: str) -> None:
        self.parameters[name] = value
        if name in CARRIED:
            self.variables = {**self.variables, name: value}
            is_told = not self._runs_our_query() or self.expected[0].follows
            if self.holder is not None and is_told:
                self.holder.variables = self.variables

    def _copy_in(self) -> None:
        """The server reads COPY data now; Syncs on their way to it, up to the end of the data, get no answer."""
        expected = self.expected
        first = expected.popleft() if expected else None
        if first is None:
            raise ProtocolViolation(reason="the database wants COPY data that nobody announced")
        while expected and expected[0].kind is AnswerKind.READY and not expected[0].ends_query:
            expected.popleft()
            self.unsynced = not any(entry.kind is AnswerKind.READY for entry in expected)
        self.copying_in = not (expected and expected[0].kind is AnswerKind.COPY_END)
        expected.appendleft(first)
