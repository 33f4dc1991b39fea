"""What one client prepared, by its own names, and what its statements do to its session.

A prepared statement of the protocol is known to the client by its name, to each connection by another; where it is
missing, it is prepared again, unasked. So such statements pin nothing, and many clients share one on a connection.
"""

from functools import lru_cache
from weakref import WeakValueDictionary

from workshape.pgproxy import messages
from workshape.pgproxy.client_state import ClientState
from workshape.pgproxy.expected import (
    BIND,
    CLOSE,
    OUR_PARSE_UNNAMED,
    OUR_SYNC,
    PARSE_UNNAMED,
    QUERY,
    Again,
    AnswerKind,
    Expected,
    Lift,
    Prepared,
    Statement,
    Undo,
    may_fail_before_next,
)
from workshape.pgproxy.harmless import Harmless
from workshape.pgproxy.link import Link
from workshape.pgproxy.pins import NO_EFFECTS, UNREAD, Effects, Pin, PinReason, shown
from workshape.pgproxy.recognition import effects_of
from workshape.pgproxy.rewording import NO_SUCH_STATEMENT

APPLICATION = "application_name"
"""The one variable that clients of one connection may begin with differently; see `pool_key`."""
STATEMENTS_MAX = 10_000  # a client's prepared statements; one more is not carried, and pins
TRACKED_KEPT = 16  # servers of different versions report different variables
UNSAFE_ENCODINGS = frozenset({"SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004"})
"""Their characters may end in a backslash's byte. Source: https://www.postgresql.org/docs/current/multibyte.html"""


class Statements:
    """All statements that somebody has prepared, one object a text; forgotten with their last user."""

    def __init__(self) -> None:
        self.harmless = Harmless()
        self._by_body: WeakValueDictionary[bytes, Statement] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._by_body)

    def intern(self, body: bytes) -> Statement:
        """Give the one object for this text."""
        statement = self._by_body.get(body)
        if statement is None:
            statement = self._by_body[body] = Statement(body)
        return statement

    def renew(self) -> None:
        """Give new objects from now on: the schema changed, and what is parsed next must be analysed anew.

        Who prepared something before keeps it, and is told by the server, as without us, when it does not fit any more.
        """
        self._by_body = WeakValueDictionary()


class ClientStatements:
    """One client's. Methods are given the connection the client has at the moment."""

    __slots__ = ("_application", "_known", "_lift", "_renames", "_state", "now")

    def __init__(self, state: ClientState, known: Statements) -> None:
        self.now = 0.0
        """When the message that is looked at came: pins keep it."""
        self._state = state
        self._known = known
        self._lift: Lift | None = None
        """Of what was bound since the last Sync."""
        self._application = state.variables.get(APPLICATION)
        """What it called itself when it came."""
        self._renames = False
        """Its name was reset, and must be what it was when the client came."""

    # the usual, where the message goes on as it is

    def takes_query(self, link: Link, text: bytes) -> bool:
        """Note a simple query that is known to leave nothing behind; False: nothing was noted, and `query` looks."""
        if b"" in self._state.names or not self._known.harmless.knows(text):
            return False
        link.unnamed = None
        link.expected.append(QUERY)
        return True

    def takes_unnamed_parse(self, link: Link, body: bytes) -> bool:
        """Note a Parse of the unnamed statement, as `takes_query`; otherwise `parse` looks."""
        if not self._known.harmless.knows(body[: body.find(b"\0")]):
            return False
        self._parse_unnamed(link, body, NO_EFFECTS)
        return True

    def takes_unnamed_bind(self, link: Link) -> bool:
        """Note a Bind of the unnamed statement, as `takes_query`; otherwise `bind` looks."""
        prepared = link.unnamed
        if prepared is None or prepared.effects is not NO_EFFECTS:
            return False
        if self._state.names.get(b"") is not prepared:
            return False
        link.expected.append(BIND)
        return True

    # anything

    def query(self, link: Link, text: bytes, *, is_cut: bool) -> tuple[bytes, Expected]:
        """Note a simple query; return what to send before it, and what to expect for it."""
        undo = self._forget((b"",))  # the server ends it, too, if it does not skip the query
        link.unnamed = None
        effects = self._effects(text, is_cut)
        if effects is NO_EFFECTS:
            return b"", QUERY if undo is None else Expected(AnswerKind.READY, ends_query=True, undo=undo)
        pins_before = self._state.pins_made
        self._apply(link, effects, text)
        first = self._prepare_by_name(link, effects)
        if first and not link.unsynced:  # should it fail (in a failed transaction, say), the query must not be skipped
            first += messages.message(messages.SYNC)
            link.expected.append(OUR_SYNC)
        lift = Lift(effects.lifts, pins_before) if effects.lifts else None
        undo = _both(undo, self._forget_names(link, effects))
        return first, Expected(AnswerKind.READY, ends_query=True, undo=undo, lift=lift)

    def parse(self, link: Link, name: bytes, body: bytes) -> bytes | None:
        """Note a Parse; return what to send in its place, None for itself."""
        text = body[: body.find(b"\0")]
        effects = self._effects(text, False)
        first = self._prepare_by_name(link, effects)
        names = self._state.names
        if not name:
            self._parse_unnamed(link, body, effects)
            return None if not first else first + messages.parse(name, body)
        if name in names:
            return first + self._parse_again(link, name, body, effects)
        if len(names) >= STATEMENTS_MAX:
            self._pin(PinReason.PREPARED, text)
            link.expected.append(PARSE_UNNAMED)
            return None if not first else first + messages.parse(name, body)
        names = self._state.own_names()
        prepared = names[name] = Prepared(self._known.intern(body), effects)
        undo = Undo(names, {name: None}, after=prepared)
        return first + link.prepare(prepared.statement, ours=False, undo=undo)[1]

    def _parse_again(self, link: Link, name: bytes, body: bytes, effects: Effects) -> bytes:
        """Note a Parse of a name that stands for something: the server refuses it, as it would without us.

        Unless it refuses what the name stands for, in a batch before this one.
        """
        names = self._state.own_names()
        taken, first = link.prepare(names[name].statement, ours=True)
        if may_fail_before_next(link.expected):
            self._apply(link, effects, body)  # whether it is this one that is bound next is not known in time
            again = Again(names, Prepared(self._known.intern(body), effects), taken)
            link.expected.append(Expected(AnswerKind.PARSE_AGAIN, named=name, again=again))
        else:
            link.expected.append(Expected(AnswerKind.PARSE, named=name))
        return first + messages.parse(taken, body)

    def _parse_unnamed(self, link: Link, body: bytes, effects: Effects) -> None:
        names = self._state.own_names()
        prepared = Prepared(Statement(body), effects)
        undo = Undo(names, {b"": names.get(b"")}, prepared)
        link.unnamed = names[b""] = prepared
        link.expected.append(Expected(AnswerKind.PARSE, undo=undo))

    def parse_unread(self, link: Link, beginning: bytes) -> None:
        """Note a Parse of a statement that is too long to keep."""
        name, _, text = beginning.partition(b"\0")
        self._pin(PinReason.UNREAD, text)
        if not name:
            link.unnamed = self._state.own_names()[b""] = Prepared(Statement(b""), UNREAD)
        link.expected.append(PARSE_UNNAMED)

    def find(self, link: Link, name: bytes) -> tuple[bytes, bytes]:
        """Return a statement's name on this connection, and what to send before it is used there."""
        prepared = self._state.names.get(name)
        if name:
            return (name, b"") if prepared is None else link.prepare(prepared.statement, ours=True)
        if prepared is None:  # what another client left there must not be found
            return NO_SUCH_STATEMENT, b""
        if link.unnamed is prepared:
            return b"", b""
        if not prepared.statement.body:  # it was too long to keep
            return NO_SUCH_STATEMENT, b""
        link.unnamed = prepared
        link.expected.append(OUR_PARSE_UNNAMED)
        return b"", messages.parse(b"", prepared.statement.body)

    def bind(self, link: Link, name: bytes) -> tuple[bytes, bytes]:
        """Do as `find`, and note what the statement will do when it is executed."""
        found, first = self.find(link, name)
        prepared = self._state.names.get(name)
        undo = None
        if prepared is not None and prepared.effects is not NO_EFFECTS:
            undo = self._bound(link, prepared)
        if found == name and undo is None:
            link.expected.append(BIND)
        else:
            link.expected.append(Expected(AnswerKind.BIND, undo=undo, named=name))
        return found, first

    def close(self, link: Link, name: bytes) -> bool:
        """Note the Close of a statement; True when the server need not hear of it."""
        undo = self._forget((name,))
        if name and undo is not None:
            link.close_here(undo)
            return True
        link.expected.append(CLOSE if undo is None else Expected(AnswerKind.CLOSE, undo=undo))
        return False

    @property
    def lifts(self) -> bool:
        """Whether pins end with the batch whose Sync comes next."""
        return self._lift is not None

    def take_lift(self) -> Lift | None:
        """Give the pins that end with the batch whose Sync comes now."""
        lift, self._lift = self._lift, None
        return lift

    def take_wake(self, link: Link) -> bytes:
        """Give what follows the query, or the Sync, that is passed on now."""
        if not self._renames:
            return b""
        self._renames = False
        return b"" if self._application in (None, link.application) else link.rename(str(self._application))

    def end_batch(self, text: bytes) -> None:
        """A query in a batch that no Sync has ended: PostgreSQL 18 may be left unable to run the next statement."""
        self._pin(PinReason.UNREAD, text)

    def call_function(self) -> None:
        """A FunctionCall message names its function by number: what that leaves behind cannot be seen."""
        self._pin(PinReason.FUNCTION_CALL, b"FunctionCall message")

    # what a statement does to the session

    def _effects(self, text: bytes, is_cut: bool) -> Effects:
        variables = self._state.variables
        if not is_cut and self._known.harmless.knows(text):
            return NO_EFFECTS
        if is_cut or (b"\\" in text and variables.get("client_encoding") in UNSAFE_ENCODINGS):
            return UNREAD
        escapes = variables.get("standard_conforming_strings", "on") != "on"
        effects = effects_of(text, _lowered(tuple(variables)), backslash_escapes=escapes)
        if effects is NO_EFFECTS:
            self._known.harmless.learn(text)
        return effects

    def _apply(self, link: Link, effects: Effects, text: bytes) -> None:
        self._renames = self._renames or APPLICATION in effects.resets
        for reason in effects.pins:
            self._pin(reason, text)
        for name in effects.databases_alone:
            link.leave_alone(name)

    def _pin(self, reason: PinReason, text: bytes) -> None:
        self._state.pin(Pin(reason, shown(text), self.now))

    def _bound(self, link: Link, prepared: Prepared) -> Undo | None:
        effects, lift = prepared.effects, self._lift
        if effects.lifts:
            earlier = Lift(frozenset(), self._state.pins_made) if lift is None else lift
            self._lift = Lift(earlier.reasons | effects.lifts, earlier.pins_before)
        self._apply(link, effects, prepared.statement.body)
        return self._forget_names(link, effects)

    def _forget_names(self, link: Link, effects: Effects) -> Undo | None:
        """The server drops prepared statements: so do we."""
        if effects.deallocates_all:
            link.forget_statements()
        return self._forget(tuple(self._state.names) if effects.deallocates_all else effects.deallocates)

    def _forget(self, gone: tuple[bytes, ...]) -> Undo | None:
        """Note that these names stand for nothing any more; None: they did not."""
        if not any(name in self._state.names for name in gone):
            return None
        names = self._state.own_names()
        return Undo(names, {name: names.pop(name) for name in gone if name in names})

    def _prepare_by_name(self, link: Link, effects: Effects) -> bytes:
        """SQL text speaks of prepared statements by the client's names: give the server what it will look for."""
        first = []
        for name in dict.fromkeys(effects.names):
            prepared = self._state.names.get(name)
            if prepared is not None:
                first.append(messages.parse(name, prepared.statement.body))
                link.expected.append(OUR_PARSE_UNNAMED)
                if name not in effects.deallocates:
                    self._pin(PinReason.PREPARED, b"EXECUTE " + name)
        return b"".join(first)


@lru_cache(maxsize=TRACKED_KEPT)
def _lowered(names: tuple[str, ...]) -> frozenset[str]:
    """Clients share one set: a kilobyte each adds up."""
    return frozenset(name.lower() for name in names)


def _both(first: Undo | None, second: Undo | None) -> Undo | None:
    if first is None or second is None:
        return first or second
    return Undo(first.names, {**first.before, **second.before})
