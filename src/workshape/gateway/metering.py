"""Which API key a request comes with, and whether its plan lets it through. A core.

It goes on from the counts that it is given, and tells which have changed: whoever keeps them writes them down.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html
"""

from collections.abc import Iterable

from workshape.apis.usage import ApiKey, Usage, UsagePlan, period_of
from workshape.gateway.gateway_responses import Kind, Trouble
from workshape.gateway.throttle import ACCOUNT_BURST, ACCOUNT_RATE, TokenBucket, admit

METERS_MAX = 100_000  # keys in plans that were used; beyond it the longest known begin anew


class _Meter:
    """What one key has used of one plan."""

    def __init__(self, plan: UsagePlan, now: float) -> None:
        self.plan = plan
        self.period = ""
        self.used = 0
        throttle = plan.throttle
        self.bucket: TokenBucket | None = None
        if throttle is not None:
            rate, burst = throttle.rate_limit, throttle.burst_limit
            self.bucket = TokenBucket(
                ACCOUNT_RATE if rate is None else rate, ACCOUNT_BURST if burst is None else burst, now
            )


class Metering:
    """Counts requests by key and plan."""

    def __init__(self, usages: Iterable[Usage] = ()) -> None:
        """`usages` are the counts so far."""
        self._meters: dict[tuple[str, str], _Meter] = {}
        self._before = {(usage.plan_id, usage.key_id): usage for usage in usages}
        """Counts of keys that have not come since."""
        self._changed: dict[tuple[str, str], _Meter] = {}

    def __repr__(self) -> str:
        return f"<Metering meters={len(self._meters)}>"

    def check(self, key: ApiKey | None, plan: UsagePlan | None, now: float, wall: float) -> Trouble | None:
        """Count a request that needs a key; tell what is wrong with it. `now` is monotonic, `wall` Unix time."""
        if key is None or plan is None or not key.enabled:
            return Trouble(Kind.INVALID_API_KEY)
        meter = self._meter(key, plan, now)
        quota = plan.quota
        if quota is not None:
            period = period_of(quota, wall)
            if period != meter.period:
                meter.period, meter.used = period, 0
            if meter.used >= quota.limit:
                return Trouble(Kind.QUOTA_EXCEEDED)
        if meter.bucket is not None and not admit((meter.bucket,), now):
            return Trouble(Kind.THROTTLED)
        meter.used += 1
        if quota is not None:
            self._changed[plan.id, key.id] = meter
        return None

    def changed(self, count_max: int) -> list[Usage]:
        """Take some of the counts that have changed since they were taken last."""
        taken: list[Usage] = []
        while self._changed and len(taken) < count_max:
            (plan_id, key_id), meter = self._changed.popitem()
            taken.append(Usage(plan_id, key_id, meter.period, meter.used))
        return taken

    def used(self, key_id: str, plan_id: str) -> int:
        """How many requests of the period were let through."""
        meter = self._meters.get((plan_id, key_id))
        return meter.used if meter is not None else 0

    def _meter(self, key: ApiKey, plan: UsagePlan, now: float) -> _Meter:
        found = self._meters.get((plan.id, key.id))
        if found is None or found.plan.throttle != plan.throttle:
            used = found
            found = _Meter(plan, now)
            before = used or self._before.pop((plan.id, key.id), None)
            if before is not None:
                found.period, found.used = before.period, before.used
            if used is None and len(self._meters) >= METERS_MAX:
                del self._meters[next(iter(self._meters))]
            self._meters[plan.id, key.id] = found
        return found
