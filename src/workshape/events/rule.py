"""A rule made ready: its pattern, its schedule and its targets' inputs, compiled once. A core."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workshape.errors import Invalid
from workshape.events.event import Event
from workshape.events.http_parameters import CompiledHttpParameters, compile_http_parameters
from workshape.events.invocation import TargetInvocation
from workshape.events.model import DEFAULT_BUS, Rule, Target
from workshape.events.operators import InvalidPattern
from workshape.events.pattern import Pattern, compile_pattern
from workshape.events.retry import RetryPolicy
from workshape.events.schedule import At, InvalidSchedule, parse_schedule
from workshape.events.timetable import Plan
from workshape.events.transformer import Render, RuleContext, compile_input
from workshape.iso_time import iso_seconds

# The errors. AWS: undocumented; we chose the words.


class NothingToDo(Invalid):
    """Parameter(s) EventPattern or ScheduleExpression must be specified."""


class InvalidEventPattern(Invalid):
    """Event pattern is not valid. Reason: {reason}"""


class InvalidScheduleExpression(Invalid):
    """Parameter ScheduleExpression is not valid."""

    reason: str


class ScheduleOnCustomBus(Invalid):
    """ScheduleExpression is supported only on the default event bus."""


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule and what is worked out from it once."""

    rule: Rule
    pattern: Pattern | None
    plan: Plan | None
    renders: Mapping[str, Render]
    http: Mapping[str, CompiledHttpParameters]
    """Of the targets that have such."""

    def matches(self, body: Mapping[str, Any]) -> bool:
        """Tell whether an event is taken."""
        return self.pattern is not None and self.rule.is_enabled and self.pattern.matches(body)

    def invocations(self, event: Event, ids: list[str]) -> list[TargetInvocation]:
        """Make what its targets get for an event; `ids` has one for each target."""
        rule = self.rule
        context = RuleContext(rule.arn, rule.name, iso_seconds(event.accepted_at))
        return [
            self._invocation(target, event, self.renders[target.id](event.body, event.encoded, context), key)
            for target, key in zip(rule.targets.values(), ids, strict=True)
        ]

    def _invocation(self, target: Target, event: Event, body: bytes, key: str) -> TargetInvocation:
        rule, http = self.rule, self.http.get(target.id)
        return TargetInvocation(
            id=key,
            origin=rule.arn,
            target_arn=target.arn,
            body=body,
            dead_body=None if body is event.encoded else event.encoded,
            accepted_at=event.accepted_at,
            due_at=event.accepted_at,
            policy=target.retry or RetryPolicy(),
            dead_letter_arn=target.dead_letter_arn,
            group_id=target.message_group_id,
            http=None if http is None else http.fill(event.body),
            trace_header=event.trace_header,
            from_bus=rule.bus,
            forwarded=bool(event.from_bus),
        )


def compile_rule(rule: Rule) -> CompiledRule:
    """Compile a rule.

    Raises:
        NothingToDo, InvalidEventPattern, InvalidScheduleExpression, ScheduleOnCustomBus: EventBridge would refuse it.
        Invalid: so with a target's input, or its HTTP parameters.
    """
    if not rule.pattern and not rule.schedule:
        raise NothingToDo
    renders = {target.id: compile_input(target.input, target.id) for target in rule.targets.values()}
    http = {target.id: compile_http_parameters(target.http) for target in rule.targets.values() if target.http}
    pattern = read_pattern(rule.pattern) if rule.pattern else None
    return CompiledRule(rule, pattern, _plan(rule) if rule.schedule else None, renders, http)


def read_pattern(text: str) -> Pattern:
    """Compile an event pattern. Raises: InvalidEventPattern: it is none."""
    try:
        return compile_pattern(text)
    except InvalidPattern as error:
        raise InvalidEventPattern(reason=error.reason) from error


def _plan(rule: Rule) -> Plan:
    if rule.bus != DEFAULT_BUS:
        raise ScheduleOnCustomBus
    try:
        schedule = parse_schedule(rule.schedule)
    except InvalidSchedule as error:
        raise InvalidScheduleExpression(reason=error.reason) from error
    if isinstance(schedule, At):
        raise InvalidScheduleExpression(reason="rules take rate() and cron(); at() is EventBridge Scheduler's")
    return Plan(schedule, rule.scheduled_since)
