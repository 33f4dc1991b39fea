"""The schedules and groups there are: durable, and alive. Everything that runs or shows a schedule asks here.

Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Operations.html
"""

import logging
import os
import uuid
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from workshape.clock import Clock
from workshape.events.invocation import TargetInvocation
from workshape.events.scheduler.model import (
    DEFAULT_GROUP,
    GROUPS_MAX,
    SCHEDULES_MAX,
    DefaultGroupStays,
    GroupExists,
    GroupNotFound,
    QuotaExceeded,
    Schedule,
    ScheduleExists,
    ScheduleGroup,
    ScheduleNotFound,
    group_arn,
    schedule_arn,
)
from workshape.events.scheduler.schedule_plan import check_dates, check_time, invocation_of, over_since, plan_of
from workshape.events.target_queue import TargetQueue
from workshape.events.timer import Document, Timer
from workshape.events.timetable import GRACE_S, Due
from workshape.store.documents import Documents

SCHEDULE_KIND = "schedule"
GROUP_KIND = "schedule-group"
FIRED_KIND = "schedule-fired"
"""When a schedule was last due: it is not due for that time again, whatever happens."""

DELETIONS_MAX = 1_000
"""AWS: undocumented how long a token holds; we remember the last ones of a run: clients ask again within seconds."""

_log = logging.getLogger(__name__)


class Schedules:
    """All of one account and region. A change is on disk when its method returns. `run` it."""

    def __init__(self, store: Documents, queue: TargetQueue, clock: Clock, *, region: str, account: str) -> None:
        """Read what there is; the default group always is."""
        self._store = store
        self._queue = queue
        self._clock = clock
        self._region = region
        self._account = account
        self._timer = Timer(store, FIRED_KIND, clock, self._fire)
        self._schedules: dict[str, Schedule] = {}
        self._deletions: OrderedDict[tuple[str, str], None] = OrderedDict()
        """What was deleted (ARN) at whose request (client token)."""
        self._groups = {
            name: msgspec.msgpack.decode(document, type=ScheduleGroup) for name, document in store.all(GROUP_KIND)
        }
        if DEFAULT_GROUP not in self._groups:
            self._keep_group(self._new_group(DEFAULT_GROUP, {}, ""))
        for arn, document in store.all(SCHEDULE_KIND):
            schedule = self._schedules[arn] = msgspec.msgpack.decode(document, type=Schedule)
            since = over_since(schedule, plan_of(schedule), schedule.counts_from, is_new=True)
            self._follow(schedule, since, is_start=True)
        queue.subscribe(self._ended)

    def __repr__(self) -> str:
        return f"<Schedules groups={len(self._groups)} schedules={len(self._schedules)}>"

    async def run(self) -> None:
        """Invoke targets at their times, until cancelled."""
        await self._timer.run()

    def next_run_at(self, schedule: Schedule) -> float | None:
        """When a schedule is due next; None: never again."""
        return self._timer.scheduled_at(schedule.arn)

    # Schedules

    def schedules(self, group: str | None = None) -> list[Schedule]:
        """The schedules of a group, or all; by group and name. Raises: GroupNotFound: there is no such group."""
        if group is not None:
            self.group(group)
        found = [one for one in self._schedules.values() if group in (None, one.group)]
        return sorted(found, key=lambda one: (one.group, one.name))

    def schedule(self, group: str, name: str) -> Schedule:
        """Return a schedule. Raises: ScheduleNotFound: there is none."""
        found = self._schedules.get(self._arn(group, name))
        if found is None:
            raise ScheduleNotFound(kind="schedule", name=name)
        return found

    def create(self, given: Schedule) -> Schedule:
        """Make a schedule; its ARN and its times are given here.

        Raises:
            GroupNotFound, ScheduleExists, QuotaExceeded, Invalid: it cannot be.
        """
        self.group(given.group)
        now = self._clock.wall_s()
        arn = self._arn(given.group, given.name)
        present = self._schedules.get(arn)
        if present is not None:
            if given.token and present.token == given.token:
                return present  # the same request once more
            raise ScheduleExists(name=given.name)
        if len(self._schedules) >= SCHEDULES_MAX:
            raise QuotaExceeded(limit=SCHEDULES_MAX, what="schedules")
        schedule = msgspec.structs.replace(given, arn=arn, created_at=now, modified_at=now, counts_from=now)
        self._put(schedule, now, is_new=True)
        return schedule

    def update(self, given: Schedule) -> Schedule:
        """Replace all of a schedule; `token` is the client's that wants it changed.

        Raises:
            ScheduleNotFound, Invalid: it cannot be.
        """
        present = self.schedule(given.group, given.name)
        if given.token and present.update_token == given.token:
            return present  # the same request once more
        now = self._clock.wall_s()
        is_new = present.timing != given.timing
        schedule = msgspec.structs.replace(
            given,
            arn=present.arn,
            created_at=present.created_at,
            modified_at=now,
            counts_from=now if is_new else present.counts_from,
            token=present.token,
            update_token=given.token,
        )
        self._put(schedule, now, is_new=is_new)
        return schedule

    def put_whole(self, given: Schedule) -> bool:
        """Make a schedule, or replace it; tell whether anything changed. One that is over is not made.

        Raises:
            GroupNotFound, QuotaExceeded, Invalid: it cannot be.
        """
        present = self._schedules.get(self._arn(given.group, given.name))
        if present is None:
            if plan_of(given).next_after(self._clock.wall_s() - GRACE_S) is None:
                return False
            self.create(given)
            return True
        same = msgspec.structs.replace(
            given,
            arn=present.arn,
            created_at=present.created_at,
            modified_at=present.modified_at,
            counts_from=present.counts_from,
            token=present.token,
            update_token=present.update_token,
        )
        if same == present:
            return False
        self.update(given)
        return True

    def delete(self, group: str, name: str, token: str = "") -> None:
        """Remove a schedule. Raises: ScheduleNotFound: there is none, and no request with that token removed it."""
        arn = self._arn(group, name)
        if arn not in self._schedules and self._is_again(arn, token):
            return
        self._remove([self.schedule(group, name)])
        self._remember(arn, token)

    # Groups

    def groups(self) -> list[ScheduleGroup]:
        """All of them, by name."""
        return [self._groups[name] for name in sorted(self._groups)]

    def group(self, name: str) -> ScheduleGroup:
        """Return a group. Raises: GroupNotFound: there is none."""
        if name not in self._groups:
            raise GroupNotFound(kind="schedule group", name=name)
        return self._groups[name]

    def create_group(self, name: str, tags: dict[str, str], token: str) -> ScheduleGroup:
        """Make a group. Raises: GroupExists, QuotaExceeded: it cannot be."""
        present = self._groups.get(name)
        if present is not None:
            if token and present.token == token:
                return present
            raise GroupExists(name=name)
        if len(self._groups) >= GROUPS_MAX:
            raise QuotaExceeded(limit=GROUPS_MAX, what="schedule groups")
        group = self._new_group(name, tags, token)
        self._keep_group(group)
        return group

    def set_tags(self, name: str, tags: dict[str, str]) -> None:
        """Replace a group's tags. Raises: GroupNotFound: there is none."""
        group = self.group(name)
        self._keep_group(msgspec.structs.replace(group, tags=tags, modified_at=self._clock.wall_s()))

    def delete_group(self, name: str, token: str = "") -> None:
        """Remove a group with all its schedules.

        Raises:
            GroupNotFound: there is none, and no request with that token removed it. DefaultGroupStays: it cannot be.
        """
        if name == DEFAULT_GROUP:
            raise DefaultGroupStays
        arn = group_arn(self._region, self._account, name)
        if name not in self._groups and self._is_again(arn, token):
            return
        self._remove(self.schedules(name), (GROUP_KIND, name))
        del self._groups[name]
        self._remember(arn, token)

    # What is due

    async def _fire(self, due: Sequence[Due], marks: Sequence[Document]) -> None:
        now = self._clock.wall_s()
        invocations: list[TargetInvocation] = []
        for one in due:
            schedule = self._schedules.get(one.key)
            if schedule is None or not schedule.is_enabled:
                continue  # it was taken back meanwhile
            # AWS: each attempted invocation has an id; one for all attempts is what the dead-letter queue can name.
            execution_id = os.urandom(8).hex()
            invocations.append(invocation_of(schedule, one, key=str(uuid.uuid4()), execution_id=execution_id, now=now))
        await self._queue.accept(invocations, marks)

    def _ended(self, invocation: TargetInvocation) -> None:
        """Delete a schedule that is complete, if it is to be, once its last invocation has come to its end."""
        if invocation.occurrence is None or not invocation.occurrence.is_last:
            return
        schedule = self._schedules.get(invocation.origin)
        if schedule is None or not schedule.deleted_when_complete or self.next_run_at(schedule) is not None:
            return
        _log.info("schedule_complete", extra={"schedule": schedule.arn})
        self._remove([schedule])

    def _put(self, schedule: Schedule, now: float, *, is_new: bool) -> None:
        plan = plan_of(schedule)
        if is_new:
            check_time(schedule, plan, now)
            check_dates(schedule, plan, now)
        self._store.put(SCHEDULE_KIND, schedule.arn, msgspec.msgpack.encode(schedule))
        self._schedules[schedule.arn] = schedule
        self._follow(schedule, over_since(schedule, plan, now, is_new=is_new))

    def _follow(self, schedule: Schedule, since: float, *, is_start: bool = False) -> None:
        if not schedule.is_enabled:
            self._timer.leave(schedule.arn)
            return
        plan = plan_of(schedule)
        sign = (*schedule.timing, schedule.counts_from, plan.grace_s)
        self._timer.follow(schedule.arn, plan, since, sign, is_start=is_start)

    def _remove(self, schedules: Sequence[Schedule], *documents: tuple[str, str]) -> None:
        """Remove schedules, and documents (kind and key) with them, in one write."""
        gone = [*documents]
        for schedule in schedules:
            gone += [(SCHEDULE_KIND, schedule.arn), *self._timer.forgotten(schedule.arn)]
            del self._schedules[schedule.arn]
        self._store.change(deleted=gone)

    def _is_again(self, arn: str, token: str) -> bool:
        """Tell whether a client's request to delete what is not there is one that was carried out already."""
        return bool(token) and (arn, token) in self._deletions

    def _remember(self, arn: str, token: str) -> None:
        if token:
            self._deletions[arn, token] = None
        while len(self._deletions) > DELETIONS_MAX:
            self._deletions.popitem(last=False)

    def _new_group(self, name: str, tags: dict[str, str], token: str) -> ScheduleGroup:
        now = self._clock.wall_s()
        arn = group_arn(self._region, self._account, name)
        return ScheduleGroup(name=name, arn=arn, created_at=now, modified_at=now, tags=tags, token=token)

    def _keep_group(self, group: ScheduleGroup) -> None:
        self._store.put(GROUP_KIND, group.name, msgspec.msgpack.encode(group))
        self._groups[group.name] = group

    def _arn(self, group: str, name: str) -> str:
        return schedule_arn(self._region, self._account, group, name)
