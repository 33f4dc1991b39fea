"""How many event pollers share the partitions of a topic. A core.

On demand: one at first; each minute more if what waits would take longer than a minute at the present rate, fewer if
nothing waits, one fewer when the function is throttled. In provisioned mode within the bounds that are set, looked at
more often, and each poller has up to five invocations under way. Never more than there are partitions: each is read in
order.

Source: https://docs.aws.amazon.com/lambda/latest/dg/kafka-scaling-modes.html
"""

from workshape.triggers.model import Pollers

EVALUATE_S = 60.0
PROVISIONED_EVALUATE_S = 10.0  # AWS: "responsive"; undocumented, we chose
INVOCATIONS_OF_PROVISIONED_POLLER = 5
POLLERS_ON_DEMAND_MAX = 2_000  # AWS: undocumented; as many as provisioned mode may have
GROWTH = 2  # AWS: undocumented; we chose to double and to halve


class PollerScale:
    """One mapping's event pollers."""

    def __init__(self, pollers: Pollers | None, now: float) -> None:
        self._least = 1 if pollers is None else pollers.least
        self._most = POLLERS_ON_DEMAND_MAX if pollers is None else pollers.most
        self._invocations = 1 if pollers is None else INVOCATIONS_OF_PROVISIONED_POLLER
        self._evaluate_s = EVALUATE_S if pollers is None else PROVISIONED_EVALUATE_S
        self._evaluated_at = now
        self._finished = 0
        self._pollers = self._least

    def __repr__(self) -> str:
        return f"<PollerScale {self._pollers} of {self._least}..{self._most}>"

    def pollers(self, partitions: int) -> int:
        """How many there are for so many partitions."""
        return max(1, min(self._pollers, partitions))

    def lanes(self, partitions: int) -> int:
        """How many batches may be under way at once."""
        return max(1, min(self.pollers(partitions) * self._invocations, partitions))

    def finished(self, records: int) -> None:
        """So many more records are done with."""
        self._finished += records

    def observed(self, lag: int, partitions: int, now: float) -> None:
        """Look at how many records wait. Call it often: it decides once an interval."""
        if now - self._evaluated_at < self._evaluate_s:
            return
        if lag > self._finished:
            grown = self.pollers(partitions) * GROWTH
            self._pollers = max(self._least, min(grown, self._most, max(partitions, 1)))
        elif lag == 0:
            self._pollers = max(self._least, self.pollers(partitions) // GROWTH)
        self._evaluated_at, self._finished = now, 0

    def throttled(self, partitions: int) -> None:
        """The function could not be invoked for lack of concurrency."""
        self._pollers = max(self._least, self.pollers(partitions) - 1)
