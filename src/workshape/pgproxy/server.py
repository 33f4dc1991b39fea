"""The proxy as a whole: listens, logs clients in, and does what the pools decide.

A connection that comes back dirty (a client left in a transaction, or pinned) is rolled back and reset before it is
lent again, or closed where that cannot be done.
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Coroutine

from workshape.errors import BackendUnavailable, WorkshapeError
from workshape.pgproxy import messages
from workshape.pgproxy.admin_commands import ShutdownWait
from workshape.pgproxy.admin_console import AdminConsole, Controls
from workshape.pgproxy.admin_session import WELCOME_TO_ADMIN
from workshape.pgproxy.admission import Admission
from workshape.pgproxy.client_connection import ClientConnection, ClientEvents, new_session_key
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
)
from workshape.pgproxy.database_login import LoginFailed
from workshape.pgproxy.expected import OUR_SYNC
from workshape.pgproxy.figures import Snapshot
from workshape.pgproxy.link import PROCESS_ID_BYTES
from workshape.pgproxy.pins import BEYOND_RESET
from workshape.pgproxy.pool import Connect, Disconnect, Lend, PlaceState, PoolAction, PoolKey, Pools, Refuse
from workshape.pgproxy.pool_key import pool_key
from workshape.pgproxy.present import Present
from workshape.pgproxy.session import Session
from workshape.pgproxy.sqlstate import (
    CONFIG_FILE_ERROR,
    FEATURE_NOT_SUPPORTED,
    WireError,
    canceled,
    connection_lost,
    idle_client,
    idle_in_transaction,
    shutting_down,
    startup_timed_out,
)
from workshape.pgproxy.tls import clients_tls
from workshape.pgproxy.welcomes import Welcome, Welcomes
from workshape.status import ProxyStatus

TICK_S = 0.1  # how late a time-out may be
SWEEP_TICKS = 10  # looking at every client is done once a second
RESET_S_MAX = 5.0  # a rollback that takes longer is not waited for: the connection is closed
BACKLOG = 4096  # connections the kernel completes while the loop is busy with a storm

_log = logging.getLogger(__name__)


class ProxyServer:
    """One proxy. `start`, then `close`."""

    def __init__(self, config: ProxyConfig, read_again: Callable[[], ProxyConfig] | None = None) -> None:
        """`read_again` reads the configuration anew, where it comes from somewhere that can be read again."""
        self._config = config
        self._read_again = read_again
        self._settings = config.settings
        self._passwords = {user.name: user.password for user in config.users}
        tls = None
        if config.database_tls:
            tls = database_tls(config.database_ca_file)
        self._target = DatabaseTarget(config.database_host, config.database_port, tls)
        self._client_tls, self._end_point = None, b""
        if config.certificate_file is not None and config.key_file is not None:
            self._client_tls, self._end_point = clients_tls(config.certificate_file, config.key_file)
        self._policy = LoginPolicy.of_passwords(
            self._passwords, tls_offered=self._client_tls is not None, tls_required=config.tls_required
        )
        self._pools = Pools(config.settings)
        self._statements = Statements()
        self._admission = Admission()
        self._welcomes = Welcomes()
        present = self._present = Present(self._pools)
        # The books by the names that every call on a query's way uses them by.
        self._clients, self._by_session_key = present.clients, present.by_session_key
        self._databases, self._borrowers = present.databases, present.borrowers
        self._waiting_since, self._counters = present.waiting_since, present.counters
        self._resetting: dict[int, float] = {}
        self._to_do: deque[PoolAction] = deque()
        self._is_performing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._ends_after: ShutdownWait | None = None
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
        self._database_events = DatabaseEvents(
            rested=self._rested, lost=self._database_lost, schema_changed=self._statements.renew
        )
        controls = Controls(
            now=lambda: self._loop.time(),
            settings=lambda: self._settings,
            perform=self._perform,
            reload=self.try_reload,
            shut_down=self._shut_down,
        )
        self._console = AdminConsole(present, controls, config.administrators)

    def __repr__(self) -> str:
        return f"<ProxyServer clients={len(self._clients)} {self._pools.describe()}>"

    async def start(self) -> int:
        """Listen; return the port.

        Raises:
            OSError: the address is in use or not ours.
        """
        self._loop = asyncio.get_running_loop()
        config = self._config
        self._listener = await self._loop.create_server(
            self._client_came, config.host, config.port, backlog=BACKLOG, reuse_port=config.reuse_port or None
        )
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
        return self._present.snapshot(self._loop.time())

    def status(self) -> ProxyStatus:
        """Give everything that is shown to people."""
        return self._present.status(self._loop.time())

    async def wait_ended(self) -> None:
        """Return when somebody has ended the proxy on its admin console."""
        await self._ended.wait()

    def reload(self, config: ProxyConfig) -> None:
        """Go by other settings, users and administrators; clients stay."""
        self._settings = config.settings
        self._passwords = {user.name: user.password for user in config.users}
        self._policy = LoginPolicy.of_passwords(
            self._passwords, tls_offered=self._client_tls is not None, tls_required=config.tls_required
        )
        self._pools.apply(config.settings)
        self._console.administrators = frozenset(config.administrators)
        _log.info("proxy_reloaded", extra={"users": len(config.users)})

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
        admitted = self._admission.admit(client.login.user, client.host, len(self._clients), self._settings)
        if isinstance(admitted, WireError):
            self._counters.clients_refused += 1
            client.end(admitted)
            return
        client.admitted = admitted
        client.pool_key = pool_key(client.login.startup.parameters)
        self._counters.clients_accepted += 1
        if client.pool_key.database == self._settings.admin_database:
            client.begin_admin(self._console.open(client), WELCOME_TO_ADMIN)
            return
        welcome = self._welcomes.known(client.pool_key)
        if welcome is not None:
            self._welcome(client, welcome)
        else:
            client.is_waiting = True
            self._wants(client)

    def _welcome(self, client: ClientConnection, welcome: Welcome) -> None:
        assert client.login is not None
        application_name = client.login.startup.parameters.get("application_name")
        if application_name is not None:
            welcome = welcome.for_application(application_name)
        client.session_key = new_session_key()
        self._by_session_key[client.session_key] = client
        said = [messages.parameter_status(name, value) for name, value in welcome.parameters.items()]
        said.append(messages.message(messages.BACKEND_KEY_DATA, client.session_key))
        said.append(messages.ready_for_query(messages.IDLE))
        state = ClientState(welcome.variables, process_id=client.session_key[:PROCESS_ID_BYTES])
        client.begin(Session(state, self._statements), b"".join(said))

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
        self._console.forget(client)
        if client.admitted is not None:
            self._admission.left(client.admitted)
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
        self._welcomes.learn(key, dict(database.link.parameters), database.link.variables)
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
        self._counters.borrow_latency_ms.add((now - self._waiting_since.pop(client)) * 1_000)
        if client.session is None:
            assert client.pool_key is not None
            welcome = self._welcomes.known(client.pool_key)
            assert welcome is not None, "its first connection brought it"
            self._welcome(client, welcome)
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
            self._console.tick()
            if self._present.may_end(self._ends_after):
                self._ended.set()
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
            if client.admin is not None:
                continue
            if session is None:
                if not client.is_waiting and now - client.connected_at > settings.startup_timeout_s:
                    client.end(startup_timed_out(settings.startup_timeout_s))
            elif now - client.active_at > settings.idle_client_timeout_s and not client.is_waiting and session.is_quiet:
                client.end(idle_client(settings.idle_client_timeout_s))

    # whoever runs the proxy

    def try_reload(self) -> WireError | None:
        """Read the configuration again, where that can be done; where it cannot, everything stays, and why is said."""
        if self._read_again is None:
            return WireError(FEATURE_NOT_SUPPORTED, "this proxy was started without a file that could be read again")
        try:
            self.reload(self._read_again())
        except WorkshapeError as error:
            _log.error("proxy_not_reloaded", extra={"reason": str(error)})
            return WireError(CONFIG_FILE_ERROR, str(error), hint="The settings are as they were.")
        return None

    def _shut_down(self, wait: ShutdownWait) -> None:
        _log.info("proxy_ends", extra={"after": wait.name.lower()})
        self._ends_after = wait
        if self._listener is not None:
            self._listener.close()
        if wait is ShutdownWait.SERVERS:
            self._perform(self._pools.pause(None))

    def _own(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
