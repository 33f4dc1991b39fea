"""One database server's part of the proxy: its pools, its connections, and what is done as the pools decide.

A connection that comes back dirty (a client left in a transaction, or pinned) is rolled back and reset before it is
lent again, or closed where that cannot be done.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from time import monotonic

from workshape.errors import BackendUnavailable
from workshape.pgproxy import messages
from workshape.pgproxy.accounts import Accounts
from workshape.pgproxy.client_connection import ClientConnection
from workshape.pgproxy.client_statements import Statements
from workshape.pgproxy.config import DatabaseServer
from workshape.pgproxy.database_connection import DatabaseConnection, DatabaseEvents, DatabaseTarget
from workshape.pgproxy.database_login import LoginFailed
from workshape.pgproxy.expected import OUR_SYNC
from workshape.pgproxy.figures import Counters, Latencies, TargetCounters
from workshape.pgproxy.pins import BEYOND_RESET
from workshape.pgproxy.pool import Pools
from workshape.pgproxy.pool_actions import Check, Connect, Disconnect, Lend, PoolAction, PoolKey, Refuse
from workshape.pgproxy.pool_places import PlaceState
from workshape.pgproxy.routes import Routes
from workshape.pgproxy.sqlstate import INVALID_PASSWORD, WireError, idle_in_transaction, no_credentials
from workshape.pgproxy.target_choice import Standing
from workshape.pgproxy.welcomes import Welcome, Welcomes
from workshape.settings import ProxySettings

STANDBY = "in_hot_standby"
"""What a server that follows another reports of itself, since PostgreSQL 14.

Source: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC
"""
PROBE_ID = 0  # connections of the pools are numbered from 1
FRESH_S = 0.005  # idle for longer, a connection may have ended while the loop was busy; to look costs a microsecond
RESET_S_MAX = 5.0  # a rollback, or a sign of life, that takes longer is not waited for: the connection is closed
CANCEL_PAUSES_S = (0.2, 1.0)  # between requests to cancel what a client that has gone left running
CHECK_SQL = ""  # the server answers it without doing anything

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class ProxyGround:
    """What all servers' parts of one proxy stand on. A reload puts other settings and routes here."""

    settings: ProxySettings
    accounts: Accounts
    routes: Routes
    counters: Counters
    statements: Statements
    numbers: Iterator[int]
    """Database connections are numbered through."""
    own: Callable[[Coroutine[None, None, None]], None]
    """Runs work until the proxy ends."""
    welcome: Callable[[ClientConnection, Welcome], None]
    """Begins the session of a client that has waited for the server's words."""
    standing_changed: Callable[[], None]
    """Hears that a server is another than it was: it fails, it is there again, it writes now or only reads."""


class Lending:
    """One server's. `want` a connection for a client; the rest follows from what its connections tell."""

    def __init__(self, server: DatabaseServer, target: DatabaseTarget, ground: ProxyGround) -> None:
        self.server = server
        self.pools = Pools(ground.settings, ground.numbers, lambda name: ground.routes.connections_max(name))
        self.welcomes = Welcomes()
        self.databases: dict[int, DatabaseConnection] = {}
        """Open connections by the number that the pools know them by."""
        self.borrowers: dict[int, ClientConnection] = {}
        """Who has which of them."""
        self.takes_writes: bool | None = None
        """As it said when it was last asked; None: it has not been asked."""
        self.last_key: PoolKey | None = None
        """Of the last attempt to connect."""
        self._is_standby = False
        """It said of itself that it follows another server. That ends without a new connection."""
        self._is_probing = False
        self._ground = ground
        self._counters = ground.counters
        self._target_counters = ground.counters.targets.setdefault(server.name, TargetCounters())
        self.target = target
        """How the server is reached."""
        self._latencies: dict[str, Latencies] = {}
        """By endpoint."""
        self._resetting: dict[int, float] = {}
        self._to_do: deque[PoolAction] = deque()
        self._is_performing = False
        self._events = DatabaseEvents(
            rested=self._rested,
            lost=self._lost,
            left=self._left,
            schema_changed=ground.statements.renew,
            leave_alone=self._leave_alone,
        )

    def __repr__(self) -> str:
        return f"<Lending {self.server.name} {self.pools.describe()}>"

    # clients

    def want(self, client: ClientConnection, since: float | None = None) -> None:
        """Lend the client a connection: now, or as soon as there is one. It may have waited elsewhere before."""
        assert client.pool_key is not None
        actions = self.pools.borrow(client, client.pool_key, monotonic(), since)
        if actions:
            self._perform(actions)

    def lend_at_once(self, client: ClientConnection, now: float) -> DatabaseConnection | None:
        """Lend the client an idle connection, if there is one: what `want` comes to, without a detour."""
        assert client.pool_key is not None
        link_id = self.pools.borrow_idle(client.pool_key, now)
        if link_id is None or self._has_ended(self.databases[link_id], now):
            return None
        self.borrowers[link_id] = client
        database = self.databases[link_id]
        database.latencies = latencies = self._latencies_of(client)
        latencies.lent_at_once += 1
        return database

    def _latencies_of(self, client: ClientConnection) -> Latencies:
        endpoint = client.endpoint
        latencies = self._latencies.get(endpoint)
        if latencies is None:
            latencies = self._latencies[endpoint] = self._counters.latencies_between(endpoint, self.server.name)
        return latencies

    def withdraw(self, client: ClientConnection) -> None:
        """The client does not want one any more."""
        self.pools.withdraw(client)

    def waits(self) -> Iterator[tuple[ClientConnection, float]]:
        """Who waits here, longest first, and since when."""
        for borrower, _, since in self.pools.waits():
            assert isinstance(borrower, ClientConnection)
            yield borrower, since

    def known_welcome(self, key: PoolKey) -> Welcome | None:
        """What the server says to such clients; None while it has not been asked."""
        return self.welcomes.known(key)

    # how it stands

    def standing(self) -> Standing:
        """How it stands among the servers of a database."""
        pools = self.pools
        return Standing(self.takes_writes, pools.is_failing, pools.connections - pools.idle + pools.waiting)

    def describe(self) -> str:
        """How it stands, in words."""
        role = {None: "not asked yet", True: "takes writes", False: "only reads"}[self.takes_writes]
        return f"{role}, fails ({self.pools.last_failure})" if self.pools.is_failing else role

    def probe(self, key: PoolKey) -> None:
        """Find out whether it takes connections, and writes, by one log-in."""
        if not self._is_probing:
            self._is_probing = True
            self._ground.own(self._probe(key))

    async def _probe(self, key: PoolKey) -> None:
        try:
            database = await self._open(PROBE_ID, key)
        except (LoginFailed, BackendUnavailable) as error:
            _log.info("database_probe_failed", extra={"database": self.server.address, "reason": str(error)})
            return
        finally:
            self._is_probing = False
        self._take_note(database)
        database.hang_up()
        self._perform(self.pools.recovered(monotonic()))
        self._ground.standing_changed()

    def _take_note(self, database: DatabaseConnection) -> None:
        """Of what a server says of itself when a connection is opened."""
        limits, link = database.limits, database.link
        assert link is not None
        self._is_standby = link.parameters.get(STANDBY) == "on"
        if STANDBY in link.parameters:
            self.welcomes.restate(STANDBY, link.parameters[STANDBY])
        if limits is not None and limits.takes_writes is not self.takes_writes:
            self._change_role(limits.takes_writes)

    def _notice_promotion(self) -> None:
        """A standby that is promoted tells its sessions so."""
        links = [database.link for database in self.databases.values() if database.link is not None]
        if self._is_standby and any(link.parameters.get(STANDBY) == "off" for link in links):
            self._is_standby = False
            self.welcomes.restate(STANDBY, "off")
            self._change_role(True)

    def _change_role(self, takes_writes: bool) -> None:
        self.takes_writes = takes_writes
        _log.info("database_role", extra={"database": self.server.address, "takes_writes": takes_writes})
        self._ground.standing_changed()

    # connections

    def _rested(self, database: DatabaseConnection) -> None:
        """Take a connection back that nobody needs any more, unless its client keeps it."""
        link, link_id = database.link, database.id
        if link is None or database.cancels or self.databases.get(link_id) is not database:
            return
        client, now = self.borrowers.get(link_id), monotonic()
        if client is not None:
            database.answered(now)
            if client.session is None or not client.session.may_detach:
                return
            client.take_back()
            del self.borrowers[link_id]
        elif not link.at_rest:
            return
        elif self.pools.state(link_id) is PlaceState.CHECKED:
            self._resetting.pop(link_id, None)
            self._perform(self.pools.checked(link_id, now))
            return
        elif self.pools.state(link_id) is not PlaceState.LENT:
            return
        if self._resetting:
            self._resetting.pop(link_id, None)
        database.rested_at = now
        actions = self.pools.give_back(link_id, now)
        if actions:
            self._perform(actions)

    def _left(self, database: DatabaseConnection) -> None:
        """Bring a connection to rest that its client left as it was."""
        client = self.borrowers.pop(database.id)
        session, link = client.session, database.link
        assert session is not None
        assert link is not None
        can_rest = session.may_hang_up and not BEYOND_RESET & session.state.pins.keys()
        pinned = bool(session.state.pins)
        database.asked_at = database.waited_s = 0.0
        client.take_back()
        if database.transport.is_closing():
            return
        reset_query = self._ground.settings.reset_query
        if not can_rest or (pinned and not reset_query):
            if link.expected:
                self._ground.own(self._cancel_left(link.key))
            database.abort("Its client left in the middle.")
            return
        self._resetting[database.id] = monotonic()
        if link.unsynced or link.ignoring:
            if not link.ignoring:  # a Sync alone would commit what the batch did
                database.send(link.ask("ROLLBACK"))
            link.unsynced = link.ignoring = False
            link.expected.append(OUR_SYNC)
            database.send(messages.message(messages.SYNC))
        statements = ["ROLLBACK"] if link.status != messages.IDLE or link.expected else []
        if pinned:
            link.forget_statements()
            statements.append(reset_query)
            if self._ground.settings.init_query:
                statements.append(self._ground.settings.init_query)
        for statement in statements:
            database.send(link.ask(statement))
        self._rested(database)

    async def _cancel_left(self, key: bytes) -> None:
        """Cancel what nobody waits for; again, for it is in vain before the server has begun."""
        for pause_s in CANCEL_PAUSES_S:
            await self.target.cancel(key)
            await asyncio.sleep(pause_s)
        await self.target.cancel(key)

    def _leave_alone(self, real_name: str) -> None:
        """Close what is idle of this database: the server waits some seconds for who is about to go, not for others."""
        routes = self._ground.routes
        self._perform(self.pools.close_idle(lambda name: routes.real_name(name) == real_name))

    def _lost(self, database: DatabaseConnection, reason: str) -> None:
        known = self.databases.pop(database.id, None) is database
        self._resetting.pop(database.id, None)
        client = self.borrowers.pop(database.id, None)
        if client is not None:
            client.lose(reason)
        if known and self.pools.state(database.id) is not None:
            self._perform(self.pools.lost(database.id, monotonic()))

    async def _connect(self, link_id: int, key: PoolKey) -> None:
        self._target_counters.connects += 1
        self._target_counters.connects_tls += self.server.tls.is_wanted
        self.last_key = key
        try:
            database = await self._open(link_id, key)
        except LoginFailed as error:
            self._connect_failed(link_id, str(error), error.error if error.lasting else None)
            return
        except BackendUnavailable as error:
            self._connect_failed(link_id, str(error), None)
            return
        except asyncio.CancelledError:
            self.pools.failed(link_id, "the proxy ends", monotonic())
            raise
        self._target_counters.connects_succeeded += 1
        self.databases[link_id] = database
        self._connected(database, key)

    async def _open(self, link_id: int, key: PoolKey) -> DatabaseConnection:
        """Open a connection; if the password is being changed just now, with the one that it is then.

        Raises:
            BackendUnavailable, LoginFailed
        """
        ground = self._ground
        while True:
            password = ground.accounts.password_at(self.server, key.user)
            if password is None:
                raise LoginFailed(reason=f"no password of {key.user}", error=no_credentials(key.user), lasting=True)
            try:
                return await self.target.connect(
                    link_id,
                    self._events,
                    user=key.user,
                    password=password,
                    parameters={"database": ground.routes.real_name(key.database), **dict(key.parameters)},
                    init_query=ground.settings.init_query,
                )
            except LoginFailed as error:
                is_wrong = error.error.code == INVALID_PASSWORD
                if not is_wrong or not await ground.accounts.wait_for_another(key.user, password):
                    raise

    def _connected(self, database: DatabaseConnection, key: PoolKey) -> None:
        assert database.link is not None
        now = monotonic()
        self._take_note(database)
        self.welcomes.learn(key, dict(database.link.parameters), database.link.variables)
        actions = self.pools.connected(database.id, now)
        limits = database.limits
        if limits is not None:
            actions += self.pools.set_limit(limits.max_connections, limits.reserved, now)
        self._perform(actions)

    def _connect_failed(self, link_id: int, reason: str, for_good: WireError | None) -> None:
        self._target_counters.connects_failed += 1
        _log.warning("database_connect_failed", extra={"database": self.server.address, "reason": reason})
        now = monotonic()
        if for_good is None:
            self._perform(self.pools.failed(link_id, reason, now))
            self._ground.standing_changed()
        else:
            self._perform(self.pools.failed_for_good(link_id, for_good, now))

    # what the pools decide

    def _perform(self, actions: list[PoolAction]) -> None:
        """Do what was decided, in order; what is decided meanwhile comes after it."""
        self._to_do.extend(actions)
        if self._is_performing:
            return
        self._is_performing = True
        try:
            while self._to_do:
                self._do(self._to_do.popleft())
        finally:
            self._is_performing = False

    def _do(self, action: PoolAction) -> None:
        match action:
            case Lend(borrower, link_id, since):
                assert isinstance(borrower, ClientConnection)
                self._lend(borrower, link_id, since)
            case Connect(link_id, key):
                self._ground.own(self._connect(link_id, key))
            case Check(link_id):
                self._check(self.databases[link_id])
            case Disconnect(link_id):
                database = self.databases.pop(link_id, None)
                if database is not None:
                    database.hang_up()
            case Refuse(borrower, error):
                assert isinstance(borrower, ClientConnection)
                self._counters.borrow_timeouts += 1
                borrower.refuse(error)

    def _check(self, database: DatabaseConnection) -> None:
        """Ask for a sign of life; `_rested` hears it, or `tick` misses it."""
        assert database.link is not None
        self._resetting[database.id] = monotonic()
        database.send(database.link.ask(CHECK_SQL))

    def _lend(self, client: ClientConnection, link_id: int, since: float) -> None:
        now = monotonic()
        database = self.databases.get(link_id)
        if client.is_ended:  # it left since this was decided
            if database is not None:
                self._perform(self.pools.give_back(link_id, now))
            return
        if database is None or self._has_ended(database, now):  # the connection was lost since this was decided
            assert client.pool_key is not None
            self._perform(self.pools.borrow(client, client.pool_key, now, since))
            return
        self.borrowers[link_id] = client
        waited_s = now - since
        database.latencies = self._latencies_of(client)
        database.latencies.lent(waited_s)
        if client.session is None:
            assert client.pool_key is not None
            welcome = self.welcomes.known(client.pool_key)
            assert welcome is not None, "its first connection brought it"
            self._ground.welcome(client, welcome)
            waited_s = 0.0  # it had not asked for anything yet
        client.lend(database, now, waited_s)

    def _has_ended(self, database: DatabaseConnection, now: float) -> bool:
        """Whether a connection that was idle is not to be had any more; it is given up then."""
        if now - database.rested_at <= FRESH_S or not database.has_news():
            return False
        self.databases.pop(database.id).abort("It said something, or hung up, while nobody had it.")
        self._perform(self.pools.lost(database.id, now))
        return True

    # time

    def tick(self, now: float) -> None:
        """Let time pass: borrow time-outs, idle connections, transactions whose clients say nothing, late resets."""
        self._perform(self.pools.tick(now))
        self._end_idle_transactions(now)
        self._notice_promotion()
        for link_id in [link_id for link_id, since in self._resetting.items() if now - since > RESET_S_MAX]:
            self._give_up(link_id)

    def _give_up(self, link_id: int) -> None:
        """A connection does not answer. When it was idle, others of its server may be gone like it."""
        if self.pools.state(link_id) is PlaceState.CHECKED:
            _log.warning("database_answers_no_more", extra={"database": self.server.address})
            self.renew(None)
        self.databases[link_id].abort("It did not answer in time.")

    def _end_idle_transactions(self, now: float) -> None:
        limit_s = self._ground.settings.idle_in_transaction_timeout_s
        for link_id, client in list(self.borrowers.items()):
            database = self.databases.get(link_id)
            if database is None or database.link is None or not database.link.waits_for_client:
                continue
            if now - max(client.active_at, database.active_at) > limit_s:
                client.end(idle_in_transaction(limit_s))

    # whoever runs the proxy

    def apply(self, server: DatabaseServer, target: DatabaseTarget) -> None:
        """Go by the ground's settings as they are now, and by what this server is now: elsewhere, perhaps."""
        is_another = server != self.server
        self.server, self.target = server, target
        self.apply_settings()
        if is_another:
            self.takes_writes, self._is_standby = None, False
            self.renew(None)
            return
        for database in self.databases.values():
            database.target = target  # cancel requests come over connections of their own

    def apply_settings(self) -> None:
        """Go by the ground's settings as they are now."""
        self._perform(self.pools.apply(self._ground.settings, monotonic()))

    def pause(self, database: str | None) -> None:
        """Lend no connections of this database (None: of any) until `resume`."""
        self._perform(self.pools.pause(database))

    def resume(self, database: str | None) -> None:
        """Lend again; None ends every pause."""
        self._perform(self.pools.resume(database, monotonic()))

    def renew(self, database: str | None) -> None:
        """Replace every connection to this database (None: to any) as soon as nobody holds it."""
        self._perform(self.pools.renew(database, monotonic()))

    def close(self) -> None:
        """Close every connection."""
        for database in list(self.databases.values()):
            database.hang_up()
        self.databases.clear()


def targets_of(servers: Iterable[DatabaseServer]) -> dict[str, DatabaseTarget]:
    """How to speak to each of them, by their names, as the files say now.

    Raises:
        Invalid: a file that TLS needs.
    """
    return {server.name: target_of(server) for server in servers}


def target_of(server: DatabaseServer) -> DatabaseTarget:
    """How to speak to it.

    Raises:
        Invalid: a file that TLS needs.
    """
    return DatabaseTarget.of(server.host, server.port, server.tls)
