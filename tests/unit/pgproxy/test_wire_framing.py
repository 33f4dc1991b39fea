"""Streams of messages cut anywhere: the same messages come out, and what is no message is refused."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workshape.pgproxy import messages
from workshape.pgproxy.client_state import ClientState
from workshape.pgproxy.client_statements import Statements
from workshape.pgproxy.expected import QUERY
from workshape.pgproxy.link import STATUS_BYTES_MAX, Link
from workshape.pgproxy.messages import (
    FIRST_PACKET_BYTES_MAX,
    LOGIN_MESSAGE_BYTES_MAX,
    CancelRequest,
    GssEncRequest,
    MessageBuffer,
    ProtocolViolation,
    SslRequest,
    StartupMessage,
    message,
    read_first_packet,
)
from workshape.pgproxy.session import Session

READY = messages.ready_for_query(messages.IDLE)
COMPLETE = message(messages.COMMAND_COMPLETE, b"SELECT 1\0")

CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=30)
MESSAGES = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=12)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut a stream in pieces of these sizes, over and over."""
    pieces, position, turn = [], 0, 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        pieces.append(data[position : position + size])
        position, turn = position + size, turn + 1
    return pieces


@settings(deadline=None)
@given(MESSAGES, st.one_of(CUTS, st.just([1])))
def test_any_split_of_a_log_ins_stream_gives_the_same_messages(sent: list[tuple[int, bytes]], sizes: list[int]) -> None:
    buffer = MessageBuffer()
    found = []

    for piece in cut(b"".join(message(kind, body) for kind, body in sent), sizes):
        buffer.feed(piece)
        while (next_message := buffer.next_message()) is not None:
            found.append(next_message)

    assert found == sent
    assert buffer.rest() == b""


ROWS = st.lists(
    st.one_of(
        st.just(message(messages.DATA_ROW, READY * 3)),
        st.binary(max_size=60).map(lambda body: message(messages.DATA_ROW, body)),
        st.binary(max_size=60).map(lambda body: message(messages.COPY_DATA, READY + body)),
        st.just(message(messages.NOTICE_RESPONSE, b"SNOTICE\0M" + READY[:4] + b"\0\0")),
        st.just(messages.parameter_status("TimeZone", "Asia/Tokyo")),
        st.just(message(messages.NOTIFICATION_RESPONSE, b"\0\0\0\1news\0" + READY + b"\0")),
        st.just(COMPLETE),
    ),
    max_size=10,
)


@settings(deadline=None)
@given(ROWS, st.one_of(CUTS, st.just([1])))
def test_answers_pass_unchanged_and_the_connection_rests_after_the_real_ready_for_query_only(
    rows: list[bytes], sizes: list[int]
) -> None:
    link = Link(1, {"TimeZone": "UTC"}, b"")
    link.expected.append(QUERY)
    stream = b"".join(rows) + READY
    passed, received = b"", 0

    for piece in cut(stream, sizes):
        passed += link.receive(piece)
        received += len(piece)
        assert link.at_rest == (received == len(stream))

    assert passed == stream
    expected = "Asia/Tokyo" if any(row[:1] == b"S" for row in rows) else "UTC"
    assert link.variables["TimeZone"] == expected


@settings(deadline=None)
@given(ROWS, st.one_of(CUTS, st.just([1])))
def test_answers_to_what_the_proxy_asked_are_swallowed_to_the_byte(rows: list[bytes], sizes: list[int]) -> None:
    link = Link(1, {}, b"")
    link.ask("SELECT 1")
    link.expected.append(QUERY)
    ours = b"".join(row for row in rows if row[:1] != b"A")  # what is notified is the client's own

    passed = b"".join(link.receive(piece) for piece in cut(ours + READY + COMPLETE + READY, sizes))

    assert passed == COMPLETE + READY
    assert link.at_rest


TEXTS = st.lists(st.binary(max_size=50).map(lambda text: text.replace(b"\0", b"Q")), min_size=1, max_size=6)


@settings(deadline=None)
@given(TEXTS, st.one_of(CUTS, st.just([1])))
def test_any_split_of_a_clients_stream_reaches_the_database_whole(texts: list[bytes], sizes: list[int]) -> None:
    session = Session(ClientState({}), Statements())
    session.attach(Link(1, {}, b""))
    stream = b"".join(message(messages.QUERY, text + b"\0") for text in texts)

    for piece in cut(stream, sizes):
        session.receive(piece, 0.0)

    assert session.to_database == stream
    assert session.queries == len(texts)


FIRST_PACKETS = st.one_of(
    st.just((messages.SSL_REQUEST, SslRequest())),
    st.just((struct.pack("!II", 8, messages.GSSENC_REQUEST_CODE), GssEncRequest())),
    st.binary(min_size=8, max_size=36).map(lambda key: (messages.cancel_request(key), CancelRequest(key))),
    st.dictionaries(
        st.text("abcdefgh", min_size=1, max_size=8), st.text("xyz /é", max_size=8), min_size=1, max_size=4
    ).map(lambda parameters: (messages.startup_message(parameters), StartupMessage(parameters))),
)


@settings(deadline=None)
@given(FIRST_PACKETS, st.binary(max_size=20))
def test_a_first_packet_is_read_when_its_last_byte_is_there_and_no_further(
    packet: tuple[bytes, object], rest: bytes
) -> None:
    data, expected = packet

    assert all(read_first_packet(data[:size]) is None for size in range(len(data)))
    assert read_first_packet(data + rest) == (expected, len(data))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        struct.pack("!I", FIRST_PACKET_BYTES_MAX + 1),
        struct.pack("!I", 7),
        struct.pack("!II", 8, messages.PROTOCOL_3_0),
        struct.pack("!II", 9, 2 << 16) + b"\0",
        struct.pack("!II", 12, messages.PROTOCOL_3_0) + b"user",
        struct.pack("!II", 14, messages.PROTOCOL_3_0) + b"user\0\0",
        struct.pack("!II", 15, messages.PROTOCOL_3_0) + b"user\0x\0",
        struct.pack("!II", 30, messages.PROTOCOL_3_0) + b"user\0x\0\0v\0database\0y\0\0",
    ],
)
def test_a_beginning_that_is_no_client_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        read_first_packet(data)


@settings(deadline=None)
@given(st.binary(max_size=64))
def test_any_beginning_is_read_waited_for_or_refused(data: bytes) -> None:
    try:
        found = read_first_packet(data)
    except ProtocolViolation:
        return
    assert found is None or found[1] <= len(data)


@pytest.mark.parametrize("length", [0, 3, LOGIN_MESSAGE_BYTES_MAX + 1, 0xFFFFFFFF])
def test_a_message_of_no_reasonable_length_ends_a_log_in_before_it_is_kept(length: int) -> None:
    buffer = MessageBuffer()
    buffer.feed(b"p" + struct.pack("!I", length))

    with pytest.raises(ProtocolViolation):
        buffer.next_message()


def test_a_variable_of_no_reasonable_length_is_not_kept() -> None:
    link = Link(1, {}, b"")

    with pytest.raises(ProtocolViolation):
        link.receive(b"S" + struct.pack("!I", STATUS_BYTES_MAX + 1))


@pytest.mark.parametrize("length", [0, 4, 6])
def test_a_ready_for_query_of_another_length_than_its_own_is_refused(length: int) -> None:
    link = Link(1, {}, b"")
    link.expected.append(QUERY)

    with pytest.raises(ProtocolViolation):
        link.receive(b"Z" + struct.pack("!I", length) + b"I" * 5)
