"""Malformed and hostile clients: each kind with its outcome, and nobody else harmed."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psycopg
import pytest

from tests.integration.pgproxy.conftest import DATABASE, PASSWORD, USER, MakeProxy, Proxy
from workshape.pgproxy import messages
from workshape.pgproxy.auth import ScramClient
from workshape.pgproxy.messages import message, query, startup_message
from workshape.settings import ProxySettings

SETTINGS = ProxySettings(
    max_connections_percent=6,
    connection_borrow_timeout_s=20.0,
    startup_timeout_s=3.0,
    idle_in_transaction_timeout_s=2.0,
    idle_client_timeout_s=2.0,
    clients_max=60,
)
"""Of one database connection: whoever kept it would keep it from everybody. A crowd logs in well within the times."""
STARTUP = startup_message({"user": USER, "database": DATABASE})
SSL_REQUEST = messages.SSL_REQUEST
GSS_REQUEST = struct.pack("!II", 8, messages.GSSENC_REQUEST_CODE)
SYNC = message(messages.SYNC)
ENDS_S_MAX = 15.0


@dataclass
class Raw:
    """A client without manners."""

    proxy: Proxy
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hear(self) -> tuple[int, bytes]:
        head = await asyncio.wait_for(self.reader.readexactly(5), ENDS_S_MAX)
        return head[0], await self.reader.readexactly(int.from_bytes(head[1:], "big") - 4)

    async def log_in(self) -> None:
        scram = ScramClient(PASSWORD, "nonce", None)
        await self.say(STARTUP)
        await self.hear()
        _, first = scram.first(("SCRAM-SHA-256",))
        await self.say(message(messages.PASSWORD, b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first))
        await self.say(message(messages.PASSWORD, scram.final((await self.hear())[1][4:])))
        while (await self.hear())[0] != messages.READY_FOR_QUERY:
            pass

    async def logged_in(self, data: bytes) -> None:
        await self.log_in()
        await self.say(data)

    def vanish(self) -> None:
        """As a process does that is killed with bytes unread: by a reset."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def last_words(self) -> bytes:
        """All that the proxy says until it hangs up."""
        try:
            return await asyncio.wait_for(self.reader.read(), ENDS_S_MAX)
        except ConnectionError:
            return b""


Behaviour = Callable[[Raw], Awaitable[None]]


def says(data: bytes) -> Behaviour:
    return lambda raw: raw.say(data)


def says_inside(data: bytes) -> Behaviour:
    return lambda raw: raw.logged_in(data)


async def asks_for_tls_twice(raw: Raw) -> None:
    await raw.say(GSS_REQUEST)
    await raw.reader.readexactly(1)
    await raw.say(GSS_REQUEST)


async def proves_nothing(raw: Raw) -> None:
    await raw.say(STARTUP)
    await raw.hear()
    await raw.say(message(messages.PASSWORD, b"SCRAM-SHA-256\0" + struct.pack("!i", 8) + b"n,,n=,r="))
    await raw.hear()
    await raw.say(message(messages.PASSWORD, b"c=biws,r=,p=AAAA"))


async def answers_the_challenge_with(raw: Raw, data: bytes) -> None:
    await raw.say(STARTUP)
    await raw.hear()
    await raw.say(data)


def answers(data: bytes) -> Behaviour:
    return lambda raw: answers_the_challenge_with(raw, data)


KINDS: dict[str, tuple[Behaviour, bytes]] = {
    # before the log-in
    "says nothing": (says(b""), b"C08P01\0"),
    "stops after half a length": (says(b"\0\0"), b"C08P01\0"),
    "stops in the middle of its start-up packet": (says(STARTUP[:-3]), b"C08P01\0"),
    "announces a packet of no length": (says(struct.pack("!II", 0, 196608)), b"invalid length of startup packet"),
    "announces a packet of a gigabyte": (says(struct.pack("!II", 1 << 30, 196608)), b"invalid length"),
    "speaks HTTP": (says(b"GET / HTTP/1.1\r\nHost: db\r\n\r\n"), b"invalid length of startup packet"),
    "says good-bye before anything else": (says(message(messages.TERMINATE) + STARTUP), b""),
    "speaks TLS without asking": (says(bytes.fromhex("16030100c8010000c40303") + bytes(200)), b"invalid length"),
    "speaks the protocol of 1998": (says(struct.pack("!II", 8, 2 << 16)), b"unsupported frontend protocol 2.0"),
    "names no user": (says(startup_message({"database": DATABASE})), b"C28000\0"),
    "leaves a name without a value": (says(struct.pack("!II", 13, 196608) + b"user\0"), b"invalid startup packet"),
    "wants to replicate": (says(startup_message({"user": USER, "replication": "true"})), b"C0A000\0"),
    "negotiates encryption twice": (asks_for_tls_twice, b"encryption was negotiated already"),
    "talks on before TLS has begun": (says(SSL_REQUEST + STARTUP), b"unencrypted data after SSL request"),
    "proves nothing": (proves_nothing, b"nonce does not match"),
    "answers the challenge with a query": (answers(query("SELECT 1")), b"expected SASL response"),
    "answers the challenge with a gigabyte": (answers(b"p" + struct.pack("!I", 1 << 30)), b"during log-in"),
    "wants a mechanism of its own": (answers(message(messages.PASSWORD, b"PLAIN\0\0\0\0\0")), b"FATAL"),
    "cancels what nobody runs": (says(messages.cancel_request(b"\0\0\0\1abcd")), b""),
    # after it
    "sends a message of no kind": (says_inside(b"?\0\0\0\4"), b"invalid frontend message type 63"),
    "sends a message of a negative length": (says_inside(b"Q\xff\xff\xff\xff"), b"invalid message length"),
    "sends a message shorter than its length": (says_inside(b"Q\0\0\0\1"), b"invalid message length"),
    "binds a name without an end": (says_inside(message(messages.BIND, b"\0name")), b"a name without an end"),
    "describes nothing": (says_inside(message(messages.DESCRIBE, b"") + SYNC), b"FATAL"),
    "is silent in a transaction": (says_inside(query("BEGIN")), b"C25P03\0"),
    "is silent in the middle of a message": (says_inside(query("SELECT 1")[:7]), b"C57P05\0"),
    "says good-bye in the middle of a batch": (
        says_inside(messages.parse(b"", b"SELECT 1\0\0\0") + message(messages.TERMINATE)),
        b"",
    ),
}


async def test_each_kind_is_told_what_is_wrong_and_nobody_else_notices(make_proxy: MakeProxy) -> None:
    said: dict[str, bytes] = {}
    async with make_proxy(SETTINGS) as proxy:

        async def behave(kind: str) -> None:
            raw = Raw(proxy, *await asyncio.open_connection("127.0.0.1", proxy.port))
            await KINDS[kind][0](raw)
            said[kind] = await raw.last_words()
            raw.writer.close()

        await asyncio.gather(*map(behave, KINDS))
        async with await proxy.connect() as client:
            served = await (await client.execute("SELECT 1")).fetchone()
        await proxy.until(lambda: proxy.proxy.snapshot().client_connections == 0, ENDS_S_MAX)
        left = proxy.proxy.snapshot()

    wrong = {
        kind: words
        for kind, words in said.items()
        if KINDS[kind][1] not in words or bool(KINDS[kind][1]) != bool(words)
    }
    assert wrong == {}
    assert served == (1,)
    assert (left.databases.borrowed, left.waiting, left.database_connections) == (0, 0, 1)


@pytest.mark.parametrize(
    "left_open",
    [
        query("BEGIN") + query("INSERT INTO seen VALUES (1)"),
        query("COPY seen FROM STDIN") + message(messages.COPY_DATA, b"1\n"),
        messages.parse(b"", b"INSERT INTO seen VALUES (1)\0\0\0")
        + message(messages.BIND, b"\0\0\0\0\0\0\0\0")
        + message(messages.EXECUTE, b"\0\0\0\0\0"),
        query("SELECT pg_sleep(60)"),
        query("SELECT repeat('x', 50000000)"),
        query("INSERT INTO seen VALUES (1)")[:20],
    ],
    ids=["transaction", "copy", "batch", "statement", "answer", "message"],
)
async def test_who_vanishes_in_the_middle_leaves_nothing_behind(make_proxy: MakeProxy, left_open: bytes) -> None:
    async with make_proxy(SETTINGS) as proxy:
        proxy.server.run("CREATE TABLE IF NOT EXISTS seen (n int)")
        proxy.server.run(f"GRANT ALL ON seen TO {USER}")
        raw = Raw(proxy, *await asyncio.open_connection("127.0.0.1", proxy.port))
        await raw.logged_in(left_open)
        raw.vanish()
        async with await proxy.connect() as client:
            rows = await (await client.execute("SELECT count(*) FROM seen")).fetchone()
        snapshot = proxy.proxy.snapshot()
        proxy.server.run("DROP TABLE seen")

    assert rows == (0,)
    assert snapshot.database_connections == 1


async def test_a_flood_of_clients_that_never_log_in_keeps_nobody_out_for_long(make_proxy: MakeProxy) -> None:
    async with make_proxy(SETTINGS) as proxy:
        flood = [await asyncio.open_connection("127.0.0.1", proxy.port) for _ in range(100)]
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            await proxy.connect()
        await proxy.until(lambda: proxy.proxy.snapshot().client_connections == 0, ENDS_S_MAX)
        async with await proxy.connect() as client:
            served = await (await client.execute("SELECT 1")).fetchone()
        for _, writer in flood:
            writer.close()

    assert served == (1,)
