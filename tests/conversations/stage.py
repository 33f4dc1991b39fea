"""Where conversations are held: a server, two like databases in it, and a new proxy before the second for each.

What must hold: every client is told the same, message for message; the databases hold the same afterwards; the proxy
has every connection back, at rest; and another client finds nothing on any of them.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import zip_longest
from types import TracebackType
from typing import Self

from tests.conversations.heard import Heard, Hearing
from tests.conversations.playing import ANSWER_S_MAX, Known, Part, play_directly, play_through, turns_of
from tests.conversations.said import Bind, Conversation, Describe, Query, Said, Sync
from tests.conversations.speaker import Speaker, connect
from tests.integration.pgproxy.conftest import PASSWORD, USER, Server
from workshape.pgproxy.config import DatabaseServer, ProxyConfig, ProxyUser
from workshape.pgproxy.messages import READY_FOR_QUERY
from workshape.pgproxy.server import ProxyServer
from workshape.settings import PoolMode, ProxySettings

CLIENTS_MAX = 3
DIRECT, PROXIED = "directly", "proxied"
PERCENT_A_CONNECTION = 6  # of the server's
SHOWN_BEFORE = 3  # messages that were the same, before the first that was not
CREATE = [
    "CREATE TABLE kept{n} (n int PRIMARY KEY, note text)",
    "CREATE SEQUENCE counted{n}",
]
RESET = [
    "DROP TABLE IF EXISTS made{n}",
    "TRUNCATE kept{n}",
    "INSERT INTO kept{n} VALUES (1, 'one'), (2, NULL), (3, 'three')",
    "ALTER SEQUENCE counted{n} RESTART",
]
CONTENTS = ["SELECT 'kept{n}', n, note FROM kept{n} ORDER BY n", "SELECT last_value, is_called FROM counted{n}"]
RELATIONS = (
    "SELECT relname, attname, atttypid::regtype FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid "
    "WHERE relnamespace = 'public'::regnamespace AND attnum > 0 ORDER BY 1, 2, 3"
)
TRACES = (
    Query(
        "BEGIN; SELECT name, setting FROM pg_settings WHERE setting IS DISTINCT FROM reset_val"
        " AND name NOT IN ('application_name', 'transaction_isolation') ORDER BY name;"
        "SHOW application_name; SHOW search_path; SELECT current_user, session_user;"
        "SELECT * FROM pg_listening_channels(); SELECT name FROM pg_cursors;"
        "SELECT name FROM pg_prepared_statements WHERE from_sql;"
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();"
        "SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema();"
        "SELECT pg_current_xact_id_if_assigned() IS NULL"
    ),
    Query("SELECT lastval()"),
)
"""What a client asks to find what another has left; it keeps the connection meanwhile."""
STATEMENTS = tuple(one for name in ("", "a", "b", "p") for one in (Describe("S", name), Sync(), Bind(name), Sync()))
LEAVES = (Query("ROLLBACK"), *STATEMENTS)


class Differs(AssertionError):
    """What was expected of a conversation did not come true."""

    def __init__(self, conversation: Conversation, what: str) -> None:
        super().__init__(f"{what}\n{conversation}")
        self.conversation = conversation
        self.what = what


@dataclass(slots=True)
class Proxied:
    """A proxy in front of the second database."""

    proxy: ProxyServer
    port: int

    def waits(self, part: Part) -> bool:
        """Whether a client waits for a connection."""
        return any(client.is_waiting and client.address == part.speaker.address for client in self.proxy._clients)

    def owes(self) -> list[str]:
        """What is not as it must be when nobody says anything any more."""
        figures, lending = self.proxy.snapshot(), self.proxy.lending("main")
        found = [
            ("clients have not left", figures.client_connections),
            ("clients wait", figures.waiting),
            ("pins are left", figures.pinned),
            ("connections are borrowed", len(lending.borrowers)),
            ("connections are lent", lending.pools.lent()),
            ("connections are being reset", len(lending._resetting)),
        ]
        links = [database.link for database in lending.databases.values()]
        busy = [repr(link) for link in links if link is not None and (not link.at_rest or link.holder is not None)]
        return [f"{number} {what}" for what, number in found if number] + busy


class Stage:
    """Holds conversations, one after the other."""

    def __init__(self, server: Server) -> None:
        self.played = 0
        self.answer_s_max = ANSWER_S_MAX
        """How long a client of the proxy waits before it says that an answer does not come."""
        self._server = server
        self._keepers: dict[str, Speaker] = {}
        self._traces: list[Heard] = []
        self._contents: list[Heard] = []

    async def __aenter__(self) -> Self:
        for database in (DIRECT, PROXIED):
            self._server.run(f"CREATE DATABASE {database} OWNER {USER}")
            keeper = self._keepers[database] = await self._connect(self._server.port, database)
            await ask(keeper, Query("; ".join(_for_each_client(CREATE))))
            self._contents = await self._reset(database)
        visitor = await self._connect(self._server.port, DIRECT)
        self._traces = await ask(visitor, *TRACES, *LEAVES)
        visitor.hang_up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for database, keeper in self._keepers.items():
            keeper.hang_up()
            self._server.run(f"DROP DATABASE {database} WITH (FORCE)")

    async def play(self, conversation: Conversation) -> None:
        """Hold a conversation with the server, and with a proxy in front of it.

        Raises:
            Differs: they are not the same, or something is left of it.
        """
        self.played += 1
        try:
            direct, known = await self._directly(conversation)
            async with self._proxy(conversation) as proxied:
                await self._through(conversation, proxied, direct, known)
                await self._compare_contents(conversation)
                await self._look_for_traces(conversation, proxied)
        except Differs:
            raise
        except AssertionError as error:
            raise Differs(conversation, str(error)) from None
        finally:
            for database in (DIRECT, PROXIED):
                if await self._look(database) != self._contents:
                    await self._reset(database)

    async def _directly(self, conversation: Conversation) -> tuple[dict[int, Hearing], dict[int, Known]]:
        parts = await self._parts(conversation, self._server.port, DIRECT)
        try:
            known = await play_directly(conversation, parts)
        finally:
            _hang_up(parts.values())
        return {client: part.hearing for client, part in parts.items()}, known

    async def _through(
        self, conversation: Conversation, proxied: Proxied, direct: dict[int, Hearing], known: dict[int, Known]
    ) -> None:
        parts = await self._parts(conversation, proxied.port, PROXIED)
        for client, part in parts.items():
            part.answer_s_max, part.expected = self.answer_s_max, direct[client].heard
        try:
            await play_through(conversation, parts, known, proxied.waits)
            watched = next(iter(parts.values())).speaker
            await watched.until(lambda: not proxied.owes(), self.answer_s_max)
            assert not proxied.owes(), "when all have left, " + ", ".join(proxied.owes())
        finally:
            _hang_up(parts.values())
            _compare(conversation, direct, {client: part.hearing for client, part in parts.items()}, known)

    async def _parts(self, conversation: Conversation, port: int, database: str) -> dict[int, Part]:
        return {
            client: Part(await self._connect(port, database, application_name=f"client {client}"))
            for client in conversation.clients
        }

    async def _connect(self, port: int, database: str, **parameters: str) -> Speaker:
        return await connect(port, PASSWORD, user=USER, database=database, **parameters)

    @asynccontextmanager
    async def _proxy(self, conversation: Conversation) -> AsyncIterator[Proxied]:
        settings = ProxySettings(
            max_connections_percent=PERCENT_A_CONNECTION * conversation.connections,
            connection_borrow_timeout_s=2 * ANSWER_S_MAX,
            pool_mode=PoolMode(conversation.pool_mode),
        )
        servers, users = (DatabaseServer("main", "127.0.0.1", self._server.port),), (ProxyUser(USER, PASSWORD),)
        proxy = ProxyServer(ProxyConfig(servers=servers, users=users, settings=settings))
        [port] = await proxy.start()
        try:
            yield Proxied(proxy, port)
        finally:
            await proxy.close()

    async def _look_for_traces(self, conversation: Conversation, proxied: Proxied) -> None:
        links = len(proxied.proxy.lending("main").databases)
        visitors = [await self._connect(proxied.port, PROXIED) for _ in range(links)]
        try:
            found = [await ask(visitor, *TRACES) for visitor in visitors]
            found = [before + await ask(one, *LEAVES) for before, one in zip(found, visitors, strict=True)]
        finally:
            for visitor in visitors:
                visitor.hang_up()
        for one in found:
            difference = _difference(self._traces, one)
            assert not difference, f"another client finds something on a connection\n{difference}"

    async def _compare_contents(self, conversation: Conversation) -> None:
        if any(turn.vanishes for _, turn in turns_of(conversation)):
            return  # how much of what it said was still run is a matter of luck
        difference = _difference(await self._look(DIRECT), await self._look(PROXIED))
        assert not difference, f"the databases do not hold the same\n{difference}"

    async def _look(self, database: str) -> list[Heard]:
        return await ask(self._keepers[database], Query("; ".join([*_for_each_client(CONTENTS), RELATIONS])))

    async def _reset(self, database: str) -> list[Heard]:
        await ask(self._keepers[database], Query("; ".join(_for_each_client(RESET))))
        return await self._look(database)


async def ask(speaker: Speaker, *said: Said) -> list[Heard]:
    """Say something, and give all that is answered."""
    hearing = speaker.hearing
    assert hearing is not None
    hearing.heard.clear()
    await speaker.say([b"".join(one.wire(0) for one in said)])
    answers = sum(isinstance(one, Query | Sync) for one in said)
    is_answered = await speaker.until(lambda: hearing.count(READY_FOR_QUERY) >= answers, ANSWER_S_MAX)
    assert is_answered, f"somebody who asks {said[0]} is not answered"
    return list(hearing.heard)


def _for_each_client(texts: Iterable[str]) -> list[str]:
    return [text.replace("{n}", str(client)) for text in texts for client in range(CLIENTS_MAX)]


def _hang_up(parts: Iterable[Part]) -> None:
    for part in parts:
        part.speaker.hang_up()


def _compare(
    conversation: Conversation, direct: dict[int, Hearing], through: dict[int, Hearing], known: dict[int, Known]
) -> None:
    left_at = {turn.client: known[number].messages for number, turn in turns_of(conversation) if number in known}
    leaving = {turn.client for turn in conversation.turns if turn.leaves}
    for client, hearing in direct.items():
        expected, found = hearing.heard, through[client].heard
        if client in leaving:  # it may have heard more than that, or less
            expected, found = expected[: left_at[client]], found[: left_at[client]]
        difference = _difference(expected, found)
        assert not difference, f"client {client} is told something else\n{difference}"
        assert hearing.begun == through[client].begun, f"client {client} is welcomed in other words"
        if client not in leaving:
            assert hearing.changed == through[client].changed, f"client {client} is left with other variables"
            difference = _difference(hearing.notified, through[client].notified)
            assert not difference, f"client {client} is notified of something else\n{difference}"


def _difference(expected: list[Heard], found: list[Heard]) -> str:
    """Tell where they part; empty: they are the same."""
    if expected == found:
        return ""
    at = next(at for at, (one, other) in enumerate(zip_longest(expected, found)) if one != other)
    same = [f"  both:      {one}" for one in expected[max(0, at - SHOWN_BEFORE) : at]]
    server, proxy = [" ".join(f"[{one}]" for one in told[at : at + 2]) or "nothing" for told in (expected, found)]
    return "\n".join([*same, f"  directly:  {server}", f"  by proxy:  {proxy}"])
