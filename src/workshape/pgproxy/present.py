"""Who is there at this moment: clients, database connections, who has which, who waits; and how that is shown."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field

from workshape.metrics.distribution import Distribution
from workshape.pgproxy import messages
from workshape.pgproxy.admin_commands import ShutdownWait
from workshape.pgproxy.client_connection import ClientConnection
from workshape.pgproxy.figures import ClientFigures, Counters, PinShown, Snapshot, TargetFigures
from workshape.pgproxy.lenders import Lenders
from workshape.pgproxy.lending import Lending
from workshape.pgproxy.link import Link
from workshape.pgproxy.pool_actions import PoolKey
from workshape.pgproxy.pool_places import PlaceState
from workshape.pgproxy.shown import ClientShown, ClientState, DatabaseShown, PoolShown, ServerShown, TargetShown
from workshape.pgproxy.target_choice import roles
from workshape.status import ProxyHolder, ProxyPin, ProxyPool, ProxyStatus

HOLDERS_SHOWN_MAX = 100  # the longest: nobody reads more at a time


@dataclass(slots=True)
class Present:
    """The proxy's books. The server keeps them; everybody else reads."""

    counters: Counters
    lenders: Lenders
    clients: set[ClientConnection] = field(default_factory=set)
    by_session_key: dict[bytes, ClientConnection] = field(default_factory=dict)

    @property
    def lendings(self) -> Mapping[str, Lending]:
        """The servers' parts by their names."""
        return self.lenders.lendings

    def each(self, do: Callable[[Lending], None]) -> None:
        """Do it with every server's part."""
        for lending in self.lendings.values():
            do(lending)

    def snapshot(self, now: float) -> Snapshot:
        """Give the figures of this moment."""
        lendings = list(self.lendings.values())
        return Snapshot(
            endpoints=self._endpoints(),
            targets=self._targets(),
            pinned=sum(_is_pinned(client) for client in self.clients),
            waiting=sum(lending.pools.waiting for lending in lendings) + len(self.lenders.waits()),
            idle=sum(lending.pools.idle for lending in lendings),
            counters=self.counters,
            pins=tuple(self.pins(now)),
            backend_pids=tuple(link.backend_pid for link in _links(lendings[0])),
        )

    def _targets(self) -> dict[str, TargetFigures]:
        """The connections to each server, and what was done there; also at servers that are gone."""
        found = {name: TargetFigures(**asdict(counted)) for name, counted in self.counters.targets.items()}
        standings = [lending.standing() for lending in self.lendings.values()]
        named = roles([(one.takes_writes, not one.is_failing) for one in standings])
        for (name, lending), role in zip(self.lendings.items(), named, strict=True):
            figures = found[name]
            figures.role, figures.is_failing = role, lending.pools.is_failing
            figures.connections = len(lending.databases)
            figures.connections_tls = sum(one.is_encrypted for one in lending.databases.values())
            figures.connections_max = lending.pools.limit
            figures.borrowed = len(lending.borrowers)
            figures.pinned = sum(_is_pinned(client) for client in lending.borrowers.values())
            figures.in_transaction = sum(link.status != messages.IDLE for link in _links(lending))
        return found

    def _endpoints(self) -> dict[str, ClientFigures]:
        """Each endpoint's clients, those that have left included."""
        found = {name: ClientFigures(**asdict(counted)) for name, counted in self.counters.clients.items()}
        for client in self.clients:
            figures = found[client.endpoint]
            queries = 0 if client.session is None else client.session.queries
            figures.connections += 1
            figures.queries += queries
            if client.is_encrypted:
                figures.connections_tls += 1
                figures.queries_tls += queries
        return found

    def may_end(self, after: ShutdownWait | None) -> bool:
        """Whether what is waited for before the proxy ends has come; None: it does not end."""
        match after:
            case None:
                return False
            case ShutdownWait.NOTHING:
                return True
            case ShutdownWait.SERVERS:
                return self.is_drained(None)
            case ShutdownWait.CLIENTS:
                return all(client.admin is not None for client in self.clients)

    def is_drained(self, database: str | None) -> bool:
        """Whether no server has a connection of ours to this database (None: to any), none being opened either."""
        return all(lending.pools.is_drained(database) for lending in self.lendings.values())

    def status(self, now: float) -> ProxyStatus:
        """Give everything that is shown to people at once."""
        figures = self.snapshot(now)
        clients, databases = figures.clients, figures.databases
        return ProxyStatus(
            client_connections=clients.connections,
            database_connections=databases.connections,
            borrowed=databases.borrowed,
            pinned=figures.pinned,
            in_transaction=databases.in_transaction,
            idle=figures.idle,
            waiting=figures.waiting,
            max=databases.connections_max,
            query_requests=clients.queries,
            borrow_timeouts=self.counters.borrow_timeouts,
            borrow_latency_ms=_latency_ms(figures.latencies.borrow_us),
            pools=tuple(_pool_status(pool) for pool in self.shown_pools(now)),
            holders=tuple(self._holders(now)),
            pins=tuple(
                ProxyPin(pin.client_id, pin.user, pin.database, pin.client, pin.reason, pin.statement, pin.age_s)
                for pin in figures.pins
            ),
        )

    def _holders(self, now: float) -> Iterator[ProxyHolder]:
        holders = {number: client for lending in self.lendings.values() for number, client in lending.borrowers.items()}
        held = [(one, holders[one.id]) for one in self.shown_servers(now) if one.id in holders]
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
        waits = self.lenders.waits()
        for lending in self.lendings.values():
            waits.update(lending.waits())
        for client in sorted(self.clients, key=lambda one: one.id):
            database, session = client.database, client.session
            waiting_since = waits.get(client)
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
        for lending in self.lendings.values():
            for number, key, state, since, connected in lending.pools.places():
                database = lending.databases.get(number)
                link = None if database is None else database.link
                client = lending.borrowers.get(number)
                yield ServerShown(
                    id=number,
                    target=lending.server.name,
                    backend_pid=None if link is None else link.backend_pid,
                    user=key.user,
                    database=key.database,
                    state=_server_state(state, client),
                    in_transaction=link is not None and link.status != messages.IDLE,
                    client=None if client is None else client.id,
                    state_s=now - since,
                    age_s=now - connected if connected else None,
                )

    def shown_targets(self) -> Iterator[TargetShown]:
        """Every database server."""
        for lending in self.lendings.values():
            pools = lending.pools
            yield TargetShown(
                name=lending.server.name,
                address=lending.server.address,
                state=lending.describe(),
                connections=pools.connections,
                connections_max=pools.limit,
                borrowed=len(lending.borrowers),
                waiting=pools.waiting,
            )

    def shown_pools(self, now: float) -> Iterator[PoolShown]:
        """Every pool that somebody is in."""
        pools: dict[PoolKey, PoolShown] = {}
        for lending in self.lendings.values():
            for _, key, state, _, _ in lending.pools.places():
                pool = pools.setdefault(key, PoolShown(key.database, key.user, dict(key.parameters)))
                pool.lent += state is PlaceState.LENT
                pool.idle += state is PlaceState.IDLE
                pool.connecting += state is PlaceState.CONNECTING
            for _, key, since in lending.pools.waits():
                pool = pools.setdefault(key, PoolShown(key.database, key.user, dict(key.parameters)))
                pool.waiting += 1
                pool.longest_wait_s = max(pool.longest_wait_s, now - since)
        for client in self.clients:
            mine, session = client.pool_key, client.session
            if mine is None or client.admin is not None:
                continue
            pool = pools.setdefault(mine, PoolShown(mine.database, mine.user, dict(mine.parameters)))
            pool.clients += 1
            pool.pinned += client.database is not None and session is not None and bool(session.state.pins)
        yield from pools.values()

    def shown_databases(self, now: float) -> Iterator[DatabaseShown]:
        """Every database of the configuration, and every other that somebody is in."""
        databases = {name: self._database(name) for name in self.lenders.routes.names()}
        for pool in self.shown_pools(now):
            shown = databases.get(pool.database)
            if shown is None:
                shown = databases[pool.database] = self._database(pool.database)
            shown.clients += pool.clients
            shown.waiting += pool.waiting
            shown.connections += pool.lent + pool.idle + pool.connecting
        yield from databases.values()

    def _database(self, name: str) -> DatabaseShown:
        routes = self.lenders.routes
        route = routes.find(name)
        return DatabaseShown(
            name,
            server="" if route is None else route.server,
            readers=() if route is None else route.readers,
            real_name=routes.real_name(name),
            pool_mode=routes.pool_mode(name).value,
            connections_max=routes.connections_max(name),
            is_paused=any(lending.pools.is_paused(name) for lending in self.lendings.values()),
        )


def _links(lending: Lending) -> list[Link]:
    return [one.link for one in lending.databases.values() if one.link is not None]


def _is_pinned(client: ClientConnection) -> bool:
    return client.session is not None and bool(client.session.state.pins)


def _latency_ms(measured_us: Distribution) -> dict[str, float]:
    if not measured_us.count:
        return {}
    shown = {f"p{percent}": measured_us.percentile(percent) / 1_000 for percent in (50, 90, 99)}
    return {**shown, "max": measured_us.maximum / 1_000}


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
    return state.name.lower()
