"""How many batches of a mapping may be under way at once. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html (standard mode: five concurrent batches,
up to 300 more a minute while messages wait, at most 1,250; provisioned mode: ten a poller, up to 1,000 more a minute)
Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html (backing off)

Of a FIFO queue no more batches are under way than it has message groups: the queue hands out none of a group in flight.
"""

from workshape.triggers.model import Pollers

CONCURRENCY_START = 5
CONCURRENCY_GROWTH_PER_S = 300 / 60
CONCURRENCY_CEILING = 1_250
POLLER_CONCURRENCY = 10
PROVISIONED_GROWTH_PER_S = 1_000 / 60
BACK_OFF_FACTOR = 0.8  # AWS: "gradually"; the amount is undocumented, we chose a fifth for each failed batch
BACK_OFF_FLOOR = 1.0  # one poller stays, to notice when the function works again
BACK_OFF_HOLD_S = 1.0  # AWS: undocumented; without it a throttled mapping would grow faster than it backs off
RETRY_DELAY_S_FIRST = 0.1
RETRY_DELAY_S_MAX = 5.0  # AWS: undocumented; often enough that a freed environment is found within seconds


class Pace:
    """One mapping's allowance: grows while messages wait, shrinks while none do, and at once with each failure."""

    def __init__(self, concurrency_max: int | None, now: float, pollers: Pollers | None = None) -> None:
        """`concurrency_max`: ScalingConfig.MaximumConcurrency; `pollers`: provisioned mode."""
        if pollers is None:
            self._ceiling = float(min(concurrency_max or CONCURRENCY_CEILING, CONCURRENCY_CEILING))
            self._start = min(float(CONCURRENCY_START), self._ceiling)
            self._growth_per_s = CONCURRENCY_GROWTH_PER_S
        else:
            self._ceiling = float(pollers.most * POLLER_CONCURRENCY)
            self._start = float(pollers.least * POLLER_CONCURRENCY)
            self._growth_per_s = PROVISIONED_GROWTH_PER_S
        # AWS: undocumented how fast it shrinks; we chose to give back as slowly as it was gained.
        self._allowed = self._start
        self._observed_at = now
        self._held_until = now

    def __repr__(self) -> str:
        return f"<Pace {self.allowed} of {self._ceiling:.0f}>"

    @property
    def allowed(self) -> int:
        """How many batches may be under way."""
        return int(self._allowed)

    @property
    def pollers(self) -> int:
        """How many of provisioned mode's event pollers that takes."""
        return max(1, -(-self.allowed // POLLER_CONCURRENCY))

    def observed(self, now: float, *, messages_wait: bool) -> None:
        """Look at the queue: messages are there that nobody has received, or not. Call it often."""
        passed_s = now - self._observed_at
        self._observed_at = now
        if self._allowed > self._start and not messages_wait:
            self._allowed = max(self._start, self._allowed - passed_s * self._growth_per_s)
        elif now >= self._held_until:
            ceiling = self._ceiling if messages_wait else self._start
            self._allowed = min(ceiling, self._allowed + passed_s * self._growth_per_s)

    def failed(self, now: float) -> None:
        """The function failed or was throttled: fewer at once, and no growth for a moment."""
        self._allowed = max(BACK_OFF_FLOOR, self._allowed * BACK_OFF_FACTOR)
        self._held_until = now + BACK_OFF_HOLD_S


def throttle_delay_s(attempt: int, received_at: float, visibility_timeout_s: float, now: float) -> float | None:
    """How long to wait before a throttled batch is tried again; None once its messages may be visible again.

    Attempts count from 1. Lambda keeps trying until the visibility timeout, then drops the batch.
    """
    delay_s: float = min(RETRY_DELAY_S_MAX, RETRY_DELAY_S_FIRST * 2.0 ** min(attempt - 1, 16))
    return delay_s if now + delay_s < received_at + visibility_timeout_s else None
