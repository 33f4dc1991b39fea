"""Who is there at this moment: clients, database connections, who has which, who waits; and how that is shown."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from workshape.pgproxy import messages
from workshape.pgproxy.admin_commands import ShutdownWait
from workshape.pgproxy.client_connection import ClientConnection
from workshape.pgproxy.database_connection import DatabaseConnection
from workshape.pgproxy.figures import Counters, PinShown, Snapshot
from workshape.pgproxy.pool import PlaceState, PoolKey, Pools
from workshape.pgproxy.shown import ClientShown, ClientState, DatabaseShown, PoolShown, ServerShown
from workshape.status import ProxyHolder, ProxyPin, ProxyPool, ProxyStatus

HOLDERS_SHOWN_MAX = 100  # the longest: nobody reads more at a time


@dataclass(slots=True)
class Present:
    """The proxy's books. The server keeps them; everybody else reads."""

    pools: Pools
    counters: Counters = field(default_factory=Counters)
    clients: set[ClientConnection] = field(default_factory=set)
    by_session_key: dict[bytes, ClientConnection] = field(default_factory=dict)
    databases: dict[int, DatabaseConnection] = field(default_factory=dict)
    """By the number that the pools know them by."""
    borrowers: dict[int, ClientConnection] = field(default_factory=dict)
    """Who has which of them."""
    waiting_since: dict[ClientConnection, float] = field(default_factory=dict)

    def snapshot(self, now: float) -> Snapshot:
        """Give the figures of this moment."""
        sessions = [client.session for client in self.clients if client.session is not None]
        return Snapshot(
            client_connections=len(self.clients),
            client_connections_tls=sum(client.is_encrypted for client in self.clients),
            database_connections=len(self.databases),
            max_database_connections=self.pools.limit,
            borrowed=len(self.borrowers),
            pinned=sum(bool(session.state.pins) for session in sessions),
            in_transaction=sum(
                database.link is not None and database.link.status != messages.IDLE
                for database in self.databases.values()
            ),
            waiting=self.pools.waiting,
            idle=self.pools.idle,
            query_requests=self.counters.queries + sum(session.queries for session in sessions),
            counters=self.counters,
            pins=tuple(self.pins(now)),
            backend_pids=tuple(one.link.backend_pid for one in self.databases.values() if one.link is not None),
        )

    def may_end(self, after: ShutdownWait | None) -> bool:
        """Whether what is waited for before the proxy ends has come; None: it does not end."""
        match after:
            case None:
                return False
            case ShutdownWait.NOTHING:
                return True
            case ShutdownWait.SERVERS:
                return self.pools.is_drained(None)
            case ShutdownWait.CLIENTS:
                return all(client.admin is not None for client in self.clients)

    def status(self, now: float) -> ProxyStatus:
        """Give everything that is shown to people at once."""
        figures, measured = self.snapshot(now), self.counters.borrow_latency_ms
        latency = {f"p{percent}": measured.percentile(percent) for percent in (50, 90, 99)} if measured.count else {}
        return ProxyStatus(
            client_connections=figures.client_connections,
            database_connections=figures.database_connections,
            borrowed=figures.borrowed,
            pinned=figures.pinned,
            in_transaction=figures.in_transaction,
            idle=figures.idle,
            waiting=figures.waiting,
            max=figures.max_database_connections,
            query_requests=figures.query_requests,
            borrow_timeouts=self.counters.borrow_timeouts,
            borrow_latency_ms={**latency, "max": measured.maximum} if latency else {},
            pools=tuple(_pool_status(pool) for pool in self.shown_pools(now)),
            holders=tuple(self._holders(now)),
            pins=tuple(
                ProxyPin(pin.client_id, pin.user, pin.database, pin.client, pin.reason, pin.statement, pin.age_s)
                for pin in figures.pins
            ),
        )

    def _holders(self, now: float) -> Iterator[ProxyHolder]:
        held = [(one, self.borrowers[one.id]) for one in self.shown_servers(now) if one.id in self.borrowers]
        held.sort(key=lambda pair: -pair[0].state_s)
        for server, client in held[:HOLDERS_SHOWN_MAX]:
            yield ProxyHolder(
                client=client.id,
                user=server.user,
                database=server.database,
                address=client.address,
                application=client.application_name,
                held_s=server.state_s,
                in_transaction=server.in_transaction,
                backend_pid=server.backend_pid,
            )

    def pins(self, now: float) -> Iterator[PinShown]:
        """Every pin of every client."""
        for client in self.clients:
            if client.session is None or client.pool_key is None:
                continue
            key, shown = client.pool_key, client.address
            for _, pin in client.session.state.pins.values():
                yield PinShown(
                    client.id, key.user, key.database, shown, pin.reason.value, pin.statement, now - pin.time
                )

    def shown_clients(self, now: float) -> Iterator[ClientShown]:
        """Every client, in the order in which they came."""
        for client in sorted(self.clients, key=lambda one: one.id):
            database, session = client.database, client.session
            waiting_since = self.waiting_since.get(client)
            yield ClientShown(
                id=client.id,
                user=client.user,
                database=client.database_name,
                address=client.address,
                application=client.application_name,
                state=_client_state(client),
                connected_s=now - client.connected_at,
                silent_s=now - client.active_at,
                waiting_s=None if waiting_since is None else now - waiting_since,
                server=None if database is None else database.id,
                pins=0 if session is None else len(session.state.pins),
                queries=0 if session is None else session.queries,
                is_encrypted=client.is_encrypted,
            )

    def shown_servers(self, now: float) -> Iterator[ServerShown]:
        """Every database connection."""
        for number, key, state, since, connected in self.pools.places():
            database = self.databases.get(number)
            link = None if database is None else database.link
            client = self.borrowers.get(number)
            yield ServerShown(
                id=number,
                backend_pid=None if link is None else link.backend_pid,
                user=key.user,
                database=key.database,
                state=_server_state(state, client),
                in_transaction=link is not None and link.status != messages.IDLE,
                client=None if client is None else client.id,
                state_s=now - since,
                age_s=now - connected if connected else None,
            )

    def shown_pools(self, now: float) -> Iterator[PoolShown]:
        """Every pool that somebody is in."""
        pools: dict[PoolKey, PoolShown] = {}
        for _, key, state, _, _ in self.pools.places():
            pool = pools.setdefault(key, PoolShown(key.database, key.user, dict(key.parameters)))
            pool.lent += state is PlaceState.LENT
            pool.idle += state is PlaceState.IDLE
            pool.connecting += state is PlaceState.CONNECTING
        for key, since in self.pools.waits():
            pool = pools.setdefault(key, PoolShown(key.database, key.user, dict(key.parameters)))
            pool.waiting += 1
            pool.longest_wait_s = max(pool.longest_wait_s, now - since)
        for client in self.clients:
            if client.pool_key is not None and client.admin is None:
                key = client.pool_key
                pools.setdefault(key, PoolShown(key.database, key.user, dict(key.parameters))).clients += 1
        for client in self.borrowers.values():
            if client.pool_key is not None and client.session is not None and client.session.state.pins:
                pools[client.pool_key].pinned += 1
        yield from pools.values()

    def shown_databases(self, now: float) -> Iterator[DatabaseShown]:
        """Every database that somebody is in."""
        databases: dict[str, DatabaseShown] = {}
        for pool in self.shown_pools(now):
            shown = databases.setdefault(pool.database, DatabaseShown(pool.database))
            shown.clients += pool.clients
            shown.waiting += pool.waiting
            shown.connections += pool.lent + pool.idle + pool.connecting
            shown.is_paused = self.pools.is_paused(pool.database)
        yield from databases.values()


def _pool_status(pool: PoolShown) -> ProxyPool:
    return ProxyPool(
        database=pool.database,
        user=pool.user,
        clients=pool.clients,
        waiting=pool.waiting,
        lent=pool.lent,
        idle=pool.idle,
        connecting=pool.connecting,
        pinned=pool.pinned,
        longest_wait_s=pool.longest_wait_s,
    )


def _client_state(client: ClientConnection) -> ClientState:
    if client.admin is not None:
        return ClientState.ADMIN
    if client.is_waiting:
        return ClientState.WAITING
    if client.session is None:
        return ClientState.LOGIN
    return ClientState.IDLE if client.database is None else ClientState.ACTIVE


def _server_state(state: PlaceState, client: ClientConnection | None) -> str:
    if state is PlaceState.LENT and client is None:
        return "resetting"
    return {PlaceState.LENT: "lent", PlaceState.IDLE: "idle", PlaceState.CONNECTING: "connecting"}[state]
