"""The short ways through session and link, which nearly all messages take: the same comes of them as of the long."""

from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.pgproxy.test_proxy_session import CHUNKS, SCRIPTS, Bench, Client, Script, bind, parse
from workshape.pgproxy import messages
from workshape.pgproxy.client_state import ClientState
from workshape.pgproxy.client_statements import Statements
from workshape.pgproxy.expected import QUERY
from workshape.pgproxy.harmless import DIGITS, SHAPES_MAX, Harmless
from workshape.pgproxy.link import Link
from workshape.pgproxy.messages import message
from workshape.pgproxy.pins import PinReason
from workshape.pgproxy.recognition import is_suspicious
from workshape.pgproxy.session import Session

SYNC = message(messages.SYNC)
READY = messages.ready_for_query(messages.IDLE)


class LongWayLink(Link):
    """One that knows no short way."""

    __slots__ = ()

    def _pass_plain(self, data: bytes, position: int) -> int:
        return position


class LongWaySession(Session):
    """One that knows no short way."""

    __slots__ = ()

    def _pass_plain(self, link: Link, data: bytes, position: int) -> int:
        return position


def run(script: Script, chunk_bytes: int, *, short: bool) -> list[Any]:
    """Everything that can be told from outside after a script."""
    bench = Bench.of(3, chunk_bytes, at_once=short)
    if not short:
        for backend in bench.backends:
            backend.link = LongWayLink(backend.link.id, backend.server.variables, b"key")
    session = Session if short else LongWaySession
    variables = dict(bench.backends[0].server.variables)
    clients = [Client(bench, session(ClientState(variables), bench.statements)) for _ in range(3)]
    for number, batches in script:
        bench.free.sort(key=lambda backend: -backend.link.id if number % 2 else backend.link.id)
        clients[number].send(b"".join(batch + SYNC for batch in batches))
    sessions = [(one.seen, one.session.queries, set(one.session.state.pins)) for one in clients]
    links = [
        (one.link.status, [entry.kind for entry in one.link.expected], one.link.unsynced, one.link.ignoring)
        for one in bench.backends
    ]
    heard = [backend.heard for backend in bench.backends]
    return [sessions, links, heard, sorted(backend.link.id for backend in bench.free)]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(SCRIPTS, CHUNKS)
def test_short_and_long_ways_send_the_same_to_clients_and_servers(script: Script, chunk_bytes: int) -> None:
    assert run(script, chunk_bytes, short=True) == run(script, chunk_bytes, short=False)


ANSWERS = st.lists(
    st.sampled_from(
        [
            message(messages.ROW_DESCRIPTION, b"\0\1n\0"),
            message(messages.DATA_ROW, READY * 2),
            message(messages.COMMAND_COMPLETE, b"SELECT 1\0"),
            message(messages.COMMAND_COMPLETE, b"CREATE TABLE\0"),
            message(messages.EMPTY_QUERY_RESPONSE),
            message(messages.ERROR_RESPONSE, b"SERROR\0VERROR\0C42601\0Mno\0\0"),
            message(messages.NOTICE_RESPONSE, b"SNOTICE\0\0"),
            messages.parameter_status("TimeZone", "Asia/Tokyo"),
            READY,
            messages.ready_for_query(messages.IN_TRANSACTION),
            messages.ready_for_query(messages.FAILED_TRANSACTION),
        ]
    ),
    max_size=8,
)


@settings(deadline=None)
@given(st.lists(ANSWERS, min_size=1, max_size=4), st.integers(1, 80))
def test_short_and_long_ways_read_any_answer_alike_however_it_is_cut(answers: list[list[bytes]], size: int) -> None:
    changes: list[type[Link]] = []
    links = [kind(1, {"TimeZone": "UTC"}, b"", partial(changes.append, kind)) for kind in (Link, LongWayLink)]
    data = b"".join(b"".join(answer) + READY for answer in answers)
    for link in links:
        link.expected.extend([QUERY] * data.count(b"Z\0\0\0\5"))

    seen = [[link.receive(data[at : at + size]) for at in range(0, len(data), size)] for link in links]

    short, long = links
    assert seen[0] == seen[1]
    assert (short.status, short.variables, len(short.expected)) == (long.status, long.variables, len(long.expected))
    assert changes.count(Link) == changes.count(LongWayLink)


WORDS = st.sampled_from(
    [
        "SELECT",
        "pg_",
        "try_advisory_",
        "lock",
        "settings",
        "set",
        "RESET",
        "do",
        "te",
        "mp",
        "li",
        "sten",
        "pre",
        "pare",
        "-- ",
        "\n",
        ";",
        "/*",
        "*/",
        " ",
        "'",
        '"',
        "1",
        "22",
        "_",
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(WORDS, max_size=12))
def test_what_is_suspicious_stays_so_without_its_digits(words: list[str]) -> None:
    text = "".join(words).encode()

    assert is_suspicious(text.translate(None, DIGITS)) or not is_suspicious(text)


def test_a_text_is_known_by_its_like_but_for_the_numbers() -> None:
    harmless = Harmless()
    harmless.learn(b"SELECT 1")
    harmless.learn(b"LISTEN x")

    assert harmless.knows(b"SELECT 4711")
    assert not harmless.knows(b"SELECT 1, 2")
    assert not harmless.knows(b"LISTEN x")
    assert not harmless.knows(b"SELECT \\1")


def test_no_more_shapes_are_kept_than_the_bound() -> None:
    harmless = Harmless()

    for number in range(SHAPES_MAX + 1):
        harmless.learn(b"SELECT " + bytes(97 + int(digit) for digit in str(number)))

    assert repr(harmless) == "<Harmless 1>"


def test_what_only_looks_like_a_harmless_text_pins() -> None:
    bench = Bench.of(1)
    client = bench.client()

    client.send(parse("", "rows 1") + SYNC)
    client.send(parse("", "rows 1; LISTEN x") + bind("") + SYNC)

    assert set(client.session.state.pins) == {PinReason.LISTEN}


def test_an_answer_made_here_waits_for_the_end_of_a_message_that_is_cut() -> None:
    """The server was not asked again for a statement that it has; the message before its answer came in two pieces."""
    statements = Statements()
    link = Link(1, {}, b"")
    first = Session(ClientState({}), statements)
    first.attach(link)
    first.receive(parse("a", "rows 1") + SYNC, 0.0)
    link.receive(message(messages.PARSE_COMPLETE) + READY)
    first.detach()
    second = Session(ClientState({}), statements)
    second.attach(link)
    second.receive(message(messages.EXECUTE, b"\0\0\0\0\0") + parse("b", "rows 1") + SYNC, 0.0)
    complete = message(messages.COMMAND_COMPLETE, b"SELECT 1000000\0")

    seen = [link.receive(complete[:-3]), link.receive(complete[-3:] + READY)]

    assert b"".join(seen) == complete + message(messages.PARSE_COMPLETE) + READY
    assert link.at_rest


def test_an_answer_made_here_is_not_put_into_the_middle_of_a_message() -> None:
    statements = Statements()
    link = Link(1, {}, b"")
    first = Session(ClientState({}), statements)
    first.attach(link)
    first.receive(parse("a", "rows 1") + SYNC, 0.0)
    link.receive(message(messages.PARSE_COMPLETE) + READY)
    first.detach()
    second = Session(ClientState({}), statements)
    second.attach(link)
    second.receive(message(messages.EXECUTE, b"\0\0\0\0\0") + message(messages.FLUSH), 0.0)
    complete = message(messages.COMMAND_COMPLETE, b"SELECT 1000000\0")
    seen = link.receive(complete[:-3])

    second.receive(parse("b", "rows 1") + SYNC, 0.0)

    assert second.to_client == b""
    assert seen + link.receive(complete[-3:] + READY) == complete + message(messages.PARSE_COMPLETE) + READY
