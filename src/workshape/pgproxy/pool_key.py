"""Into which pool a client belongs, by what it says when it comes."""

from collections.abc import Mapping

from workshape.pgproxy.pool_actions import PoolKey

NOT_IN_KEY = frozenset({"user", "database", "application_name", "replication"})
UTF8_SPELLINGS = frozenset({"utf8", "utf-8", "unicode"})


def pool_key(startup: Mapping[str, str]) -> PoolKey:
    """Sort clients into pools by what they say at the start; spellings of one encoding are one."""
    parameters = {name: value for name, value in startup.items() if name not in NOT_IN_KEY}
    if parameters.get("client_encoding", "").strip("'\"").lower() in UTF8_SPELLINGS:
        parameters["client_encoding"] = "UTF8"
    user = startup["user"]
    return PoolKey(startup.get("database") or user, user, tuple(sorted(parameters.items())))
