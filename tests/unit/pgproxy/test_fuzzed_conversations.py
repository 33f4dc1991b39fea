"""Conversations with bytes changed, lost, doubled and cut anywhere: refused or passed on, never to somebody else."""

import contextlib
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.framing_postgres import FramingPostgres
from workshape.pgproxy import messages
from workshape.pgproxy.client_state import ClientState
from workshape.pgproxy.client_statements import Statements
from workshape.pgproxy.expected import BIND, EXECUTE, QUERY, SYNC, AnswerKind, Expected
from workshape.pgproxy.link import Link
from workshape.pgproxy.messages import IDLE, ProtocolViolation, message, query, ready_for_query
from workshape.pgproxy.session import Session, Want
from workshape.pgproxy.sqlstate import canceled

NAMES = (b"a", b"b", b"")
CLIENT_MESSAGES = [
    query("SELECT 1"),
    query("LISTEN x; UNLISTEN *"),
    query("DISCARD ALL"),
    query("DEALLOCATE a"),
    query("EXPLAIN EXECUTE a"),
    query("RESET application_name"),
    *(messages.parse(name, b"SELECT $1\0\0\1\0\0\0\x17") for name in NAMES),
    *(message(messages.BIND, b"\0" + name + b"\0" + b"\0\0\0\1\0\0\0\2hi\0\0") for name in NAMES),
    *(message(messages.DESCRIBE, b"S" + name + b"\0") for name in NAMES),
    *(message(messages.CLOSE, b"S" + name + b"\0") for name in NAMES),
    message(messages.DESCRIBE, b"P\0"),
    message(messages.EXECUTE, b"\0\0\0\0\0"),
    message(messages.FLUSH),
    message(messages.SYNC),
    message(messages.FUNCTION_CALL, b"\0\0\0\1\0\0\0\0\0\0"),
    message(messages.COPY_DATA, b"1\n"),
    message(messages.COPY_DONE),
    message(messages.TERMINATE),
]
SERVER_MESSAGES = [
    message(messages.ROW_DESCRIPTION, b"\0\1a\0" + bytes(18)),
    message(messages.DATA_ROW, b"\0\1\0\0\0\5first"),
    message(messages.COMMAND_COMPLETE, b"SELECT 1\0"),
    message(messages.COMMAND_COMPLETE, b"CREATE TABLE\0"),
    message(messages.PARSE_COMPLETE),
    message(messages.BIND_COMPLETE),
    message(messages.CLOSE_COMPLETE),
    message(messages.NO_DATA),
    message(messages.PORTAL_SUSPENDED),
    message(messages.ERROR_RESPONSE, b"SERROR\0VERROR\0C42P05\0Mprepared statement exists\0\0"),
    message(messages.ERROR_RESPONSE, b"SFATAL\0VFATAL\0C57P01\0Mbye\0\0"),
    message(messages.NOTICE_RESPONSE, b"SNOTICE\0Mhm\0\0"),
    message(messages.NOTIFICATION_RESPONSE, b"\0\0\0\1first\0\0"),
    messages.parameter_status("TimeZone", "first"),
    message(messages.COPY_IN_RESPONSE, b"\0\0\0"),
    message(messages.COPY_OUT_RESPONSE, b"\0\0\0"),
    message(messages.COPY_DATA, b"first"),
    message(messages.COPY_DONE),
    message(messages.COPY_BOTH_RESPONSE, b"\0\0\0"),
    ready_for_query(IDLE),
    ready_for_query(messages.IN_TRANSACTION),
    ready_for_query(messages.FAILED_TRANSACTION),
]

CHANGES = st.lists(
    st.tuples(st.sampled_from(["flip", "drop", "double", "insert", "cut"]), st.integers(0, 400), st.integers(0, 255)),
    max_size=3,
)
CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=8)
CLIENT_STREAMS = st.lists(st.sampled_from(CLIENT_MESSAGES), max_size=12).map(b"".join)
SERVER_STREAMS = st.lists(st.sampled_from(SERVER_MESSAGES), max_size=14).map(b"".join)


def changed(stream: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    """Spoil a stream."""
    data = bytearray(stream)
    for how, where, value in changes:
        at = where % (len(data) + 1)
        match how:
            case "flip":
                data[at : at + 1] = bytes((value,))
            case "drop":
                del data[at : at + 1 + value % 8]
            case "double":
                data[at:at] = data[at : at + 1 + value % 16]
            case "insert":
                data[at:at] = bytes((value,)) * (1 + value % 5)
            case "cut":
                del data[at:]
    return bytes(data)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut a stream in pieces of these sizes, over and over."""
    pieces, position, turn = [], 0, 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        pieces.append(data[position : position + size])
        position, turn = position + size, turn + 1
    return pieces


@dataclass
class Shared:
    """One connection, and clients that take turns on it."""

    link: Link = field(default_factory=lambda: Link(1, {"TimeZone": "UTC"}, b"key"))
    server: FramingPostgres = field(default_factory=FramingPostgres)
    statements: Statements = field(default_factory=Statements)

    def client(self) -> Session:
        return Session(ClientState({"TimeZone": "UTC"}), self.statements)

    def speak(self, session: Session, name: bytes, pieces: list[bytes], sizes: list[int]) -> bytes:
        """Let a client say something; what it hears. It holds the connection no longer than it may."""
        heard = b""
        for piece in pieces:
            want = session.receive(piece, 0.0)
            if want is Want.CONNECTION:
                assert self.server.is_between_messages, "the last client left half a message"
                self.server.answers_to = name
                want = session.attach(self.link)
            sent, session.to_database = session.to_database, b""
            heard += session.to_client
            session.to_client = b""
            for answer in cut(self.server.receive(sent), sizes):
                heard += self.link.receive(answer)
            if session.may_detach:
                session.detach()
            if want is Want.END:
                break
        return heard


@settings(max_examples=400, deadline=None, derandomize=True)
@given(CLIENT_STREAMS, CHANGES, CUTS, CUTS)
def test_whatever_a_client_sends_the_next_one_finds_the_connection_between_two_messages_or_not_at_all(
    stream: bytes, changes: list[tuple[str, int, int]], sizes: list[int], answer_sizes: list[int]
) -> None:
    shared = Shared()
    first, second = shared.client(), shared.client()

    with contextlib.suppress(ProtocolViolation):
        shared.speak(first, b"first", cut(changed(stream, changes), sizes), answer_sizes)
    if first.link is not None:
        return
    heard = shared.speak(second, b"second", [query("SELECT 2")], answer_sizes)

    assert b"first" not in heard
    assert heard == shared.server._answer(messages.QUERY)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(CLIENT_STREAMS, CHANGES, CUTS)
def test_whatever_waits_for_a_connection_is_refused_in_order_and_the_session_goes_on_or_ends(
    stream: bytes, changes: list[tuple[str, int, int]], sizes: list[int]
) -> None:
    session = Shared().client()

    with contextlib.suppress(ProtocolViolation):
        for piece in cut(changed(stream, changes), sizes):
            if session.receive(piece, 0.0) is Want.CONNECTION:
                session.refuse(canceled())

    assert not session.to_database


ASKED = st.lists(
    st.sampled_from([QUERY, SYNC, BIND, EXECUTE, Expected(AnswerKind.PARSE), Expected(AnswerKind.DESCRIBE)]), max_size=6
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(ASKED, st.booleans(), SERVER_STREAMS, CHANGES, CUTS)
def test_whatever_a_server_answers_to_one_client_nothing_of_it_reaches_the_next(
    asked: list[Expected], asks_first: bool, stream: bytes, changes: list[tuple[str, int, int]], sizes: list[int]
) -> None:
    shared = Shared()
    first, second = shared.client(), shared.client()
    first.attach(shared.link)
    if asks_first:
        shared.link.ask("SELECT 1")
    shared.link.expected.extend(asked)

    try:
        for piece in cut(changed(stream, changes), sizes):
            shared.link.receive(piece)
            if first.may_detach:
                break
    except ProtocolViolation:
        return  # the connection is not used again
    if not first.may_detach or shared.link.broken:
        return
    first.detach()
    heard = shared.speak(second, b"second", [query("SELECT 2")], [1 << 16])

    assert heard == shared.server._answer(messages.QUERY)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=200), CUTS)
def test_no_bytes_of_a_server_break_the_connection_in_another_way_than_being_refused(
    data: bytes, sizes: list[int]
) -> None:
    link = Link(1, {}, b"key")
    link.expected.extend([QUERY, SYNC])

    with contextlib.suppress(ProtocolViolation):
        for piece in cut(data, sizes):
            link.receive(piece)

    assert len(link._tail) <= messages.HEAD_BYTES + 64 * messages.KIB
