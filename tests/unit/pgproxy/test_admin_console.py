"""The admin console's protocol and commands, without a proxy behind them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.pgproxy import messages
from workshape.pgproxy.admin_commands import (
    Command,
    Granted,
    KillClient,
    Pause,
    Reconnect,
    Reload,
    Resume,
    Show,
    Shutdown,
    ShutdownWait,
    Table,
    UnknownCommand,
    read_command,
)
from workshape.pgproxy.admin_session import AdminSession, Answer
from workshape.pgproxy.admin_tables import Column, TableShown
from workshape.pgproxy.messages import MessageBuffer, ProtocolViolation
from workshape.pgproxy.sqlstate import UNDEFINED_OBJECT, WireError

NUMBERS = TableShown(
    (Column("name"), Column("count", int), Column("age_s", float)), [("a", 3, 0.5), (None, None, None)]
)


class Console:
    """Plays the proxy: notes commands, answers by what they are."""

    def __init__(self) -> None:
        self.done: list[Command] = []
        self.session = AdminSession(self.execute)

    def execute(self, command: Command) -> Answer | None:
        self.done.append(command)
        match command:
            case Show():
                return NUMBERS
            case Pause():
                return None
            case KillClient():
                return WireError(UNDEFINED_OBJECT, "no client")
            case Granted(tag):
                return tag
        return "DONE"

    def say(self, *said: bytes) -> list[tuple[str, bytes]]:
        """Send, and read what is answered: letters and bodies."""
        self.session.receive(b"".join(said))
        return self.heard()

    def heard(self) -> list[tuple[str, bytes]]:
        buffer = MessageBuffer()
        buffer.feed(b"".join(self.session.to_client))
        self.session.to_client.clear()
        return [(chr(kind), body) for kind, body in iter(buffer.next_message, None)]


def letters(heard: list[tuple[str, bytes]]) -> str:
    return "".join(kind for kind, _ in heard)


def bind(*formats: int) -> bytes:
    body = b"\0\0" + struct.pack("!HHH", 0, 0, len(formats)) + struct.pack(f"!{len(formats)}H", *formats)
    return messages.message(messages.BIND, body)


PARSE_SHOW = messages.parse(b"", b"SHOW POOLS\0\0\0")
DESCRIBE = messages.message(messages.DESCRIBE, b"P\0")
EXECUTE = messages.message(messages.EXECUTE, b"\0\0\0\0\0")
SYNC = messages.message(messages.SYNC)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("SHOW POOLS", Show(Table.POOLS)),
        (" show  Pins ; ", Show(Table.PINS)),
        ("PAUSE", Pause(None)),
        ("pause shop", Pause("shop")),
        ('RESUME "my ""shop"""', Resume('my "shop"')),
        ("RECONNECT", Reconnect(None)),
        ("KILL_CLIENT 12", KillClient(12)),
        ("kill client 12;", KillClient(12)),
        ("RELOAD", Reload()),
        ("SHUTDOWN", Shutdown(ShutdownWait.NOTHING)),
        ("SHUTDOWN WAIT_FOR_CLIENTS", Shutdown(ShutdownWait.CLIENTS)),
        ("SHUTDOWN WAIT_FOR_SERVERS", Shutdown(ShutdownWait.SERVERS)),
        ("BEGIN", Granted("BEGIN")),
        ("SET application_name = 'x'", Granted("SET")),
        ("", None),
        (" ; ", None),
    ],
)
def test_commands_are_read_however_they_are_spelt(text: str, command: Command | None) -> None:
    read = read_command(text)

    assert read == command


@pytest.mark.parametrize(
    "text", ["SELECT 1", "SHOW", "SHOW ME", "PAUSE a b", 'PAUSE "open', "KILL_CLIENT", "KILL_CLIENT x", "SHOW " * 300]
)
def test_what_is_no_command_is_refused_with_a_way_on(text: str) -> None:
    with pytest.raises(UnknownCommand) as caught:
        read_command(text)

    assert "SHOW HELP" in caught.value.reason or "SHOW CLIENTS" in caught.value.reason


def test_a_query_is_answered_with_a_table_and_the_next_may_come() -> None:
    console = Console()

    heard = console.say(messages.query("SHOW POOLS"))

    assert letters(heard) == "TDDCZ"
    assert heard[1][1] == struct.pack("!Hi1si1si3s", 3, 1, b"a", 1, b"3", 3, b"0.5")
    assert heard[2][1] == struct.pack("!Hiii", 3, -1, -1, -1)
    assert heard[3][1] == b"SHOW 2\0"


def test_a_driver_of_the_extended_protocol_gets_the_formats_it_asked_for() -> None:
    console = Console()

    heard = console.say(PARSE_SHOW, bind(1), DESCRIBE, EXECUTE, SYNC)

    assert letters(heard) == "12TDDCZ"
    assert heard[3][1] == struct.pack("!Hi1siqid", 3, 1, b"a", 8, 3, 8, 0.5)


def test_a_refused_command_in_a_batch_skips_to_its_sync() -> None:
    console = Console()

    heard = console.say(messages.parse(b"", b"SELECT 1\0\0\0"), bind(), DESCRIBE, EXECUTE, SYNC)
    after = console.say(messages.query("SHOW POOLS"))

    assert letters(heard) == "EZ"
    assert letters(after) == "TDDCZ"


@pytest.mark.parametrize(
    "said", [messages.query("PAUSE"), messages.parse(b"", b"PAUSE\0\0\0") + bind() + EXECUTE + SYNC]
)
def test_a_command_that_takes_its_time_holds_back_what_follows(said: bytes) -> None:
    console = Console()

    console.say(said, messages.query("SHOW POOLS"))
    waiting = list(console.done)
    console.session.answer("PAUSE")

    assert waiting == [Pause(None)]
    assert console.done == [Pause(None), Show(Table.POOLS)]
    assert letters(console.heard()) == "CZTDDCZ"


def test_a_command_that_fails_says_so_and_the_session_goes_on() -> None:
    console = Console()

    heard = console.say(messages.query("KILL_CLIENT 7"), messages.query("SELECT 1"), messages.query(";"))

    assert letters(heard) == "EZEZIZ"
    assert b"C42704\0" in heard[0][1]
    assert b"C42601\0" in heard[2][1]


def test_parameters_are_refused() -> None:
    console = Console()

    with pytest.raises(ProtocolViolation):
        console.say(PARSE_SHOW, messages.message(messages.BIND, b"\0\0" + struct.pack("!HHi1sH", 0, 1, 1, b"1", 0)))


def test_good_bye_ends_it() -> None:
    console = Console()

    console.say(messages.message(messages.TERMINATE), messages.query("SHOW POOLS"))

    assert console.session.is_over
    assert console.done == []


@given(cuts=st.lists(st.integers(1, 60), max_size=8))
def test_any_split_of_the_stream_is_answered_alike(cuts: list[int]) -> None:
    stream = PARSE_SHOW + bind(0) + DESCRIBE + EXECUTE + SYNC + messages.query("RELOAD") + messages.query("SHOW X")
    console = Console()

    at = 0
    for cut in [*cuts, len(stream)]:
        console.session.receive(stream[at : at + cut])
        at += cut

    assert letters(console.heard()) == "12TDDCZCZEZ"
