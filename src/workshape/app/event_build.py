"""From the app's rules and schedules to EventBridge's. A core."""

import msgspec

from workshape.app import event_model
from workshape.app.delivery_build import topic_arn
from workshape.arn import function_arn, queue_arn
from workshape.events.model import DEFAULT_BUS, DISABLED, ENABLED, BusName, Rule, RuleName, Target, bus_arn
from workshape.events.retry import RetryPolicy
from workshape.events.scheduler.model import DEFAULT_GROUP, Schedule, ScheduleTarget
from workshape.events.transformer import InputTransformer, TargetInput

ROLE_NAME = "workshape"  # every schedule has a role; here it opens and closes nothing


def rule_of(rule: event_model.Rule, region: str, account: str) -> Rule:
    """Make the rule; its ARN and its times are given by who keeps it."""
    targets = [_target(f"{number}", target, region, account) for number, target in enumerate(rule.targets, 1)]
    return Rule(
        bus=BusName(rule.bus),
        name=RuleName(rule.name),
        pattern="" if rule.pattern is None else msgspec.json.encode(rule.pattern).decode(),
        schedule=rule.schedule or "",
        state=ENABLED if rule.enabled else DISABLED,
        description=rule.description,
        targets={target.id: target for target in targets},
    )


def schedule_of(schedule: event_model.Schedule, region: str, account: str) -> Schedule:
    """Make the schedule; its ARN and its times are given by who keeps it."""
    target = ScheduleTarget(
        arn=_arn(schedule, region, account),
        role_arn=f"arn:aws:iam::{account}:role/{ROLE_NAME}",
        input=schedule.input,
        retry=RetryPolicy(schedule.retries_max, schedule.event_age_s_max),
        dead_letter_arn=_dead_letter_arn(schedule, region, account),
        message_group_id=schedule.message_group_id,
        detail_type=schedule.detail_type or "",
        source=schedule.source or "",
    )
    return Schedule(
        group=DEFAULT_GROUP,
        name=schedule.name,
        expression=schedule.expression,
        target=target,
        time_zone=schedule.time_zone,
        starts_at=None if schedule.starts_at is None else schedule.starts_at.timestamp(),
        ends_at=None if schedule.ends_at is None else schedule.ends_at.timestamp(),
        window_minutes=schedule.window_minutes,
        description=schedule.description,
        state=ENABLED if schedule.enabled else DISABLED,
    )


def _target(target_id: str, target: event_model.Target, region: str, account: str) -> Target:
    transformer = None if target.template is None else InputTransformer(target.template, target.paths)
    return Target(
        id=target_id,
        arn=_arn(target, region, account),
        input=TargetInput(target.input, target.input_path, transformer),
        message_group_id=target.message_group_id,
        retry=RetryPolicy(target.retries_max, target.event_age_s_max),
        dead_letter_arn=_dead_letter_arn(target, region, account),
    )


def _arn(named: event_model.Target | event_model.Schedule, region: str, account: str) -> str:
    if named.function is not None:
        return function_arn(region, account, named.function)
    if named.queue is not None:
        return queue_arn(region, account, named.queue)
    if named.topic is not None:
        return topic_arn(named.topic, region, account)
    return bus_arn(region, account, named.bus or DEFAULT_BUS)


def _dead_letter_arn(named: event_model.Target | event_model.Schedule, region: str, account: str) -> str:
    return "" if named.dead_letter_queue is None else queue_arn(region, account, named.dead_letter_queue)
