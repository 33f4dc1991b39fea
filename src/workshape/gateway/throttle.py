"""How many requests a stage, a route and the account take: token buckets. A core.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-throttling.html
"""

from collections.abc import Iterable

ACCOUNT_RATE = 10_000.0
ACCOUNT_BURST = 5_000
"""Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html"""


class TokenBucket:
    """Holds at most `burst` tokens and gains `rate` of them a second; a request takes one."""

    __slots__ = ("_filled_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        """It begins full; `now` is monotonic time."""
        self.rate = rate
        self.burst = burst
        self._tokens = float(burst)
        self._filled_at = now

    def __repr__(self) -> str:
        return f"<TokenBucket tokens={self._tokens:.1f}/{self.burst} rate={self.rate}>"

    def has_token(self, now: float) -> bool:
        """Fill up, and tell whether a request could be taken."""
        gained = max(0.0, now - self._filled_at) * self.rate
        self._tokens = min(float(self.burst), self._tokens + gained)
        self._filled_at = max(now, self._filled_at)
        return self._tokens >= 1.0

    def take(self) -> None:
        """Take a token that is there."""
        assert self._tokens >= 1.0, "has_token comes first"
        self._tokens -= 1.0


def admit(buckets: Iterable[TokenBucket], now: float) -> bool:
    """Take a token of each, or of none: tells whether a request may pass."""
    asked = list(buckets)
    if not all(bucket.has_token(now) for bucket in asked):
        return False
    for bucket in asked:
        bucket.take()
    return True
