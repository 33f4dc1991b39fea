"""Clients' sessions over shared connections: each client sees what it would see alone."""

from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fakes.scripted_postgres import LOOKS_LIKE_READY, ScriptedPostgres
from workshape.pgproxy import messages
from workshape.pgproxy.client_state import ClientState
from workshape.pgproxy.client_statements import Statements
from workshape.pgproxy.link import Link
from workshape.pgproxy.messages import ProtocolViolation, message, query
from workshape.pgproxy.pins import Pin, PinReason
from workshape.pgproxy.session import TEXT_BYTES_MAX, Session, Want
from workshape.pgproxy.sqlstate import canceled

SYNC = message(messages.SYNC)
FLUSH = message(messages.FLUSH)


def parse(name: str, text: str) -> bytes:
    return messages.parse(name.encode(), text.encode() + b"\0\0\0")


def bind(name: str, portal: str = "") -> bytes:
    return message(messages.BIND, portal.encode() + b"\0" + name.encode() + b"\0" + b"\0\0\0\0\0\0")


def execute(portal: str = "") -> bytes:
    return message(messages.EXECUTE, portal.encode() + b"\0" + b"\0\0\0\0")


def describe(what: str, name: str) -> bytes:
    return message(messages.DESCRIBE, what.encode() + name.encode() + b"\0")


def close(name: str) -> bytes:
    return message(messages.CLOSE, b"S" + name.encode() + b"\0")


def copy_data(data: bytes = b"row\n") -> bytes:
    return message(messages.COPY_DATA, data)


COPY_DONE = message(messages.COPY_DONE)
COPY_FAIL = message(messages.COPY_FAIL, b"no\0")


@dataclass
class Backend:
    """A connection and the server at its other end."""

    link: Link
    server: ScriptedPostgres = field(default_factory=ScriptedPostgres)
    heard: bytes = b""
    """What the server was sent."""


@dataclass
class Bench:
    """A few clients and fewer connections, with a driver that is as dull as can be."""

    chunk_bytes: int = 1 << 16
    at_once: bool = True
    """Clients borrow before the session looks at what they sent, where it is sure to need a connection."""
    backends: list[Backend] = field(default_factory=list)
    free: list[Backend] = field(default_factory=list)
    statements: Statements = field(default_factory=Statements)

    @classmethod
    def of(cls, connections: int, chunk_bytes: int = 1 << 16, *, at_once: bool = True) -> "Bench":
        bench = cls(chunk_bytes, at_once)
        for number in range(connections):
            server = ScriptedPostgres()
            bench.backends.append(Backend(Link(number, server.variables, b"key"), server))
        bench.free = list(bench.backends)
        return bench

    def client(self) -> "Client":
        return Client(self, Session(ClientState(dict(ScriptedPostgres().variables)), self.statements))


@dataclass
class Client:
    bench: Bench
    session: Session
    seen: bytes = b""
    backend: Backend | None = None

    def send(self, data: bytes) -> None:
        size = self.bench.chunk_bytes
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            if self.bench.at_once and self.session.asks_at_once(piece):
                self._borrow()
            if self.session.receive(piece, 0.0) is Want.CONNECTION:
                self._borrow()
            self._exchange()

    def _borrow(self) -> None:
        self.backend = self.bench.free.pop(0)
        self.session.attach(self.backend.link)

    def _exchange(self) -> None:
        size = self.bench.chunk_bytes
        while self.backend is not None:
            to_server = self.session.to_database
            self.session.to_database = b""
            self._hear()
            self.backend.heard += to_server
            answer = self.backend.server.receive(to_server)
            for start in range(0, len(answer), size):
                self.seen += self.backend.link.receive(answer[start : start + size])
            if self.session.may_detach:
                self.session.detach()
                self.bench.free.append(self.backend)
                self.backend = None
            if not to_server:
                break
        self._hear()

    def _hear(self) -> None:
        self.seen += self.session.to_client
        self.session.to_client = b""


def kinds(data: bytes) -> str:
    """Spell out a stream of messages by their types."""
    found = ""
    while data:
        found += chr(data[0])
        data = data[1 + int.from_bytes(data[1:5], "big") :]
    return found


QUERIES = [
    query("rows 2"),
    query("error"),
    query("begin"),
    query("commit"),
    query("set TimeZone Tokyo"),
    query("set application_name me"),
    query("show TimeZone"),
    query("show application_name"),
    query("copy in") + copy_data() + COPY_DONE,
    query("copy in") + copy_data() + COPY_FAIL,
]
NAMED = [
    parse("a", "rows 1"),
    parse("b", "rows 2"),
    parse("a", "show TimeZone"),
    parse("c", "error"),
    parse("d", "broken"),
    bind("a"),
    bind("b"),
    bind("c"),
    describe("S", "a"),
    close("a"),
    close("b"),
]
UNNAMED = [
    parse("", "rows 3"),
    parse("", "error"),
    bind(""),
    describe("S", ""),
    describe("P", ""),
    execute(),
    execute(),
    close(""),
    FLUSH,
    copy_data() + COPY_DONE,
    bind("missing"),
]
COPIES = [
    # Closed afterwards: to bind it again and send no COPY data would end a real connection.
    parse("", "copy in") + bind("") + execute() + SYNC + copy_data() + COPY_DONE + SYNC + close(""),
    parse("", "copy in") + bind("") + execute() + copy_data() + COPY_FAIL + SYNC + close(""),
]
BATCHES = st.one_of(
    st.lists(st.sampled_from(NAMED + UNNAMED), max_size=8).map(b"".join),
    st.sampled_from(COPIES),
    st.sampled_from([*QUERIES, query("deallocate a"), query("discard all")]),
)
# In a pipeline, whether a batch fails is not known when the next is sent; then names are given once and kept, as by
# every driver that has a pipeline.
IN_PIPELINES = st.one_of(
    st.lists(st.sampled_from(UNNAMED), max_size=6).map(lambda pieces: parse("", "rows 1") + b"".join(pieces)),
    st.sampled_from(COPIES + QUERIES),
    st.sampled_from([bind("a") + execute(), bind("b") + describe("P", "") + execute()]),
)
Script = list[tuple[int, list[bytes]]]
CHUNKS = st.sampled_from([1, 2, 3, 7, 64, 1 << 16])
SCRIPTS: st.SearchStrategy[Script] = st.lists(
    st.tuples(st.integers(0, 2), st.one_of(BATCHES.map(lambda batch: [batch]), st.lists(IN_PIPELINES, max_size=6))),
    max_size=12,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(SCRIPTS, CHUNKS, st.booleans())
@example([(0, [parse("a", "rows 1")]), (1, [query("rows 1")]), (0, [bind("a") + execute()])], 1, True)
def test_clients_that_share_connections_see_what_each_would_see_alone(
    script: Script, chunk_bytes: int, at_once: bool
) -> None:
    bench = Bench.of(3, chunk_bytes, at_once=at_once)  # as many as clients: a transaction may hold each of them
    clients = [bench.client() for _ in range(3)]
    alone = [ScriptedPostgres() for _ in range(3)]
    expected = [b""] * 3

    for number, batches in script:
        data = b"".join(batch + SYNC for batch in batches)
        bench.free.sort(key=lambda backend: -backend.link.id if number % 2 else backend.link.id)
        clients[number].send(data)
        expected[number] += alone[number].receive(data)

    for client, seen in zip(clients, expected, strict=True):
        assert kinds(client.seen) == kinds(seen)
        assert client.seen == seen
    lent = [client.backend for client in clients if client.backend is not None]
    assert len(lent) + len(bench.free) == 3
    assert all(backend.server.status == messages.IDLE for backend in bench.free)


def test_bytes_in_a_row_that_look_like_ready_for_query_are_not_taken_for_it() -> None:
    bench = Bench.of(1, chunk_bytes=1)
    client = bench.client()

    client.send(query("begin"))
    client.send(query("rows 5"))

    assert LOOKS_LIKE_READY in client.seen
    assert client.backend is not None, "the transaction is open, whatever the rows say"


def test_several_syncs_in_flight_are_answered_in_order_and_the_connection_comes_back_after_the_last() -> None:
    bench = Bench.of(1)
    client = bench.client()

    client.send((parse("", "rows 1") + bind("") + execute() + SYNC) * 3)

    assert kinds(client.seen) == "12DCZ" * 3
    assert bench.free


def test_a_statement_prepared_on_one_connection_is_there_on_the_next() -> None:
    bench = Bench.of(2)
    client = bench.client()

    client.send(parse("mine", "rows 1") + SYNC)
    client.send(bind("mine") + execute() + SYNC)

    assert kinds(client.seen) == "1Z" + "2DCZ"
    assert [list(backend.server.statements.values()) for backend in bench.backends] == [["rows 1"], ["rows 1"]]


@pytest.mark.parametrize("chunk_bytes", [1, 7, 1 << 16])
def test_an_error_names_a_prepared_statement_as_its_client_does(chunk_bytes: int) -> None:
    bench = Bench.of(1, chunk_bytes)
    client = bench.client()

    client.send(parse("mine", "rows 1") + SYNC)
    client.send(parse("mine", "rows 2") + SYNC)

    assert b'prepared statement "mine" already exists' in client.seen
    assert kinds(client.seen) == "1Z" + "EZ"


@pytest.mark.parametrize("chunk_bytes", [1, 7, 1 << 16])
@pytest.mark.parametrize("gone", [close("mine"), parse("last", "deallocate mine") + bind("last"), b""])
def test_an_error_names_the_statement_that_was_meant_whatever_becomes_of_it(gone: bytes, chunk_bytes: int) -> None:
    bench = Bench.of(1, chunk_bytes)
    client = bench.client()
    client.send(parse("other", "parameter") + parse("mine", "parameter") + SYNC)

    client.send(bind("mine") + execute() + gone + SYNC)

    assert b'prepared statement "mine" requires 1' in client.seen
    assert kinds(client.seen) == "11Z" + "EZ"


@pytest.mark.parametrize("drop", ["deallocate mine", "discard all"])
def test_a_deallocation_that_is_refused_when_it_is_bound_takes_nothing_away(drop: str) -> None:
    bench = Bench.of(1)
    client = bench.client()
    client.send(parse("mine", "rows 1") + parse("drop", drop) + SYNC)
    client.send(query("begin") + query("error"))

    client.send(bind("drop") + execute() + SYNC)
    client.send(query("rollback"))
    client.send(bind("mine") + execute() + SYNC + parse("mine", "rows 2") + SYNC)

    assert kinds(client.seen) == "11Z" + "CZ" + "EZ" + "EZ" + "CZ" + "2DCZ" + "EZ"


def test_a_name_that_is_defined_again_stands_for_what_the_server_took() -> None:
    bench = Bench.of(1)
    client = bench.client()

    client.send(bind("none") + parse("mine", "rows 1") + SYNC + parse("mine", "rows 2") + SYNC)
    client.send(bind("mine") + execute() + SYNC + parse("mine", "rows 3") + SYNC)

    assert kinds(client.seen) == "EZ" + "1Z" + "2DDCZ" + "EZ"


def test_a_name_that_is_defined_twice_keeps_its_first_meaning() -> None:
    bench = Bench.of(1)
    client = bench.client()

    client.send(parse("mine", "rows 1") + SYNC + parse("mine", "rows 2") + SYNC)
    client.send(bind("mine") + execute() + SYNC)

    assert kinds(client.seen) == "1Z" + "EZ" + "2DCZ"


def test_an_unnamed_statement_is_never_another_clients() -> None:
    bench = Bench.of(1)
    first, second = bench.client(), bench.client()

    first.send(parse("", "rows 1") + SYNC)
    second.send(bind("") + execute() + SYNC)
    first.send(bind("") + execute() + SYNC)

    assert kinds(second.seen) == "EZ"
    assert kinds(first.seen) == "1Z" + "2DCZ"


def test_a_variable_follows_its_client_and_nobody_else() -> None:
    bench = Bench.of(1)
    first, second = bench.client(), bench.client()

    first.send(query("set TimeZone Tokyo"))
    second.send(query("show TimeZone"))
    first.send(query("show TimeZone"))

    assert b"UTC" in second.seen
    assert b"Tokyo" not in second.seen
    assert first.seen.endswith(message(messages.DATA_ROW, b"Tokyo") + message(67, b"show\0") + b"Z\0\0\0\5I")
    assert not first.session.state.pins


def test_a_pinned_session_keeps_its_connection_until_the_state_is_discarded() -> None:
    bench = Bench.of(1)
    client = bench.client()
    client.send(query("begin"))
    client.session.state.pin(Pin(PinReason.LISTEN, "LISTEN x", 0.0))

    client.send(query("commit"))
    pinned = client.backend
    client.send(query("discard all"))

    assert pinned is not None
    assert client.backend is None
    assert not client.session.state.pins


def test_the_effects_of_a_bound_statement_pin_when_it_is_bound_and_not_before() -> None:
    bench = Bench.of(1)
    client = bench.client()

    client.send(parse("l", "LISTEN x") + SYNC)
    before = dict(client.session.state.pins)
    client.session.receive(bind("l"), 1.0)
    backend = bench.free.pop()
    client.session.attach(backend.link)

    assert not before
    assert set(client.session.state.pins) == {PinReason.LISTEN}


def test_what_waited_too_long_is_refused_statement_by_statement_and_the_session_goes_on() -> None:
    bench = Bench.of(1)
    client = bench.client()

    want = client.session.receive(query("rows 1") + parse("", "rows 1") + bind("") + execute() + SYNC, 0.0)
    client.session.refuse(canceled())
    client._hear()
    client.send(query("rows 1"))

    assert want is Want.CONNECTION
    assert kinds(client.seen) == "EZ" + "EZ" + "TDCZ"


def test_a_flush_after_the_sync_keeps_no_connection_and_needs_none() -> None:
    bench = Bench.of(1)
    client = bench.client()

    client.send(parse("", "rows 1") + bind("") + execute() + SYNC + FLUSH)
    assert bench.free
    want = client.session.receive(FLUSH, 0.0)

    assert want is Want.NOTHING
    assert client.session.is_quiet
    assert kinds(client.seen) == "12DCZ"


def test_a_flush_after_what_was_refused_is_not_refused_too() -> None:
    bench = Bench.of(1)
    client = bench.client()

    client.session.receive(parse("", "rows 1") + SYNC + FLUSH, 0.0)
    client.session.refuse(canceled())
    client.send(FLUSH + query("rows 1"))

    assert kinds(client.seen) == "EZ" + "TDCZ"


def test_a_batch_refused_before_its_sync_is_skipped_up_to_it() -> None:
    bench = Bench.of(1)
    client = bench.client()

    client.session.receive(parse("", "rows 1") + bind(""), 0.0)
    client.session.refuse(canceled())
    client.send(execute() + SYNC + query("rows 0"))

    assert kinds(client.seen) == "E" + "Z" + "TCZ"


def test_a_statement_too_long_to_keep_is_passed_on_in_pieces_and_pins() -> None:
    bench = Bench.of(1, chunk_bytes=1 << 16)
    client = bench.client()
    long = query("rows 1" + " " * (TEXT_BYTES_MAX + 10))

    client.send(long)

    assert kinds(client.seen) == "TDCZ"
    assert set(client.session.state.pins) == {PinReason.UNREAD}


def long_bind(name: str) -> bytes:
    """One whose parameter is longer than what is looked at."""
    parameter = b"\0\0" + b"\0\1" + (40_000).to_bytes(4, "big") + b"x" * 40_000 + b"\0\0"
    return message(messages.BIND, b"\0" + name.encode() + b"\0" + parameter)


@pytest.mark.parametrize("chunk_bytes", [1 << 16, 20_000, 17_000, 16_500])
def test_the_rest_of_a_long_parameter_follows_under_the_connections_own_name(chunk_bytes: int) -> None:
    bench = Bench.of(1, chunk_bytes=chunk_bytes)
    client = bench.client()

    client.send(parse("mine", "rows 1") + SYNC)
    client.send(long_bind("mine") + execute() + SYNC)
    client.send(query("rows 0"))

    assert kinds(client.seen) == "1Z" + "2DCZ" + "TCZ"


@pytest.mark.parametrize("chunk_bytes", [1 << 16, 17_000])
def test_a_long_parameter_after_an_error_is_dropped_to_its_end(chunk_bytes: int) -> None:
    bench = Bench.of(1, chunk_bytes=chunk_bytes)
    client = bench.client()

    client.send(parse("mine", "rows 1") + SYNC)
    client.send(parse("", "broken") + long_bind("mine") + execute() + SYNC)
    client.send(query("rows 0"))

    assert kinds(client.seen) == "1Z" + "EZ" + "TCZ"


def test_a_clients_half_message_keeps_no_connection() -> None:
    bench = Bench.of(1)
    client = bench.client()

    want = client.session.receive(query("rows 1")[:8], 0.0)

    assert want is Want.NOTHING
    assert client.session.is_quiet


@pytest.mark.parametrize("garbage", [b"\0\0\0\0\0\0", b"Q\0\0\0\1xx", b"?\0\0\0\4", b"GET / HTTP/1.1\r\n"])
def test_what_is_no_message_ends_the_session(garbage: bytes) -> None:
    bench = Bench.of(1)
    client = bench.client()

    with pytest.raises(ProtocolViolation):
        client.send(garbage)


def test_a_server_that_answers_what_nobody_asked_is_not_believed() -> None:
    link = Link(1, {}, b"")

    with pytest.raises(ProtocolViolation):
        link.receive(messages.ready_for_query(messages.IDLE))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.binary(max_size=200))
def test_no_bytes_of_a_client_break_the_session_in_another_way(data: bytes) -> None:
    bench = Bench.of(1, chunk_bytes=16)
    client = bench.client()
    session = client.session

    try:
        for start in range(0, len(data), 16):
            if session.receive(data[start : start + 16], 0.0) is Want.CONNECTION and session.link is None:
                session.attach(bench.backends[0].link)
    except ProtocolViolation:
        return
    assert len(session.to_database) <= len(data) + 100
