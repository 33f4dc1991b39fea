"""Target tracking: what capacity keeps the utilization near its target. A core.

A data point is a minute's average. Three in a row above the target scale out, fifteen in a row below nine tenths of it
scale in; a minute without data breaks the row. While that lasts it is decided anew every minute.

Source: https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html (Application Auto Scaling)
Source: https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, inf

from workshape.functions.autoscaling.model import ScalableTarget, TrackingPolicy

POINT_S = 60
HIGH_POINTS = 3
LOW_POINTS = 15
LOW_SHARE = 0.9
STEP_IN_SHARE = 0.1  # AWS: "smaller periodic steps", undocumented how small
TOLERANCE = 1e-9  # 0.7 * 10 / 0.7 is 10, whatever binary fractions say


@dataclass(frozen=True, slots=True)
class Decision:
    """A capacity to be set, or the reason why the one that would be right cannot be."""

    capacity: int
    policy: str
    is_out: bool
    not_scaled: str | None = None


@dataclass(slots=True)
class _Cooldown:
    out_until: float = -inf
    in_until: float = -inf
    base: int = 0
    """The capacity before the scale-out whose cooldown this is."""


class Tracking:
    """The dynamic scaling of one target."""

    def __init__(self) -> None:
        self._points: deque[float | None] = deque(maxlen=LOW_POINTS)
        self._minute: int | None = None
        self._samples: list[float] = []  # bounded: a minute's
        self._cooldowns: dict[str, _Cooldown] = {}

    def __repr__(self) -> str:
        return f"<Tracking points={list(self._points)}>"

    def sample(self, utilization: float | None, now: float) -> bool:
        """Take a measurement (None: there was nothing to measure); tell whether that ended a minute."""
        minute = int(now // POINT_S)
        ended = self._minute is not None and minute > self._minute
        if self._minute is not None and ended:
            self._points.append(sum(self._samples) / len(self._samples) if self._samples else None)
            missed = min(minute - self._minute - 1, LOW_POINTS)
            self._points.extend([None] * missed)
            self._samples.clear()
        self._minute = minute
        if utilization is not None:
            self._samples.append(utilization)
        return ended

    def decide(self, target: ScalableTarget, capacity: int, now: float) -> Decision | None:
        """Tell what to set the capacity to, at the end of a minute; None: nothing calls for a change.

        Whatever policy wants the most is followed; in goes only what all policies that may scale in agree on.
        """
        self._cooldowns = {name: kept for name, kept in self._cooldowns.items() if name in target.policies}
        if capacity == 0:
            return None  # nothing is measured of it; the minimum or a scheduled action brings it back
        out = {name: self._out(policy, capacity, now) for name, policy in target.policies.items()}
        name = max(out, key=lambda policy: out[policy], default=None)
        if name is not None and out[name] > capacity:
            return None if target.suspended.scale_out else self._scale_out(target, name, out[name], capacity, now)
        into = {name: self._in(policy, capacity) for name, policy in target.policies.items()}
        return None if target.suspended.scale_in else self._scale_in(target, into, capacity, now)

    def _out(self, policy: TrackingPolicy, capacity: int, now: float) -> int:
        points = self._last(HIGH_POINTS)
        if points is None or min(points) <= policy.target_value:
            return capacity
        cooldown = self._cooldowns.get(policy.name)
        # What a scale-out that still cools down has added is part of what the next one would add.
        base = cooldown.base if cooldown is not None and now < cooldown.out_until else capacity
        return max(capacity, _proportional(base, points[-1], policy))

    def _in(self, policy: TrackingPolicy, capacity: int) -> int:
        points = self._last(LOW_POINTS)
        if policy.disable_scale_in or points is None or max(points) >= policy.target_value * LOW_SHARE:
            return capacity
        step = max(1, int(capacity * STEP_IN_SHARE))
        return max(capacity - step, _proportional(capacity, points[-1], policy))

    def _scale_out(self, target: ScalableTarget, name: str, wanted: int, capacity: int, now: float) -> Decision:
        allowed = target.within(wanted)
        if allowed <= capacity:
            return Decision(wanted, name, is_out=True, not_scaled="AlreadyAtMaxCapacity")
        policy = target.policies[name]
        self._cooldowns[name] = _Cooldown(out_until=now + policy.scale_out_cooldown_s, base=capacity)
        for other in self._cooldowns.values():
            other.in_until = -inf  # a scale-out ends the cooldown of a scale-in
        return Decision(allowed, name, is_out=True)

    def _scale_in(self, target: ScalableTarget, into: Mapping[str, int], capacity: int, now: float) -> Decision | None:
        voters = {name: count for name, count in into.items() if not target.policies[name].disable_scale_in}
        name = max(voters, key=lambda policy: voters[policy], default=None)
        if name is None or voters[name] >= capacity:
            return None
        if any(now < cooldown.in_until for cooldown in self._cooldowns.values()):
            return None
        allowed = target.within(voters[name])
        if allowed >= capacity:
            return Decision(voters[name], name, is_out=False, not_scaled="AlreadyAtMinCapacity")
        policy = target.policies[name]
        self._cooldowns[name] = _Cooldown(in_until=now + policy.scale_in_cooldown_s)
        return Decision(allowed, name, is_out=False)

    def _last(self, count: int) -> list[float] | None:
        """The last data points; None when any of them is missing."""
        points = [point for point in list(self._points)[-count:] if point is not None]
        return points if len(points) == count else None


def _proportional(capacity: int, utilization: float, policy: TrackingPolicy) -> int:
    """The capacity at which the same load would be at the target. AWS: undocumented; we chose the proportion."""
    return max(1, ceil(capacity * utilization / policy.target_value - TOLERANCE))
