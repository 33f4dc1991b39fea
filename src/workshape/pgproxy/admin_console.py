"""The admin console's side of the proxy: does the commands, and lays the tables out.

Every user of the proxy may look; only administrators may do something.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import msgspec

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
)
from workshape.pgproxy.admin_session import AdminSession, Answer
from workshape.pgproxy.admin_tables import Column, TableShown
from workshape.pgproxy.client_connection import ClientConnection
from workshape.pgproxy.present import Present
from workshape.pgproxy.sqlstate import INSUFFICIENT_PRIVILEGE, UNDEFINED_OBJECT, WireError, killed
from workshape.settings import ProxySettings

LATENCY_BOUNDS_MS = (0.1, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 5_000.0, 30_000.0, 120_000.0)
"""From a connection at hand to RDS Proxy's own borrow timeout."""


@dataclass(frozen=True, slots=True)
class Controls:
    """What the console does with the proxy."""

    now: Callable[[], float]
    settings: Callable[[], ProxySettings]
    reload: Callable[[], WireError | None]
    """Read the settings again; tell why not."""
    shut_down: Callable[[ShutdownWait], None]


class AdminConsole:
    """One proxy's."""

    def __init__(self, present: Present, controls: Controls, administrators: Collection[str]) -> None:
        """`administrators` are the users that may do more than look."""
        self._present = present
        self._controls = controls
        self.administrators = frozenset(administrators)
        self._pausing: dict[ClientConnection, str | None] = {}

    def __repr__(self) -> str:
        return f"<AdminConsole pausing={len(self._pausing)}>"

    def open(self, client: ClientConnection) -> AdminSession:
        """Make the session of a client that asked for the console."""
        return AdminSession(lambda command: self._execute(client, command))

    def tick(self) -> None:
        """Answer the pauses that have come true."""
        for client, database in list(self._pausing.items()):
            if self._present.is_drained(database):
                del self._pausing[client]
                assert client.admin is not None
                client.answer_admin("PAUSE")

    def forget(self, client: ClientConnection) -> None:
        """It left."""
        self._pausing.pop(client, None)

    def _execute(self, client: ClientConnection, command: Command) -> Answer | None:
        match command:
            case Show(table):
                return self._shown(table)
            case Granted(tag):
                return tag
        if client.user not in self.administrators:
            who = ", ".join(sorted(self.administrators)) or "nobody"
            return WireError(
                INSUFFICIENT_PRIVILEGE,
                f"user {client.user} may look at this proxy, and no more",
                hint=f"Administrators are: {who}.",
            )
        return self._do(client, command)

    def _do(self, client: ClientConnection, command: Command) -> Answer | None:
        present, controls = self._present, self._controls
        match command:
            case Pause(database):
                present.each(lambda lending: lending.pause(database))
                if present.is_drained(database):
                    return "PAUSE"
                self._pausing[client] = database
                return None
            case Resume(database):
                present.each(lambda lending: lending.resume(database))
                return "RESUME"
            case Reconnect(database):
                present.each(lambda lending: lending.renew(database))
                return "RECONNECT"
            case KillClient(number):
                return self._kill(number)
            case Reload():
                return controls.reload() or "RELOAD"
            case Shutdown(wait):
                controls.shut_down(wait)
                return "SHUTDOWN"
        raise AssertionError(command)

    def _kill(self, number: int) -> Answer:
        found = next((one for one in self._present.clients if one.id == number), None)
        if found is None:
            return WireError(UNDEFINED_OBJECT, f"no client {number}", hint="SHOW CLIENTS has those there are.")
        found.end(killed())
        return "KILL"

    # tables

    def _shown(self, table: Table) -> TableShown:
        make = {
            Table.CLIENTS: self._clients,
            Table.CONFIG: self._config,
            Table.DATABASES: self._databases,
            Table.HELP: _help,
            Table.LATENCY: self._latency,
            Table.PINS: self._pins,
            Table.POOLS: self._pools,
            Table.SERVERS: self._servers,
            Table.STATS: self._stats,
            Table.TARGETS: self._targets,
            Table.VERSION: _version,
        }[table]
        return make()

    def _clients(self) -> TableShown:
        columns = _columns(
            "id:int user database address application state connected_s:float silent_s:float waiting_s:float"
            " server:int pins:int queries:int tls"
        )
        rows = [
            (
                one.id,
                one.user,
                one.database,
                one.address,
                one.application,
                one.state.value,
                one.connected_s,
                one.silent_s,
                one.waiting_s,
                one.server,
                one.pins,
                one.queries,
                _yes(one.is_encrypted),
            )
            for one in self._present.shown_clients(self._controls.now())
        ]
        return TableShown(columns, rows)

    def _servers(self) -> TableShown:
        columns = _columns(
            "id:int target pid:int user database state in_transaction client:int state_s:float age_s:float"
        )
        rows = [
            (
                one.id,
                one.target,
                one.backend_pid,
                one.user,
                one.database,
                one.state,
                _yes(one.in_transaction),
                one.client,
                one.state_s,
                one.age_s,
            )
            for one in self._present.shown_servers(self._controls.now())
        ]
        return TableShown(columns, rows)

    def _pools(self) -> TableShown:
        columns = _columns(
            "database user clients:int waiting:int lent:int idle:int connecting:int pinned:int longest_wait_s:float"
            " parameters"
        )
        rows = [
            (
                one.database,
                one.user,
                one.clients,
                one.waiting,
                one.lent,
                one.idle,
                one.connecting,
                one.pinned,
                one.longest_wait_s,
                " ".join(f"{name}={value}" for name, value in one.parameters.items()),
            )
            for one in self._present.shown_pools(self._controls.now())
        ]
        return TableShown(columns, rows)

    def _databases(self) -> TableShown:
        columns = _columns(
            "name target readers dbname pool_mode clients:int waiting:int connections:int connections_max:int paused"
        )
        rows = [
            (
                one.name,
                one.server,
                " ".join(one.readers),
                one.real_name,
                one.pool_mode,
                one.clients,
                one.waiting,
                one.connections,
                one.connections_max,
                _yes(one.is_paused),
            )
            for one in self._present.shown_databases(self._controls.now())
        ]
        return TableShown(columns, rows)

    def _targets(self) -> TableShown:
        columns = _columns("name address state connections:int connections_max:int borrowed:int waiting:int")
        rows = [
            (one.name, one.address, one.state, one.connections, one.connections_max, one.borrowed, one.waiting)
            for one in self._present.shown_targets()
        ]
        return TableShown(columns, rows)

    def _pins(self) -> TableShown:
        columns = _columns("client:int user database address reason statement age_s:float")
        rows = [
            (pin.client_id, pin.user, pin.database, pin.client, pin.reason, pin.statement, pin.age_s)
            for pin in self._present.pins(self._controls.now())
        ]
        return TableShown(columns, rows)

    def _stats(self) -> TableShown:
        figures = self._present.snapshot(self._controls.now()).cloudwatch()
        rows = [(name, float(value)) for name, value in figures.items()]
        return TableShown(_columns("figure value:float"), rows)

    def _latency(self) -> TableShown:
        latencies = self._present.counters.summed_latencies()
        measured = (latencies.borrow_us, latencies.response_us, latencies.database_us)
        bounds_us = [bound * 1_000 for bound in LATENCY_BOUNDS_MS]
        rows = zip(LATENCY_BOUNDS_MS, *(each.counts_up_to(bounds_us) for each in measured), strict=True)
        columns = _columns("up_to_ms:float borrows:int responses:int database_responses:int")
        return TableShown(columns, [*rows, (None, *(each.count for each in measured))])

    def _config(self) -> TableShown:
        settings = msgspec.to_builtins(self._controls.settings())
        return TableShown(_columns("setting value"), [(name, str(value)) for name, value in settings.items()])


def _help() -> TableShown:
    doing = (
        ("PAUSE [database]", "lend nothing, close what comes back, answer when all is closed; clients wait"),
        ("RESUME [database]", "lend again"),
        ("RECONNECT [database]", "replace every database connection as soon as nobody holds it"),
        ("KILL_CLIENT id", "end a client"),
        ("RELOAD", "read the settings and the certificates again"),
        ("SHUTDOWN", "end the proxy"),
        ("SHUTDOWN WAIT_FOR_SERVERS", "admit nobody, lend nothing, end when every database connection is back"),
        ("SHUTDOWN WAIT_FOR_CLIENTS", "admit nobody, end when every client has left"),
    )
    looking = [(f"SHOW {table.name}", table.value) for table in Table]
    return TableShown(_columns("command what"), [*looking, *doing])


def _version() -> TableShown:
    return TableShown(_columns("version"), [(f"workshape {version('workshape')}",)])


_CELLS: dict[str, type[str] | type[int] | type[float]] = {"": str, "int": int, "float": float}


def _columns(names: str) -> tuple[Column, ...]:
    """Read `id:int user age_s:float`."""
    split: Sequence[tuple[str, str, str]] = [name.partition(":") for name in names.split()]
    return tuple(Column(name, _CELLS[kind]) for name, _, kind in split)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
