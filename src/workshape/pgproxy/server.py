"""The proxy as a whole: listens, logs clients in, and sends each to whoever lends it database connections."""

import asyncio
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from itertools import count
from sys import intern
from time import monotonic

from msgspec import structs

from workshape.errors import WorkshapeError
from workshape.pgproxy import messages
from workshape.pgproxy.accounts import Accounts, ReadSecret, no_secrets
from workshape.pgproxy.admin_commands import ShutdownWait
from workshape.pgproxy.admin_console import AdminConsole, Controls
from workshape.pgproxy.admin_session import WELCOME_TO_ADMIN
from workshape.pgproxy.admission import Admission
from workshape.pgproxy.client_connection import ClientConnection, ClientEvents, new_session_key
from workshape.pgproxy.client_login import ClientLogin
from workshape.pgproxy.client_state import ClientState
from workshape.pgproxy.client_statements import Statements
from workshape.pgproxy.config import Endpoint, EndpointRole, ProxyConfig
from workshape.pgproxy.database_connection import NONCE_BYTES, DatabaseConnection, set_socket_options
from workshape.pgproxy.figures import ClientCounters, Counters, Snapshot
from workshape.pgproxy.lenders import Lenders
from workshape.pgproxy.lending import Lending, ProxyGround, targets_of
from workshape.pgproxy.pins import Pin, PinReason
from workshape.pgproxy.pool_key import PoolKeys
from workshape.pgproxy.present import Present
from workshape.pgproxy.session import Session
from workshape.pgproxy.sqlstate import (
    CONFIG_FILE_ERROR,
    WireError,
    canceled,
    idle_client,
    shutting_down,
    startup_timed_out,
)
from workshape.pgproxy.tls import ClientTls
from workshape.pgproxy.welcomes import Welcome
from workshape.settings import PoolMode
from workshape.status import ProxyStatus

TICK_S = 0.1  # how late a time-out may be
SWEEP_TICKS = 10  # looking at every client is done once a second
BACKLOG = 4096  # connections the kernel completes while the loop is busy with a storm

_log = logging.getLogger(__name__)


class ProxyServer:
    """One proxy, on the running loop. `start`, then `close`."""

    def __init__(
        self,
        config: ProxyConfig,
        read_again: Callable[[], ProxyConfig] | None = None,
        read_secret: ReadSecret = no_secrets,
    ) -> None:
        """`read_again` reads the configuration anew, where it comes from somewhere that can be read again.

        Raises:
            Invalid: a certificate or an authority of the configuration.
        """
        self._config = config
        self._read_again = read_again
        self._client_tls, targets = _client_tls(config), targets_of(config.servers)
        self._accounts = Accounts(config, self._client_tls, targets, read_secret)
        self._counters = Counters()
        self._ground = ProxyGround(
            settings=config.settings,
            accounts=self._accounts,
            routes=config.routes(),
            counters=self._counters,
            statements=Statements(),
            numbers=count(1),
            own=self._own,
            welcome=self._welcome,
            standing_changed=lambda: self._lenders.reconsider(),
        )
        self._lenders = Lenders(config, targets, self._ground)
        self._admission = Admission()
        self._pool_keys = PoolKeys()
        self._present = Present(self._counters, self._lenders)
        self._clients, self._by_session_key = self._present.clients, self._present.by_session_key
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._ends_after: ShutdownWait | None = None
        self._listeners: dict[Endpoint, list[asyncio.Server]] = {}
        self.predecessor: Callable[[bytes], Awaitable[None]] | None = None
        """Takes cancel requests for clients of the proxy that this one has replaced."""
        self._loop = asyncio.get_running_loop()
        controls = Controls(
            now=monotonic,
            settings=lambda: self._ground.settings,
            reload=self.try_reload,
            shut_down=self._shut_down,
        )
        self._console = AdminConsole(self._present, controls, config.administrators)

    def __repr__(self) -> str:
        return f"<ProxyServer clients={len(self._clients)} {self._lenders}>"

    async def start(self, inherited: Callable[[Endpoint], list[socket.socket]] = lambda _: []) -> tuple[int, ...]:
        """Learn the users' passwords, and listen; return the endpoints' ports, in their order.

        `inherited` gives the sockets on which a predecessor listens for an endpoint already.

        Raises:
            OSError: an address is in use or not ours.
        """
        await self._accounts.read_secrets()
        ports = tuple([await self.listen(endpoint, inherited(endpoint)) for endpoint in self._config.endpoints])
        self._own(self._keep_time())
        servers = [server.address for server in self._config.servers]
        _log.info("proxy_listens", extra={"ports": ports, "servers": servers})
        return ports

    async def listen(self, endpoint: Endpoint, inherited: Sequence[socket.socket] = ()) -> int:
        """Listen at one more endpoint, on these sockets if there are any; return its port.

        Raises:
            OSError: the address is in use or not ours.
        """
        counters = self._counters.clients.setdefault(endpoint.name, ClientCounters())
        events = ClientEvents(
            accepted=partial(self._accepted, counters, endpoint.role),
            doubted=self._doubted,
            refused=partial(self._login_refused, counters),
            cancels=self._cancels,
            gone=partial(self._gone, counters),
            endpoint=endpoint.name,
        )
        came = partial(self._client_came, counters, events)
        if inherited:
            made = [await self._loop.create_server(came, sock=sock, backlog=BACKLOG) for sock in inherited]
        else:
            made = [await self._loop.create_server(came, endpoint.host, endpoint.port, backlog=BACKLOG)]
        self._listeners[endpoint] = made
        for raw in (sock for listener in made for sock in listener.sockets):
            set_socket_options(raw)
        return int(made[0].sockets[0].getsockname()[1])

    @property
    def config(self) -> ProxyConfig:
        """What it goes by, as it was when it began or was last reloaded."""
        return self._config

    def listening(self) -> list[tuple[Endpoint, int, int]]:
        """Every socket that is listened on: its endpoint, its port, its descriptor."""
        return [
            (endpoint, int(sock.getsockname()[1]), sock.fileno())
            for endpoint, listeners in self._listeners.items()
            for listener in listeners
            for sock in listener.sockets
        ]

    def stop_listening(self, endpoint: Endpoint) -> None:
        """Let nobody come to an endpoint any more; who is there stays."""
        for listener in self._listeners.pop(endpoint):
            listener.close()

    async def close(self) -> None:
        """Stop listening, tell every client, close every connection."""
        self._stop_listening()
        for client in list(self._clients):
            client.end(shutting_down())
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._accounts.close()
        self._lenders.close()

    def snapshot(self) -> Snapshot:
        """Give the figures of this moment."""
        return self._present.snapshot(monotonic())

    def lending(self, server: str) -> Lending:
        """The part of the server with this name."""
        return self._lenders.lendings[server]

    def passwords(self) -> Mapping[str, str]:
        """Every password that is known, by user."""
        return self._accounts.passwords

    async def learn_anew(self, user: str) -> None:
        """Read the user's secret again, if there is one: the database does not take what it said."""
        await self._accounts.learn_anew(user)

    def status(self) -> ProxyStatus:
        """Give everything that is shown to people."""
        return self._present.status(monotonic())

    async def wait_ended(self) -> None:
        """Return when somebody has ended the proxy on its admin console."""
        await self._ended.wait()

    # clients

    def _client_came(self, counters: ClientCounters, events: ClientEvents) -> ClientConnection:
        counters.received += 1
        login = ClientLogin(self._accounts.policy, secrets.token_urlsafe(NONCE_BYTES))
        client = ClientConnection(events, login, self._client_tls)
        self._clients.add(client)
        return client

    def _accepted(self, counters: ClientCounters, role: EndpointRole, client: ClientConnection) -> None:
        """Find out what the server would say to this client, and say it."""
        assert client.login is not None
        user = intern(client.login.user)  # one string for all who are this user
        settings = self._ground.settings
        key = self._pool_keys.of(client.login.startup.parameters)
        is_admin = key.database == settings.admin_database
        if not is_admin:
            key = self._pool_keys.of_user(key, self._ground.routes.server_user(key.database, user))
        client.writes = role is EndpointRole.READ_WRITE
        lender = None if is_admin else self._lenders.find(key.database, writes=client.writes)
        if isinstance(lender, WireError):
            client.end(lender)
            return
        host = client.host
        refusal = self._admission.admit(user, host, len(self._clients), settings)
        if refusal is not None:
            client.end(refusal)
            return
        client.logged_in_as, client.admitted_from = user, host
        client.pool_key = key
        self._accounts.proved(user, client.login.client_key)
        client.lender = lender
        counters.accepted += 1
        if lender is None:
            client.begin_admin(self._console.open(client), WELCOME_TO_ADMIN)
            return
        welcome = lender.known_welcome(key)
        if welcome is not None:
            self._welcome(client, welcome)
        else:
            client.want()

    def _welcome(self, client: ClientConnection, welcome: Welcome) -> None:
        assert client.login is not None
        application_name = client.login.startup.parameters.get("application_name")
        if application_name is not None:
            welcome = welcome.for_application(application_name)
        client.session_key = new_session_key(client.login.startup.minor_version)
        self._by_session_key[client.session_key] = client
        key_data = messages.message(messages.BACKEND_KEY_DATA, client.session_key)
        said = welcome.words + key_data + messages.ready_for_query(messages.IDLE)
        pool_mode = self._ground.routes.pool_mode(client.database_name, client.user)
        state = ClientState(welcome.variables, pool_mode, session_key=client.session_key)
        if pool_mode is PoolMode.SESSION:
            state.pin(Pin(PinReason.SESSION_MODE, "", monotonic()))
        client.begin(Session(state, self._ground.statements), said)

    def _doubted(self, client: ClientConnection) -> None:
        """A client seems to know another password than we do: look whether it is right."""
        self._own(self._learn_anew(client))

    async def _learn_anew(self, client: ClientConnection) -> None:
        assert client.login is not None
        await self._accounts.learn_anew(client.login.user)
        client.relearned(self._accounts.policy)

    def _login_refused(self, counters: ClientCounters, client: ClientConnection) -> None:
        assert client.login is not None
        error = client.login.refusal
        if error is not None and error.code[:2] == "28":
            counters.refused_authentication += 1
        why = {} if error is None else {"reason": error.message, "detail": error.detail}
        _log.info("client_refused", extra={"user": client.login.user, **why})

    def _cancels(self, asking: ClientConnection, session_key: bytes) -> None:
        self._counters.cancels += 1
        self._own(self._cancel_for(asking, session_key))

    async def _cancel_for(self, asking: ClientConnection, session_key: bytes) -> None:
        try:
            await self.cancel(session_key)
        finally:
            asking.end()

    async def cancel(self, session_key: bytes) -> None:
        """Cancel what the client with this key waits for or runs; return when the database has heard of it."""
        client = self._by_session_key.get(session_key)
        if client is None:
            if self.predecessor is not None:
                await self.predecessor(session_key)
        elif client.is_waiting:
            assert client.lender is not None
            client.lender.withdraw(client)
            client.refuse(canceled())
        elif client.database is not None and client.database.link is not None:
            await _cancel(client.database, client.database.link.key)

    def _gone(self, counters: ClientCounters, client: ClientConnection) -> None:
        """The client left, at whatever moment."""
        self._clients.discard(client)
        counters.closed += 1
        if client.session is not None:
            counters.queries += client.session.queries
            counters.queries_tls += client.session.queries if client.is_encrypted else 0
        self._by_session_key.pop(client.session_key, None)
        if client.lender is not None:
            client.lender.withdraw(client)
        self._console.forget(client)
        if client.logged_in_as:
            self._admission.left(client.logged_in_as, client.admitted_from)
        if client.database is not None:
            client.database.events.left(client.database)

    # time

    async def _keep_time(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(TICK_S)
            ticks += 1
            now = monotonic()
            self._accounts.tick(now)
            self._lenders.tick(now)
            self._console.tick()
            if self._present.may_end(self._ends_after):
                self._ended.set()
            if ticks % SWEEP_TICKS == 0:
                self._end_idle_clients(now)

    def _end_idle_clients(self, now: float) -> None:
        settings = self._ground.settings
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

    def reload(self, config: ProxyConfig) -> None:
        """Go by other settings, users, administrators, servers and databases, and by certificates as they are now.

        Clients stay, and connections do.

        Raises:
            Invalid: a certificate or an authority; nothing has changed then.
        """
        client_tls, targets = _client_tls(config), targets_of(config.servers)
        self._config, self._client_tls = config, client_tls
        self._accounts.apply(config, client_tls, targets)
        ground = self._ground
        ground.settings, ground.routes = config.settings, config.routes()
        self._lenders.apply(config, targets, list(self._clients))
        self._console.administrators = frozenset(config.administrators)
        _log.info("proxy_reloaded", extra={"users": len(config.users), "servers": len(config.servers)})

    def try_reload(self) -> WireError | None:
        """Read certificates again, and the configuration where it has a file; when one is no good, everything stays."""
        try:
            self.reload(self._config if self._read_again is None else self._read_again())
        except WorkshapeError as error:
            _log.error("proxy_not_reloaded", extra={"reason": str(error)})
            return WireError(CONFIG_FILE_ERROR, str(error), hint="Settings and certificates are as they were.")
        return None

    def drain(self) -> None:
        """Admit nobody, keep no idle database connection, and end when every client has left."""
        self._shut_down(ShutdownWait.CLIENTS)
        self._ground.settings = structs.replace(
            self._ground.settings, max_idle_connections_percent=0, idle_connection_timeout_s=0.0
        )
        self._present.each(lambda lending: lending.apply_settings())

    def _shut_down(self, wait: ShutdownWait) -> None:
        _log.info("proxy_ends", extra={"after": wait.name.lower()})
        self._ends_after = wait
        self._stop_listening()
        if wait is ShutdownWait.SERVERS:
            self._present.each(lambda lending: lending.pause(None))

    def _stop_listening(self) -> None:
        for endpoint in list(self._listeners):
            self.stop_listening(endpoint)

    def _own(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _client_tls(config: ProxyConfig) -> ClientTls | None:
    if config.certificate_file is None or config.key_file is None:
        return None
    return ClientTls.of(config.certificate_file, config.key_file, config.client_ca_file)


async def _cancel(database: DatabaseConnection, key: bytes) -> None:
    """Pass a cancel request on. Until the database has heard it, nobody else gets the connection it means."""
    database.cancels += 1
    try:
        await database.target.cancel(key)
    finally:
        database.cancels -= 1
        database.events.rested(database)
