"""A provisioner whose environments are the test itself: the scheduler decides, the test says what becomes of them."""

from collections.abc import Iterable

from workshape.functions.actions import Action, Start
from workshape.functions.model import EnvironmentId, FunctionVersion, RequestId
from workshape.functions.provisioned import AllocationView
from workshape.functions.scheduler import Scheduler
from workshape.settings import FunctionSettings


class FakeProvisioner:
    """Stands where the invoker stands."""

    def __init__(self) -> None:
        self.now = 1.0
        self.asked: list[tuple[str, int, bool]] = []
        """Version, count, reserved."""
        self._scheduler = Scheduler(FunctionSettings(), self.now)
        self._starting: list[EnvironmentId] = []

    def provision(self, function: FunctionVersion, count: int, *, reserved: bool) -> None:
        """Do what the invoker does."""
        self.asked.append((function.version, count, reserved))
        self._perform(self._scheduler.provision(function, count, self.now, reserved=reserved))

    def provisioned(self, function: FunctionVersion) -> AllocationView | None:
        """Do what the invoker does."""
        return self._scheduler.provisioned(function)

    def make_ready(self) -> None:
        """Let every environment come through its init phase."""
        while self._starting:
            self._perform(self._scheduler.became_ready(self._starting.pop(), self.now))

    def make_fail(self) -> None:
        """Let every init phase fail until the scheduler gives up for now."""
        while self._starting:
            self._perform(self._scheduler.init_failed(self._starting.pop()))
            self._perform(self._scheduler.tick(self.now))

    def make_busy(self, count: int) -> None:
        """Have so many of the environments run an invocation each that does not end."""
        for allocation in self._scheduler.allocations():
            while allocation.pool.busy < count:
                request = RequestId(f"{allocation.pool.function.version}-{allocation.pool.busy}")
                self._perform(self._scheduler.invoke(allocation.pool.function, request, None, 0, self.now))

    def _perform(self, actions: Iterable[Action]) -> None:
        self._starting += [action.environment for action in actions if isinstance(action, Start)]
