"""The proxy as a whole: listens, logs clients in, and does what the pools decide.

A connection that comes back dirty (a client left in a transaction, or pinned) is rolled back and reset before it is
lent again, or closed where that cannot be done.
"""

import asyncio
import logging
import secrets
import ssl
from collections import OrderedDict, deque
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from workshape.errors import BackendUnavailable
from workshape.pgproxy import messages
from workshape.pgproxy.auth import SALT_BYTES, ScramVerifier
from workshape.pgproxy.client_connection import SESSION_KEY_BYTES, ClientConnection, ClientEvents
from workshape.pgproxy.client_login import ClientLogin, LoginPolicy
from workshape.pgproxy.client_state import ClientState
from workshape.pgproxy.client_statements import Statements
from workshape.pgproxy.config import ProxyConfig
from workshape.pgproxy.database_connection import (
    NONCE_BYTES,
    DatabaseConnection,
    DatabaseEvents,
    DatabaseTarget,
    database_tls,
    end_point_hash,
)
from workshape.pgproxy.database_login import LoginFailed
from workshape.pgproxy.expected import OUR_SYNC
from workshape.pgproxy.figures import Counters, PinShown, Snapshot
from workshape.pgproxy.pins import BEYOND_RESET
from workshape.pgproxy.pool import Connect, Disconnect, Lend, PlaceState, PoolAction, PoolKey, Pools, Refuse
from workshape.pgproxy.session import Session
from workshape.pgproxy.sqlstate import (
    WireError,
    canceled,
    connection_lost,
    idle_client,
    idle_in_transaction,
    shutting_down,
    startup_timed_out,
    too_many_clients,
)

TICK_S = 0.1  # how late a time-out may be
SWEEP_TICKS = 10  # looking at every client is done once a second
RESET_S_MAX = 5.0  # a rollback that takes longer is not waited for: the connection is closed
BACKLOG = 4096  # connections the kernel completes while the loop is busy with a storm
KNOWN_KEYS_MAX = 1_000  # kinds of clients whose welcome is known; beyond, it is asked again
APPLICATIONS_MAX = 1_000  # names of applications remembered for each of them
NOT_IN_KEY = frozenset({"user", "database", "application_name", "replication"})
UTF8_SPELLINGS = frozenset({"utf8", "utf-8", "unicode"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Welcome:
    """What a server reports to a client of one kind when it logs in."""

    parameters: Mapping[str, str]
    variables: Mapping[str, str]
    by_application: dict[str, "_Welcome"] = field(default_factory=dict)
    """Like clients share one object, so that a connection is seen at a glance to have their variables."""

    def for_application(self, name: str) -> "_Welcome":
        """As the server would report it to a client that calls itself so."""
        found = self.by_application.get(name)
        if found is None:
            own = {"application_name": name}
            found = _Welcome({**self.parameters, **own}, {**self.variables, **own})
            if len(self.by_application) < APPLICATIONS_MAX:
                self.by_application[name] = found
        return found


class ProxyServer:
    """One proxy. `start`, then `close`."""

    def __init__(self, config: ProxyConfig) -> None:
        self._config = config
        self._settings = config.settings
        self._passwords = {user.name: user.password for user in config.users}
        tls = None
        if config.database_tls:
            tls = database_tls(config.database_ca_file)
        self._target = DatabaseTarget(config.database_host, config.database_port, tls)
        self._client_tls, self._end_point = _client_tls(config)
        self._policy = LoginPolicy(
            {
                user.name: ScramVerifier.of_password(user.password, secrets.token_bytes(SALT_BYTES))
                for user in config.users
            },
            secrets.token_bytes(32),
            tls_offered=self._client_tls is not None,
            tls_required=config.tls_required,
        )
        self._pools = Pools(config.settings)
        self._statements = Statements()
        self._welcomes: OrderedDict[PoolKey, _Welcome] = OrderedDict()
        self._clients: set[ClientConnection] = set()
        self._by_session_key: dict[bytes, ClientConnection] = {}
        self._databases: dict[int, DatabaseConnection] = {}
        self._borrowers: dict[int, ClientConnection] = {}
        self._resetting: dict[int, float] = {}
        self._to_do: deque[PoolAction] = deque()
        self._is_performing = False
        self._waiting_since: dict[ClientConnection, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._counters = Counters()
        self._listener: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop
        self._client_events = ClientEvents(
            accepted=self._accepted,
            refused=self._login_refused,
            wants=self._wants,
            rested=self._rested,
            cancels=self._cancels,
            gone=self._gone,
        )
        self._database_events = DatabaseEvents(rested=self._rested, lost=self._database_lost)

    def __repr__(self) -> str:
        return f"<ProxyServer clients={len(self._clients)} {self._pools.describe()}>"

    async def start(self) -> int:
        """Listen; return the port.

        Raises:
            OSError: the address is in use or not ours.
        """
        self._loop = asyncio.get_running_loop()
        config = self._config
        self._listener = await self._loop.create_server(self._client_came, config.host, config.port, backlog=BACKLOG)
        self._own(self._keep_time())
        port = int(self._listener.sockets[0].getsockname()[1])
        _log.info("proxy_listens", extra={"host": config.host, "port": port, "database": self._target.address})
        return port

    async def close(self) -> None:
        """Stop listening, tell every client, close every connection."""
        if self._listener is not None:
            self._listener.close()
        for client in list(self._clients):
            client.end(shutting_down())
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for database in list(self._databases.values()):
            database.send(messages.message(messages.TERMINATE))
            database.transport.close()
        self._databases.clear()

    def snapshot(self) -> Snapshot:
        """Give the figures of this moment."""
        now = self._loop.time()
        sessions = [client.session for client in self._clients if client.session is not None]
        return Snapshot(
            client_connections=len(self._clients),
            client_connections_tls=sum(client.is_encrypted for client in self._clients),
            database_connections=len(self._databases),
            max_database_connections=self._pools.limit,
            borrowed=len(self._borrowers),
            pinned=sum(bool(session.state.pins) for session in sessions),
            in_transaction=sum(
                database.link is not None and database.link.status != messages.IDLE
                for database in self._databases.values()
            ),
            waiting=self._pools.waiting,
            idle=self._pools.idle,
            query_requests=self._counters.queries + sum(session.queries for session in sessions),
            counters=self._counters,
            pins=tuple(shown for client in self._clients for shown in _pins_shown(client, now)),
            backend_pids=tuple(one.link.backend_pid for one in self._databases.values() if one.link is not None),
        )

    # clients

    def _client_came(self) -> ClientConnection:
        self._counters.clients_received += 1
        login = ClientLogin(self._policy, secrets.token_urlsafe(NONCE_BYTES))
        client = ClientConnection(self._client_events, login, self._client_tls, self._end_point)
        self._clients.add(client)
        return client

    def _accepted(self, client: ClientConnection) -> None:
        """Find out what the server would say to this client, and say it."""
        assert client.login is not None
        if len(self._clients) > self._settings.clients_max:
            self._counters.clients_refused += 1
            client.end(too_many_clients(self._settings.clients_max))
            return
        client.pool_key = _pool_key(client.login.startup.parameters)
        self._counters.clients_accepted += 1
        welcome = self._welcomes.get(client.pool_key)
        if welcome is not None:
            self._welcome(client, welcome)
        else:
            client.is_waiting = True
            self._wants(client)

    def _welcome(self, client: ClientConnection, welcome: _Welcome) -> None:
        assert client.login is not None
        application_name = client.login.startup.parameters.get("application_name")
        if application_name is not None:
            welcome = welcome.for_application(application_name)
        client.session_key = secrets.token_bytes(SESSION_KEY_BYTES)
        self._by_session_key[client.session_key] = client
        said = [messages.parameter_status(name, value) for name, value in welcome.parameters.items()]
        said.append(messages.message(messages.BACKEND_KEY_DATA, client.session_key))
        said.append(messages.ready_for_query(messages.IDLE))
        client.begin(Session(ClientState(welcome.variables), self._statements), b"".join(said))

    def _login_refused(self, client: ClientConnection) -> None:
        assert client.login is not None
        error = client.login.refusal
        if error is not None and error.code[:2] == "28":
            self._counters.clients_refused_authentication += 1
        _log.info("client_refused", extra={"user": client.login.user, "reason": "" if error is None else error.message})

    def _wants(self, client: ClientConnection) -> None:
        assert client.pool_key is not None
        now = self._loop.time()
        self._waiting_since[client] = now
        self._perform(self._pools.borrow(client, client.pool_key, now))

    def _cancels(self, asking: ClientConnection, session_key: bytes) -> None:
        self._counters.cancels += 1
        client = self._by_session_key.get(session_key)
        if client is None:
            asking.end()
        elif client.is_waiting:
            self._pools.withdraw(client)
            self._waiting_since.pop(client, None)
            client.refuse(canceled())
            asking.end()
        elif client.database is not None and client.database.link is not None:
            self._own(self._cancel(asking, client.database))
        else:
            asking.end()

    async def _cancel(self, asking: ClientConnection, database: DatabaseConnection) -> None:
        """Pass a cancel request on. Until the database has heard it, nobody else gets the connection it means."""
        assert database.link is not None
        database.cancels += 1
        try:
            await self._target.cancel(database.link.key)
        finally:
            database.cancels -= 1
            asking.end()
            self._rested(database)

    def _gone(self, client: ClientConnection) -> None:
        """The client left, at whatever moment."""
        self._clients.discard(client)
        self._counters.clients_closed += 1
        if client.session is not None:
            self._counters.queries += client.session.queries
        self._by_session_key.pop(client.session_key, None)
        self._waiting_since.pop(client, None)
        self._pools.withdraw(client)
        database = client.database
        if database is not None:
            self._clean(client, database)

    # database connections

    def _rested(self, database: DatabaseConnection) -> None:
        """Take a connection back that nobody needs any more, unless its client keeps it."""
        link = database.link
        if link is None or not link.at_rest or database.cancels or self._databases.get(database.id) is not database:
            return
        client = self._borrowers.get(database.id)
        if client is not None:
            if client.session is None or not client.session.may_detach:
                return
            client.take_back()
            del self._borrowers[database.id]
        elif self._pools.state(database.id) is not PlaceState.LENT:
            return
        self._resetting.pop(database.id, None)
        self._perform(self._pools.give_back(database.id, self._loop.time()))

    def _clean(self, client: ClientConnection, database: DatabaseConnection) -> None:
        """Bring a connection to rest that its client left as it was."""
        session, link = client.session, database.link
        assert session is not None
        assert link is not None
        can_rest = session.may_hang_up and not BEYOND_RESET & session.state.pins.keys()
        pinned = bool(session.state.pins)
        client.take_back()
        self._borrowers.pop(database.id, None)
        if database.transport.is_closing():
            return
        if not can_rest:
            if link.expected:
                self._own(self._target.cancel(link.key))
            database.abort("Its client left in the middle.")
            return
        self._resetting[database.id] = self._loop.time()
        if link.unsynced or link.ignoring:
            link.unsynced = link.ignoring = False
            link.expected.append(OUR_SYNC)
            database.send(messages.message(messages.SYNC))
        statements = ["ROLLBACK"] if link.status != messages.IDLE or link.expected else []
        if pinned:
            link.forget_statements()
            statements.append("DISCARD ALL")
            if self._settings.init_query:
                statements.append(self._settings.init_query)
        for statement in statements:
            database.send(link.ask(statement))
        self._rested(database)

    def _database_lost(self, database: DatabaseConnection, reason: str) -> None:
        link = database.link
        known = self._databases.pop(database.id, None) is database
        self._resetting.pop(database.id, None)
        client = self._borrowers.pop(database.id, None)
        if client is not None and link is not None:
            client.take_back()
            said = link.said_why or not link.at_message_boundary
            client.end(None if said else connection_lost(reason))
        if known and self._pools.state(database.id) is not None:
            self._perform(self._pools.lost(database.id, self._loop.time()))

    async def _connect(self, link_id: int, key: PoolKey) -> None:
        self._counters.connects += 1
        try:
            database = await self._target.connect(
                link_id,
                self._database_events,
                user=key.user,
                password=self._passwords[key.user],
                parameters={"database": key.database, **dict(key.parameters)},
                init_query=self._settings.init_query,
            )
        except LoginFailed as error:
            self._connect_failed(link_id, str(error), error.error if error.lasting else None)
            return
        except BackendUnavailable as error:
            self._connect_failed(link_id, str(error), None)
            return
        except asyncio.CancelledError:
            self._pools.failed(link_id, "the proxy ends", self._loop.time())
            raise
        self._counters.connects_succeeded += 1
        self._databases[link_id] = database
        self._connected(database, key)

    def _connected(self, database: DatabaseConnection, key: PoolKey) -> None:
        assert database.link is not None
        now = self._loop.time()
        self._welcomes[key] = _Welcome(dict(database.link.parameters), database.link.variables)
        self._welcomes.move_to_end(key)
        if len(self._welcomes) > KNOWN_KEYS_MAX:
            self._welcomes.popitem(last=False)
        actions = self._pools.connected(database.id, now)
        limits = database.limits
        if limits is not None:
            actions += self._pools.set_limit(limits.max_connections, limits.reserved, now)
        self._perform(actions)

    def _connect_failed(self, link_id: int, reason: str, for_good: WireError | None) -> None:
        self._counters.connects_failed += 1
        _log.warning("database_connect_failed", extra={"database": self._target.address, "reason": reason})
        now = self._loop.time()
        if for_good is None:
            self._perform(self._pools.failed(link_id, reason, now))
        else:
            self._perform(self._pools.failed_for_good(link_id, for_good, now))

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
            case Lend(borrower, link_id):
                assert isinstance(borrower, ClientConnection)
                self._lend(borrower, link_id)
            case Connect(link_id, key):
                self._own(self._connect(link_id, key))
            case Disconnect(link_id):
                database = self._databases.pop(link_id, None)
                if database is not None:
                    database.send(messages.message(messages.TERMINATE))
                    database.transport.close()
            case Refuse(borrower, error):
                assert isinstance(borrower, ClientConnection)
                self._waiting_since.pop(borrower, None)
                self._counters.borrow_timeouts += 1
                borrower.refuse(error)

    def _lend(self, client: ClientConnection, link_id: int) -> None:
        now = self._loop.time()
        database = self._databases.get(link_id)
        if client not in self._clients:  # it left since this was decided
            if database is not None:
                self._perform(self._pools.give_back(link_id, now))
            return
        if database is None:  # the connection was lost since this was decided
            assert client.pool_key is not None
            self._perform(self._pools.borrow(client, client.pool_key, now))
            return
        self._borrowers[link_id] = client
        self._counters.borrows += 1
        self._counters.borrow_seconds += now - self._waiting_since.pop(client)
        if client.session is None:
            assert client.pool_key is not None
            self._welcome(client, self._welcomes[client.pool_key])
        client.lend(database)

    # time

    async def _keep_time(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(TICK_S)
            ticks += 1
            now = self._loop.time()
            self._perform(self._pools.tick(now))
            self._end_idle_transactions(now)
            for link_id in [link_id for link_id, since in self._resetting.items() if now - since > RESET_S_MAX]:
                self._databases[link_id].abort("It could not be reset in time.")
            if ticks % SWEEP_TICKS == 0:
                self._end_idle_clients(now)

    def _end_idle_transactions(self, now: float) -> None:
        limit_s = self._settings.idle_in_transaction_timeout_s
        for link_id, client in list(self._borrowers.items()):
            database = self._databases.get(link_id)
            if database is None or database.link is None or not database.link.waits_for_client:
                continue
            if now - max(client.active_at, database.active_at) > limit_s:
                self._counters.idle_in_transaction_ended += 1
                client.end(idle_in_transaction(limit_s))

    def _end_idle_clients(self, now: float) -> None:
        settings = self._settings
        for client in list(self._clients):
            session = client.session
            if session is None:
                if not client.is_waiting and now - client.connected_at > settings.startup_timeout_s:
                    client.end(startup_timed_out(settings.startup_timeout_s))
            elif now - client.active_at > settings.idle_client_timeout_s and not client.is_waiting and session.is_quiet:
                client.end(idle_client(settings.idle_client_timeout_s))

    def _own(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _pool_key(startup: Mapping[str, str]) -> PoolKey:
    """Sort clients into pools by what they say at the start; spellings of one encoding are one."""
    parameters = {name: value for name, value in startup.items() if name not in NOT_IN_KEY}
    if parameters.get("client_encoding", "").strip("'\"").lower() in UTF8_SPELLINGS:
        parameters["client_encoding"] = "UTF8"
    user = startup["user"]
    return PoolKey(startup.get("database") or user, user, tuple(sorted(parameters.items())))


def _client_tls(config: ProxyConfig) -> tuple[ssl.SSLContext | None, bytes]:
    """Make the context for clients' TLS, and the hash of its certificate."""
    if config.certificate_file is None or config.key_file is None:
        return None, b""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # as PostgreSQL's ssl_min_protocol_version
    context.load_cert_chain(config.certificate_file, config.key_file)
    certificate = x509.load_pem_x509_certificate(config.certificate_file.read_bytes())
    return context, end_point_hash(certificate.public_bytes(Encoding.DER))


def _pins_shown(client: ClientConnection, now: float) -> list[PinShown]:
    if client.session is None or client.pool_key is None:
        return []
    peer = client.transport.get_extra_info("peername")
    shown = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""
    key = client.pool_key
    return [
        PinShown(key.user, key.database, shown, pin.reason.value, pin.statement, now - pin.time)
        for _, pin in client.session.state.pins.values()
    ]
