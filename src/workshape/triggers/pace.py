"""How many batches of a mapping may be under way at once. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html (standard mode: five concurrent batches,
up to 300 more a minute while messages wait, at most 1,250) and
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html (backing off)
"""

CONCURRENCY_START = 5
CONCURRENCY_GROWTH_PER_S = 300 / 60
CONCURRENCY_CEILING = 1_250
BACK_OFF_FACTOR = 0.8  # AWS: "gradually"; the amount is undocumented, we chose a fifth for each failed batch
BACK_OFF_FLOOR = 1.0  # one poller stays, to notice when the function works again
RETRY_DELAY_S_FIRST = 0.1
RETRY_DELAY_S_MAX = 5.0  # AWS: undocumented; often enough that a freed environment is found within seconds


class Pace:
    """One mapping's allowance. It grows while every allowed batch is under way, and shrinks with each failure."""

    def __init__(self, concurrency_max: int | None, now: float) -> None:
        """`concurrency_max` is the mapping's own limit (ScalingConfig.MaximumConcurrency)."""
        self._ceiling = float(min(concurrency_max or CONCURRENCY_CEILING, CONCURRENCY_CEILING))
        self._start = min(float(CONCURRENCY_START), self._ceiling)
        self._allowed = self._start
        self._grown_at = now

    def __repr__(self) -> str:
        return f"<Pace {self.allowed} of {self._ceiling:.0f}>"

    @property
    def allowed(self) -> int:
        """How many batches may be under way."""
        return int(self._allowed)

    def progressed(self, under_way: int, now: float) -> None:
        """A batch was received or ended; `under_way` counts those not ended. Growth needs full use."""
        if under_way >= self.allowed:
            self._allowed = min(self._ceiling, self._allowed + (now - self._grown_at) * CONCURRENCY_GROWTH_PER_S)
        elif self._allowed > self._start:
            self._allowed = max(self._start, float(under_way + 1))
        self._grown_at = now

    def failed(self, now: float) -> None:
        """The function failed or was throttled: fewer at once from now on."""
        self._allowed = max(BACK_OFF_FLOOR, self._allowed * BACK_OFF_FACTOR)
        self._grown_at = now

    def succeeded(self, now: float) -> None:
        """A batch went through: what a failure took away comes back at the rate of growth."""
        if self._allowed < self._start:
            gained = max(0.0, now - self._grown_at) * CONCURRENCY_GROWTH_PER_S
            self._allowed = min(self._start, self._allowed + gained)
            self._grown_at = now


def throttle_delay_s(attempt: int, received_at: float, visibility_timeout_s: float, now: float) -> float | None:
    """How long to wait before a throttled batch is tried again; None once its messages may be visible again.

    Attempts count from 1. Lambda keeps trying until the visibility timeout, then drops the batch.
    """
    delay_s: float = min(RETRY_DELAY_S_MAX, RETRY_DELAY_S_FIRST * 2.0 ** min(attempt - 1, 16))
    return delay_s if now + delay_s < received_at + visibility_timeout_s else None
