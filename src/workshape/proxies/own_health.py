"""Whether the app's own proxy reaches its database, by what it counts: nobody else logs in for that. A core."""

from workshape.hosted import AVAILABLE, TargetState
from workshape.status import ProxyFigures

FAILED = TargetState(
    "UNAVAILABLE", "CONNECTION_FAILED", "Its last attempts to connect failed: .workshape/logs/parts/proxy.log says why."
)


class OwnHealth:
    """Remembers what was counted before. A proxy that has not tried yet is well."""

    def __init__(self) -> None:
        self._state = AVAILABLE
        self._failed = 0.0

    def __repr__(self) -> str:
        return f"<OwnHealth {self._state.state}>"

    def state(self, figures: ProxyFigures) -> TargetState:
        """Tell by the latest figures: what stands is proof, and the last attempt counts."""
        failed = figures.values.get("DatabaseConnectionsSetupFailed", 0)
        if figures.values.get("DatabaseConnections", 0):
            self._state = AVAILABLE
        elif failed > self._failed:
            self._state = FAILED
        self._failed = failed
        return self._state
