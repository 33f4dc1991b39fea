"""From a schedule to its times, and from a time to what its target gets. A core.

Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
"""

import msgspec

from workshape.events.invocation import Occurrence, TargetInvocation
from workshape.events.schedule import At, InvalidSchedule, UnknownTimeZone, parse_schedule
from workshape.events.scheduler.model import (
    InvalidDates,
    InvalidScheduleExpression,
    InvalidTimeZone,
    Schedule,
)
from workshape.events.timetable import GRACE_S, Due, Plan
from workshape.iso_time import iso_seconds

START_IN_PAST_S_MAX = 300.0
WINDOW_MINUTE_S = 60.0
SOURCE = "aws.scheduler"


def plan_of(schedule: Schedule) -> Plan:
    """Work out when a schedule is due.

    A time that was missed waits for the next one. One that has no next, of `at()`, is late rather than missed, for as
    long as its target's policy keeps an event. AWS: undocumented; there the scheduler is never away.

    Raises:
        InvalidScheduleExpression, InvalidTimeZone: it never is.
    """
    try:
        parsed = parse_schedule(schedule.expression, schedule.time_zone, any_number=True)
    except InvalidSchedule as error:
        raise InvalidScheduleExpression(expression=schedule.expression, reason=error.reason) from error
    except UnknownTimeZone as error:
        raise InvalidTimeZone(name=schedule.time_zone) from error
    return Plan(
        parsed,
        counts_from=schedule.counts_from,
        is_due_at_once=True,
        starts_at=schedule.starts_at,
        ends_at=schedule.ends_at,
        window_s=(schedule.window_minutes or 0) * WINDOW_MINUTE_S,
        grace_s=float(schedule.target.policy.age_s_max) if isinstance(parsed, At) else GRACE_S,
    )


def check_dates(schedule: Schedule, plan: Plan, now: float) -> None:
    """Check start and end of a schedule that is made or changed at `now`. Of a single time both are ignored.

    Raises:
        InvalidDates: they are none.

    Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html (StartDate, EndDate)
    """
    if isinstance(plan.schedule, At):
        return
    # AWS: undocumented; we chose how far back a start may be, and the words.
    if schedule.starts_at is not None and schedule.starts_at < now - START_IN_PAST_S_MAX:
        raise InvalidDates(reason="The StartDate you specify cannot be earlier than 5 minutes ago.")
    if schedule.ends_at is None:
        return
    if schedule.ends_at < now:
        raise InvalidDates(reason="The EndDate you specify cannot be earlier than the current time.")
    if schedule.starts_at is not None and schedule.ends_at <= schedule.starts_at:
        raise InvalidDates(reason="The EndDate you specify must come after the StartDate you specify.")


def check_time(schedule: Schedule, plan: Plan, now: float) -> None:
    """Check that a single time of a schedule that is made or changed at `now` is still to come, or of the last minute.

    AWS: undocumented; it refuses times in the past. The minute is for `at()`, which knows no fractions of seconds.

    Raises:
        InvalidScheduleExpression: it is over.
    """
    if isinstance(plan.schedule, At) and plan.schedule.time < now - GRACE_S:
        raise InvalidScheduleExpression(expression=schedule.expression, reason="That time is over.")


def over_since(schedule: Schedule, plan: Plan, now: float, *, is_new: bool) -> float:
    """Say up to when a schedule's times are over, when it is made, changed or enabled at `now`.

    A single time of the last minute still counts, for `at()` knows no fractions of seconds; and so does the moment
    from which a rate counts.
    """
    if not is_new:
        return now
    return now - GRACE_S if isinstance(plan.schedule, At) else schedule.counts_from - 0.001


def invocation_of(schedule: Schedule, due: Due, *, key: str, execution_id: str, now: float) -> TargetInvocation:
    """Make what a schedule's target gets at a time."""
    target = schedule.target
    given = target.input
    return TargetInvocation(
        id=key,
        origin=schedule.arn,
        target_arn=target.arn,
        body=_notification(schedule, due, key) if given is None else given.encode(),
        accepted_at=now,
        due_at=now,
        policy=target.policy,
        dead_letter_arn=target.dead_letter_arn,
        group_id=target.message_group_id,
        occurrence=Occurrence(due.scheduled_at, execution_id, due.is_last),
        detail_type=target.detail_type,
        source=target.source,
    )


def _notification(schedule: Schedule, due: Due, event_id: str) -> bytes:
    """What a target gets that no input was given for. AWS: undocumented; we chose the form of a scheduled event."""
    _, _, _, region, account, _ = schedule.arn.split(":", 5)
    notification = {
        "version": "0",
        "id": event_id,
        "detail-type": "Scheduled Event",
        "source": SOURCE,
        "account": account,
        "time": iso_seconds(due.scheduled_at),
        "region": region,
        "resources": [schedule.arn],
        "detail": "{}",
    }
    return msgspec.json.encode(notification)
