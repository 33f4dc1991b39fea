"""How many clients there may be: in all, of one user, from one address. A core.

Who has not logged in yet is bounded by the start-up timeout, and told why only once it has: no driver shows what a
server says before.
"""

from collections import Counter

from workshape.pgproxy.sqlstate import WireError, too_many_clients
from workshape.settings import ProxySettings


class Admission:
    """Counts clients that have logged in, and says who is one too many."""

    def __init__(self) -> None:
        self._by_user: Counter[str] = Counter()
        self._by_host: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Admission clients={self._by_user.total()} users={len(self._by_user)} hosts={len(self._by_host)}>"

    def admit(self, user: str, host: str, connected: int, settings: ProxySettings) -> WireError | None:
        """Count a client that logged in, or tell it why it must leave. `connected` are all clients, it included."""
        if connected > settings.clients_max:
            return too_many_clients(settings.clients_max, "in all", "proxy.clients_max")
        if self._by_user[user] >= settings.clients_per_user_max:
            return too_many_clients(settings.clients_per_user_max, f"of user {user}", "proxy.clients_per_user_max")
        if self._by_host[host] >= settings.clients_per_address_max:
            return too_many_clients(settings.clients_per_address_max, f"from {host}", "proxy.clients_per_address_max")
        self._by_user[user] += 1
        self._by_host[host] += 1
        return None

    def left(self, user: str, host: str) -> None:
        """A client that was admitted has gone."""
        for counts, name in ((self._by_user, user), (self._by_host, host)):
            counts[name] -= 1
            if not counts[name]:
                del counts[name]  # hosts come and go: they must not pile up
