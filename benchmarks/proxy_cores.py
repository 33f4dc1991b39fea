"""What a transaction takes of the proxy's cores alone: borrowing, session, link; without sockets, in one process.

The least of many short rounds: on a crowded machine the only figure that stays the same.
"""

import struct
import time
from itertools import count

from benchmarks.report import Report
from workshape.pgproxy import messages
from workshape.pgproxy.client_state import ClientState
from workshape.pgproxy.client_statements import Statements
from workshape.pgproxy.link import Link
from workshape.pgproxy.messages import message, parse, query
from workshape.pgproxy.pool import Pools
from workshape.pgproxy.pool_actions import Connect, PoolKey
from workshape.pgproxy.session import Session
from workshape.settings import ProxySettings

ROUNDS = 100
TRANSACTIONS = 200
CLIENTS = 8
KEY = PoolKey("bench", "app")
VARIABLES = {"TimeZone": "UTC", "client_encoding": "UTF8", "standard_conforming_strings": "on"}
TEXT = b"SELECT abalance FROM pgbench_accounts WHERE aid = $1;\0\0\0"
SYNC = message(messages.SYNC)
RUN = message(messages.DESCRIBE, b"P\0") + message(messages.EXECUTE, b"\0\0\0\0\0") + SYNC
ROW = message(messages.ROW_DESCRIPTION, b"\0\1abalance\0" + bytes(18)) + message(messages.DATA_ROW, b"\0\1\0\0\0\0010")
ROWS = ROW + message(messages.COMMAND_COMPLETE, b"SELECT 1\0") + messages.ready_for_query(messages.IDLE)
PARSED, BOUND = message(messages.PARSE_COMPLETE), message(messages.BIND_COMPLETE)


def measure_cores(report: Report) -> None:
    """Add a row for each protocol."""
    numbers = range(10_000, 10_000 + TRANSACTIONS)
    simple = [query(f"SELECT abalance FROM pgbench_accounts WHERE aid = {number};") for number in numbers]
    extended = [parse(b"", TEXT) + _bind(b"", number) + RUN for number in numbers]
    prepared = [_bind(b"p", number) + RUN for number in numbers]
    report.add("simple, cores alone", _least_us(simple, ROWS), "us of processor time each")
    report.add("extended, cores alone", _least_us(extended, PARSED + BOUND + ROWS), "us of processor time each")
    report.add("prepared, cores alone", _least_us(prepared, BOUND + ROWS), "us of processor time each")


def _least_us(asked: list[bytes], answer: bytes) -> float:
    statements = Statements()
    pools, links = Pools(ProxySettings(), count(1)), {}
    actions = pools.borrow("first", KEY, 0.0)
    for action in actions:
        assert isinstance(action, Connect)
        links[action.link] = Link(action.link, VARIABLES, b"key")
        links[action.link].variables = VARIABLES
        pools.connected(action.link, 0.0)
        pools.give_back(action.link, 0.0)
    sessions = [Session(ClientState(VARIABLES), statements) for _ in range(CLIENTS)]
    for session in sessions:  # who has prepared something has done so before
        [link] = links.values()
        session.attach(link)
        session.receive(parse(b"p", TEXT) + _bind(b"p", 1) + RUN, 0.0)
        link.receive((PARSED if session is sessions[0] else b"") + BOUND + ROWS)
        session.detach()
        session.to_database = session.to_client = b""
    least_s = 1.0
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for number, data in enumerate(asked):
            _transact(pools, links, sessions[number % CLIENTS], data, answer)
        least_s = min(least_s, (time.perf_counter() - begun) / len(asked))
    return least_s * 1e6


def _transact(pools: Pools, links: dict[int, Link], session: Session, data: bytes, answer: bytes) -> None:
    """Do as the drivers do."""
    assert session.asks_at_once(data)
    number = pools.borrow_idle(KEY, 0.0)
    assert number is not None
    link = links[number]
    session.attach(link)
    session.receive(data, 0.0)
    session.to_database = b""
    assert link.receive(answer) is answer
    assert session.may_detach
    session.detach()
    assert pools.give_back(number, 0.0) == []


def _bind(name: bytes, number: int) -> bytes:
    value = b"%d" % number
    return message(messages.BIND, b"\0" + name + b"\0\0\0" + struct.pack("!hi", 1, len(value)) + value + b"\0\1\0\0")
