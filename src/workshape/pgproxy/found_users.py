"""Users whom the configuration does not name and the database was asked for. A core.

Each is known for a while; then a client of it is let in only after the database has been asked again. What the proxy
itself logs in with stays: those who are in must not lose their connections because nobody came meanwhile.
"""

from collections import OrderedDict
from dataclasses import dataclass

KNOWN_S_MAX = 300.0  # a role that is dropped, or that changed its password, is noticed by then; other proofs ask sooner
ASK_AGAIN_S_MIN = 0.5  # whoever guesses makes us ask twice a second for one name, not more
USERS_MAX = 1_000  # of those that are there and those that are not, each a few hundred bytes; the oldest go first


@dataclass(frozen=True, slots=True)
class _Found:
    verifier: str
    """Empty: there is no such user."""
    at: float


class FoundUsers:
    """All of them."""

    def __init__(self) -> None:
        self._fresh: OrderedDict[str, _Found] = OrderedDict()
        self._old: OrderedDict[str, _Found] = OrderedDict()

    def __repr__(self) -> str:
        return f"<FoundUsers fresh={len(self._fresh)} old={len(self._old)}>"

    def fresh(self) -> dict[str, str]:
        """The verifiers, by user, that clients are checked by."""
        return {name: found.verifier for name, found in self._fresh.items() if found.verifier}

    def old(self) -> dict[str, str]:
        """Those that the database is to be asked for again before."""
        return {name: found.verifier for name, found in self._old.items() if found.verifier}

    def may_ask_at(self, user: str, now: float) -> float:
        """Tell when the database may be asked for a user: now, or a moment after the last time."""
        found = self._fresh.get(user)
        return now if found is None else max(now, found.at + ASK_AGAIN_S_MIN)

    def note(self, user: str, verifier: str, now: float) -> None:
        """Take note of what the database said; empty: there is no such user."""
        self._old.pop(user, None)
        self._fresh[user] = _Found(verifier, now)
        self._fresh.move_to_end(user)
        if len(self._fresh) + len(self._old) > USERS_MAX:
            (self._old or self._fresh).popitem(last=False)

    def grow_old(self, now: float) -> bool:
        """Let time pass; True when somebody has become old."""
        before = len(self._fresh)
        while self._fresh:
            name, oldest = next(iter(self._fresh.items()))
            if now - oldest.at < KNOWN_S_MAX:
                break
            del self._fresh[name]
            if oldest.verifier:
                self._old[name] = oldest
        return len(self._fresh) < before

    def all_old(self) -> None:
        """Ask for everybody again."""
        self.grow_old(float("inf"))
