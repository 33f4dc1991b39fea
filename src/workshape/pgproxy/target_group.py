"""A database's servers together: one writes, the others read, and each client comes to one that can do what it wants.

Who wants a connection while no server can serve it waits here, up to the borrow timeout, and meanwhile the servers are
asked again and again what they are: that is how a fail-over is noticed.
"""

from collections import OrderedDict
from collections.abc import Sequence
from time import monotonic

from workshape.pgproxy.client_connection import ClientConnection
from workshape.pgproxy.database_connection import DatabaseConnection
from workshape.pgproxy.lending import Lending, ProxyGround
from workshape.pgproxy.pool_actions import PoolKey
from workshape.pgproxy.sqlstate import no_target
from workshape.pgproxy.target_choice import choose, fits
from workshape.pgproxy.welcomes import Welcome

PROBE_S = 1.0  # a server that fails, or does not fit while one is missing, is asked this often: a log-in each


class TargetGroup:
    """One database's servers, for clients that write or for clients that only read."""

    def __init__(self, lendings: Sequence[Lending], ground: ProxyGround, *, writes: bool) -> None:
        """`lendings` are those of the configured writer and of its readers, in this order."""
        self.lendings = tuple(lendings)
        self.writes = writes
        self._ground = ground
        self.waiting: OrderedDict[ClientConnection, float] = OrderedDict()
        """Who waits for a server to be there at all, and since when."""
        self._probed_at = 0.0

    def __repr__(self) -> str:
        return f"<TargetGroup writes={self.writes} {list(self.lendings)} waiting={len(self.waiting)}>"

    def want(self, client: ClientConnection) -> None:
        """Send the client to a server, or let it wait for one."""
        self._send(client, monotonic())

    def lend_at_once(self, client: ClientConnection, now: float) -> DatabaseConnection | None:
        """Lend the client an idle connection of the server that it would be sent to, if there is one."""
        chosen = choose([lending.standing() for lending in self.lendings], writes=self.writes)
        return None if chosen is None else self.lendings[chosen].lend_at_once(client, now)

    def withdraw(self, client: ClientConnection) -> None:
        """The client does not want one any more."""
        self.waiting.pop(client, None)
        for lending in self.lendings:
            lending.withdraw(client)

    def known_welcome(self, key: PoolKey) -> Welcome | None:
        """What one of the servers that they may come to says to such clients; None while none has been asked.

        A standby says that it is one, and drivers that look for a primary, or for a standby, go by that.

        Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS
        """
        meant = (one for one in self.lendings if one.takes_writes in (None, self.writes))
        return next((known for one in meant if (known := one.known_welcome(key)) is not None), None)

    def reconsider(self) -> None:
        """A server is another than it was: those who wait for it go elsewhere, and those who wait here go to it."""
        moving = dict(self.waiting)
        self.waiting.clear()
        for lending in self.lendings:
            if not fits(lending.standing(), writes=self.writes):
                for client, since in list(lending.waits()):
                    if client.lender is self:
                        lending.withdraw(client)
                        moving[client] = since
        for client, since in sorted(moving.items(), key=lambda one: one[1]):
            self._send(client, since)

    def tick(self, now: float) -> None:
        """Let time pass: move who waits in vain, refuse who waited too long, ask the servers."""
        self.reconsider()
        timeout_s = self._ground.settings.connection_borrow_timeout_s
        for client, since in list(self.waiting.items()):
            if now - since >= timeout_s:
                del self.waiting[client]
                self._ground.counters.borrow_timeouts += 1
                client.refuse(no_target(timeout_s, writes=self.writes, figures=self._describe()))
        if now - self._probed_at >= PROBE_S:
            self._probed_at = now
            self._probe()

    def _send(self, client: ClientConnection, since: float) -> None:
        chosen = choose([lending.standing() for lending in self.lendings], writes=self.writes)
        if chosen is None:
            self.waiting[client] = since
        else:
            self.lendings[chosen].want(client, since)

    def _probe(self) -> None:
        """Ask the servers that fail; while nobody can be served, those too that were something else when last asked."""
        waiter = next(iter(self.waiting), None)
        for lending in self.lendings:
            standing = lending.standing()
            is_asked = standing.is_failing or (waiter is not None and not fits(standing, writes=self.writes))
            key = lending.last_key or (None if waiter is None else waiter.pool_key)
            if is_asked and key is not None:
                lending.probe(key)

    def _describe(self) -> str:
        """How the servers stand, in words, for an error's DETAIL."""
        return " ".join(f"{lending.server.name}: {lending.describe()}." for lending in self.lendings)
