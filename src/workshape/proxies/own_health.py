"""Whether the app's own proxy reaches its database's servers, by what it counts: nobody logs in for that. A core."""

from dataclasses import dataclass

from workshape.hosted import AVAILABLE, ServerState, TargetRole, TargetState
from workshape.status import ProxyFigures, ProxyTargetFigures

FAILED = TargetState(
    "UNAVAILABLE", "CONNECTION_FAILED", "Its last attempts to connect failed: .workshape/logs/parts/proxy.log says why."
)


@dataclass(slots=True)
class _Seen:
    health: TargetState = AVAILABLE
    failed: float = 0.0
    was_failing: bool = False


class OwnHealth:
    """Remembers what was counted before. A server that nobody has tried to reach yet is well."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def __repr__(self) -> str:
        return f"<OwnHealth { {name: seen.health.state for name, seen in self._seen.items()} }>"

    def servers(self, figures: ProxyFigures) -> dict[str, ServerState]:
        """Tell of each server by the latest figures, by its name."""
        return {
            name: ServerState(self._health(name, target), TargetRole(target.role))
            for name, target in figures.targets.items()
        }

    def _health(self, name: str, target: ProxyTargetFigures) -> TargetState:
        """What stands is proof, and the last attempt counts; one to see whether it is back is not counted."""
        seen = self._seen.setdefault(name, _Seen())
        failed = target.values.get("DatabaseConnectionsSetupFailed", 0)
        if target.values.get("DatabaseConnections", 0) or (seen.was_failing and not target.is_failing):
            seen.health = AVAILABLE
        elif failed > seen.failed:
            seen.health = FAILED
        seen.failed, seen.was_failing = failed, target.is_failing
        return seen.health
