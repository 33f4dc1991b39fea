"""Into which pool a client belongs, by what it says when it comes. A core."""

from collections.abc import Mapping
from weakref import WeakValueDictionary

from workshape.pgproxy.pool_actions import PoolKey

NOT_IN_KEY = frozenset({"user", "database", "application_name", "replication"})
UTF8_SPELLINGS = frozenset({"utf8", "utf-8", "unicode"})


class PoolKeys:
    """One key for all clients that are alike; forgotten with the last of them."""

    def __init__(self) -> None:
        self._keys: WeakValueDictionary[PoolKey, PoolKey] = WeakValueDictionary()

    def __repr__(self) -> str:
        return f"<PoolKeys {len(self._keys)}>"

    def of(self, startup: Mapping[str, str]) -> PoolKey:
        """Sort a client in by what it says at the start; spellings of one encoding are one."""
        parameters = {name: value for name, value in startup.items() if name not in NOT_IN_KEY}
        if parameters.get("client_encoding", "").strip("'\"").lower() in UTF8_SPELLINGS:
            parameters["client_encoding"] = "UTF8"
        user = startup["user"]
        return self._one(PoolKey(startup.get("database") or user, user, tuple(sorted(parameters.items()))))

    def of_user(self, key: PoolKey, user: str) -> PoolKey:
        """Sort in with those who are alike, but for being this user to the server."""
        return key if user == key.user else self._one(PoolKey(key.database, user, key.parameters))

    def _one(self, key: PoolKey) -> PoolKey:
        return self._keys.setdefault(key, key)
