"""What the server reports to clients of each kind when they log in; asked once, then remembered."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from workshape.pgproxy import messages
from workshape.pgproxy.application_name import cut_name, printable
from workshape.pgproxy.pool_actions import PoolKey
from workshape.pgproxy.sqlstate import name_was_cut

KNOWN_KEYS_MAX = 1_000  # kinds of clients whose welcome is known; beyond, it is asked again
APPLICATIONS_MAX = 1_000  # names of applications remembered for each of them


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a server reports to a client of one kind when it logs in."""

    parameters: Mapping[str, str]
    variables: Mapping[str, str]
    words: bytes
    """The parameters as messages."""
    by_application: dict[str, "Welcome"] = field(default_factory=dict)
    """Like clients share one object, so that a connection is seen at a glance to have their variables."""

    @classmethod
    def of(cls, parameters: Mapping[str, str], variables: Mapping[str, str]) -> Self:
        """Put it into words, once for all who hear it."""
        words = b"".join(messages.parameter_status(name, value) for name, value in parameters.items())
        return cls(parameters, variables, words)

    def for_application(self, name: str) -> "Welcome":
        """As the server would report it to a client that calls itself so."""
        found = self.by_application.get(name)
        if found is None:
            cut = cut_name(name)
            own = {"application_name": printable(cut, self.parameters.get("server_version", ""))}
            found = Welcome.of({**self.parameters, **own}, {**self.variables, **own})
            if cut != name:
                found = replace(found, words=bytes(name_was_cut(name, cut)) + found.words)
            if len(self.by_application) < APPLICATIONS_MAX:
                self.by_application[name] = found
        return found


class Welcomes:
    """Those that are known, by kind of client; of too many, the oldest are forgotten."""

    def __init__(self) -> None:
        self._by_key: OrderedDict[PoolKey, Welcome] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Welcomes {len(self._by_key)}>"

    def known(self, key: PoolKey) -> Welcome | None:
        """The welcome of such clients; None while the server has not been asked."""
        return self._by_key.get(key)

    def restate(self, name: str, value: str) -> None:
        """The server reports another value of a parameter by now, to everybody."""
        for key, known in self._by_key.items():
            if known.parameters.get(name, value) != value:
                self._by_key[key] = Welcome.of({**known.parameters, name: value}, known.variables)

    def learn(self, key: PoolKey, parameters: Mapping[str, str], variables: Mapping[str, str]) -> None:
        """Take note of what the server said to a connection of that kind."""
        self._by_key[key] = Welcome.of(parameters, variables)
        self._by_key.move_to_end(key)
        if len(self._by_key) > KNOWN_KEYS_MAX:
            self._by_key.popitem(last=False)
