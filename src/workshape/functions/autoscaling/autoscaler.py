"""Scales provisioned concurrency: keeps the targets, measures, and sets what the core decides.

Source: https://docs.aws.amazon.com/autoscaling/application/userguide/services-that-can-integrate-lambda.html
"""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Iterable
from math import inf

import msgspec

from workshape.clock import Clock
from workshape.errors import CallerError, Invalid, NotFound
from workshape.events.schedule import parse_schedule
from workshape.functions.autoscaling.model import ScalableTarget, ScalingActivity, ScheduledAction, TrackingPolicy
from workshape.functions.autoscaling.tracking import Decision, Tracking
from workshape.functions.function_name import FunctionReference
from workshape.functions.model import FunctionName
from workshape.functions.provisioned_configs import ProvisionedConfigNotFound, ProvisionedConfigs
from workshape.store.documents import Documents

DOCUMENT_KIND = "scalable-target"
SAMPLE_S = 1.0  # sixty make a data point
ACTIVITIES_MAX = 1_000  # AWS keeps six weeks; this is a bound on memory

_log = logging.getLogger(__name__)


class InvalidResource(Invalid):
    """{resource_id!r} is no scalable resource of Lambda: function:NAME:VERSION_OR_ALIAS names one."""

    resource_id: str


class InvalidCapacity(Invalid):
    """MinCapacity {low} and MaxCapacity {high}: neither may be negative, nor the first more than the second."""

    low: int
    high: int


class NoSuchTarget(NotFound):
    """No scalable target found for service namespace: lambda, resource ID: {name}, scalable dimension:
    lambda:function:ProvisionedConcurrency
    """


class NoSuchPolicy(NotFound):
    """No scaling policy found for service namespace: lambda, resource ID: {resource_id}, scalable dimension:
    lambda:function:ProvisionedConcurrency, policy name: {name}
    """

    resource_id: str


class NoSuchAction(NotFound):
    """No scheduled action found for service namespace: lambda, resource ID: {resource_id}, scalable dimension:
    lambda:function:ProvisionedConcurrency, scheduled action name: {name}
    """

    resource_id: str


class Autoscaler:
    """All scalable targets. Used on the event loop's thread; a change is on disk when its method returns."""

    def __init__(self, store: Documents, configs: ProvisionedConfigs, clock: Clock) -> None:
        """Read what there is."""
        self._store = store
        self._configs = configs
        self._clock = clock
        self._targets = {
            resource_id: msgspec.json.decode(document, type=ScalableTarget)
            for resource_id, document in store.all(DOCUMENT_KIND)
        }
        self._tracking: dict[str, Tracking] = {}
        self._due: dict[tuple[str, str], float] = {}
        """When each scheduled action is due next, by target and name."""
        self._activities: deque[ScalingActivity] = deque(maxlen=ACTIVITIES_MAX)
        for target in self._targets.values():
            for action in target.actions.values():
                self._expect(target.resource_id, action, self._clock.wall_s())

    def __repr__(self) -> str:
        return f"<Autoscaler targets={len(self._targets)}>"

    async def run(self) -> None:
        """Measure and scale until cancelled."""
        while True:
            self.tick(self._clock.wall_s())
            await asyncio.sleep(SAMPLE_S)

    def tick(self, now: float) -> None:
        """Do what is due at `now` (Unix time)."""
        for (resource_id, name), at in list(self._due.items()):
            if at <= now:
                self._run_action(self._targets[resource_id], self._targets[resource_id].actions[name], now)
        for target in list(self._targets.values()):
            if target.policies:
                self._track(target, now)

    # What there is

    def targets(self, resource_ids: Iterable[str] = ()) -> list[ScalableTarget]:
        """The targets, or those of them that are named."""
        wanted = set(resource_ids)
        return [self._targets[name] for name in sorted(self._targets) if not wanted or name in wanted]

    def target(self, resource_id: str) -> ScalableTarget:
        """Return a target.

        Raises:
            NoSuchTarget: there is none.
        """
        if resource_id not in self._targets:
            raise NoSuchTarget(kind="scalable target", name=resource_id)
        return self._targets[resource_id]

    def activities(self, resource_id: str | None = None) -> list[ScalingActivity]:
        """What was done since the engine started, the latest first."""
        return [one for one in reversed(self._activities) if resource_id in (None, one.resource_id)]

    # Changes

    def register(self, target: ScalableTarget) -> None:
        """Add a target or replace it, and bring its capacity within its bounds.

        Raises:
            InvalidResource, FunctionNotFound, Unpublished: that cannot be scaled. InvalidCapacity: the bounds are none.
        """
        if not 0 <= target.min_capacity <= target.max_capacity:
            raise InvalidCapacity(low=target.min_capacity, high=target.max_capacity)
        self._capacity(target.resource_id)
        self._keep(target)
        self._bring_within(target, f"scalable target {target.resource_id} was registered", self._clock.wall_s())

    def set_tags(self, resource_id: str, tags: dict[str, str]) -> None:
        """Replace a target's tags."""
        self._keep(msgspec.structs.replace(self.target(resource_id), tags=tags))

    def deregister(self, resource_id: str) -> None:
        """Remove a target with its policies and scheduled actions; its capacity stays as it is.

        Raises:
            NoSuchTarget: there is none.
        """
        for name in self.target(resource_id).actions:
            self._due.pop((resource_id, name), None)
        self._store.delete(DOCUMENT_KIND, resource_id)
        del self._targets[resource_id]
        self._tracking.pop(resource_id, None)

    def put_policy(self, resource_id: str, policy: TrackingPolicy) -> None:
        """Add a policy to a target, or replace it.

        Raises:
            NoSuchTarget: there is none.
        """
        target = self.target(resource_id)
        self._keep(msgspec.structs.replace(target, policies={**target.policies, policy.name: policy}))

    def delete_policy(self, resource_id: str, name: str) -> None:
        """Remove a policy.

        Raises:
            NoSuchTarget, NoSuchPolicy: there is none.
        """
        target = self.target(resource_id)
        if name not in target.policies:
            raise NoSuchPolicy(kind="scaling policy", name=name, resource_id=resource_id)
        self._keep(
            msgspec.structs.replace(
                target, policies={key: policy for key, policy in target.policies.items() if key != name}
            )
        )

    def put_action(self, resource_id: str, action: ScheduledAction) -> None:
        """Add a scheduled action to a target, or replace it.

        Raises:
            NoSuchTarget: there is none. InvalidSchedule, UnknownTimeZone: it will never be due.
        """
        target = self.target(resource_id)
        parse_schedule(action.schedule, action.time_zone or "UTC")
        self._keep(msgspec.structs.replace(target, actions={**target.actions, action.name: action}))
        self._expect(resource_id, action, self._clock.wall_s())

    def delete_action(self, resource_id: str, name: str) -> None:
        """Remove a scheduled action.

        Raises:
            NoSuchTarget, NoSuchAction: there is none.
        """
        target = self.target(resource_id)
        if name not in target.actions:
            raise NoSuchAction(kind="scheduled action", name=name, resource_id=resource_id)
        self._due.pop((resource_id, name), None)
        self._keep(
            msgspec.structs.replace(
                target, actions={key: action for key, action in target.actions.items() if key != name}
            )
        )

    # Scheduled actions

    def _expect(self, resource_id: str, action: ScheduledAction, after: float) -> None:
        """Note when an action is due next: at its start, if it has one to come, and then by its schedule.

        AWS: undocumented what becomes of one that was due while nothing ran; we chose that it waits for the next time.
        """
        start = action.start_at if action.start_at is not None else action.created_at
        if action.start_at is not None and action.start_at > after and not action.schedule.startswith("at("):
            due: float | None = action.start_at
        else:
            due = parse_schedule(action.schedule, action.time_zone or "UTC").next_after(max(after, start), start)
        end = action.end_at if action.end_at is not None else inf
        if due is None or due > end:
            self._due.pop((resource_id, action.name), None)
        else:
            self._due[resource_id, action.name] = due

    def _run_action(self, target: ScalableTarget, action: ScheduledAction, now: float) -> None:
        self._expect(target.resource_id, action, now)
        if target.suspended.scheduled:
            return
        low = target.min_capacity if action.min_capacity is None else action.min_capacity
        high = target.max_capacity if action.max_capacity is None else action.max_capacity
        if low > high:  # only one was given, and it passes the other: AWS: undocumented; we chose what the action says
            low, high = (low, low) if action.max_capacity is None else (high, high)
        changed = msgspec.structs.replace(target, min_capacity=low, max_capacity=high)
        self._keep(changed)
        self._bring_within(changed, f"scheduled action name {action.name} was triggered", now)

    def _bring_within(self, target: ScalableTarget, cause: str, now: float) -> None:
        try:
            capacity = self._capacity(target.resource_id)
        except CallerError as error:  # the function or the alias is gone
            self._note(target, now, "Setting provisioned concurrency within its bounds.", cause, 0, failure=str(error))
            return
        if target.within(capacity) != capacity:
            self._scale(target, target.within(capacity), cause, now)

    # Target tracking

    def _track(self, target: ScalableTarget, now: float) -> None:
        tracking = self._tracking.setdefault(target.resource_id, Tracking())
        if not tracking.sample(self._utilization(target.resource_id), now):
            return
        try:
            capacity = self._capacity(target.resource_id)
        except CallerError:
            return  # the function or the alias is gone; who registered it may make it again
        decision = tracking.decide(target, capacity, now)
        if decision is not None:
            self._follow(target, decision, capacity, now)

    def _follow(self, target: ScalableTarget, decision: Decision, capacity: int, now: float) -> None:
        policy = target.policies[decision.policy]
        alarm = alarm_name(target.resource_id, policy, is_high=decision.is_out)
        cause = f"monitor alarm {alarm} in state ALARM triggered policy {policy.name}"
        if decision.not_scaled is None:
            self._scale(target, decision.capacity, cause, now)
            return
        latest = self.activities(target.resource_id)[:1]
        if not latest or latest[0].not_scaled != decision.not_scaled:  # once, not every minute
            description = "Attempting to scale due to alarm triggered"
            self._note(target, now, description, cause, capacity, not_scaled=decision.not_scaled)

    def _utilization(self, resource_id: str) -> float | None:
        try:
            allocation = self._configs.get(_reference(resource_id)).allocation
        except CallerError:
            return None
        return allocation.utilization if allocation.available else None

    def _capacity(self, resource_id: str) -> int:
        try:
            return self._configs.get(_reference(resource_id)).config.requested
        except ProvisionedConfigNotFound:
            return 0

    def _scale(self, target: ScalableTarget, capacity: int, cause: str, now: float) -> None:
        description = f"Setting provisioned concurrency to {capacity}."
        reference = _reference(target.resource_id)
        try:
            if capacity:
                self._configs.put(reference, capacity)
            else:
                self._configs.delete(reference)
        except CallerError as error:
            _log.warning("scaling_failed", extra={"resource": target.resource_id, "reason": str(error)})
            self._note(target, now, description, cause, capacity, failure=str(error))
            return
        _log.info("scaled", extra={"resource": target.resource_id, "capacity": capacity, "cause": cause})
        self._note(target, now, description, cause, capacity)

    def _note(
        self,
        target: ScalableTarget,
        now: float,
        description: str,
        cause: str,
        capacity: int,
        *,
        failure: str = "",
        not_scaled: str | None = None,
    ) -> None:
        activity = ScalingActivity(
            id=str(uuid.uuid4()),
            resource_id=target.resource_id,
            at=now,
            description=description,
            cause=cause,
            failure=failure,
            not_scaled=not_scaled,
            capacity=capacity,
            min_capacity=target.min_capacity,
            max_capacity=target.max_capacity,
        )
        self._activities.append(activity)

    def _keep(self, target: ScalableTarget) -> None:
        self._store.put(DOCUMENT_KIND, target.resource_id, msgspec.json.encode(target))
        self._targets[target.resource_id] = target
        if not target.policies:
            self._tracking.pop(target.resource_id, None)


def alarm_name(resource_id: str, policy: TrackingPolicy, *, is_high: bool) -> str:
    """Name the alarm of a policy as AWS does, though no CloudWatch has it."""
    kind, id_ = ("High", policy.alarm_high_id) if is_high else ("Low", policy.alarm_low_id)
    return f"TargetTracking-{resource_id}-Alarm{kind}-{id_}"


def _reference(resource_id: str) -> FunctionReference:
    parts = resource_id.split(":")
    if len(parts) != 3 or parts[0] != "function" or not all(parts):
        raise InvalidResource(resource_id=resource_id)
    return FunctionReference(FunctionName(parts[1]), parts[2])
