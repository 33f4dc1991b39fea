"""What belongs to a client whatever connection it is on: its variables, its prepared statements, its pins."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from workshape.pgproxy.expected import Lift, Names, Prepared
from workshape.pgproxy.pins import Pin, PinReason
from workshape.settings import PoolMode

CARRIED = (
    "application_name",
    "client_encoding",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "search_path",
    "standard_conforming_strings",
    "default_transaction_read_only",
)
"""Variables that a session may set and a server may report (search_path since 18); reported ones are carried.

Source: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC
"""


NO_NAMES: Mapping[bytes, Prepared] = MappingProxyType({})
NO_PINS: Mapping[PinReason, tuple[int, Pin]] = MappingProxyType({})


@dataclass(slots=True)
class ClientState:
    """One client's."""

    variables: Mapping[str, str]
    """Carried variables as the server reported them. Never changed in place: connections share it."""
    pool_mode: PoolMode = PoolMode.TRANSACTION
    names: Mapping[bytes, Prepared] = field(default_factory=lambda: NO_NAMES)
    """What its names of prepared statements stand for. Changed by way of `own_names` only."""
    pins: Mapping[PinReason, tuple[int, Pin]] = field(default_factory=lambda: NO_PINS)
    """By reason, the latest pin and its number. Never changed in place: nearly all clients have none, and share it."""
    pins_made: int = 0
    session_key: bytes = b""
    """What the client was given for its cancel requests; begins with what it was told is its server process's id."""

    def own_names(self) -> Names:
        """Give its names, to be changed: clients that have prepared nothing share an empty book."""
        if not isinstance(self.names, Names):
            self.names = Names()
        return self.names

    def pin(self, pin: Pin) -> None:
        """Keep the connection from now on."""
        self.pins_made += 1
        self.pins = {**self.pins, pin.reason: (self.pins_made, pin)}

    def lift(self, lift: Lift) -> None:
        """End the pins whose state is gone."""
        self.pins = {
            reason: (number, pin)
            for reason, (number, pin) in self.pins.items()
            if reason not in lift.reasons or number > lift.pins_before
        }
