"""Whether an app's buses, rules and schedules hang together. A core."""

import re
from collections.abc import Iterator
from dataclasses import replace

import msgspec

from workshape.app.event_build import rule_of, schedule_of
from workshape.app.event_model import Rule, Schedule, Target
from workshape.app.model import App
from workshape.app.problem import Naming, Problem, no_function
from workshape.errors import Invalid
from workshape.events.model import DEFAULT_BUS, RULES_PER_BUS_MAX
from workshape.events.operators import InvalidPattern
from workshape.events.pattern import compile_pattern
from workshape.events.rule import compile_rule
from workshape.events.scheduler.schedule_plan import plan_of
from workshape.queues.model import FIFO_SUFFIX
from workshape.toml_document import Place, did_you_mean

BUS_NAME = Naming("a bus", re.compile(r"[.\-_A-Za-z0-9]{1,256}"), "1 to 256 letters, digits, -, _ and .")
"""https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateEventBus.html"""
RULE_NAME = Naming("a rule", re.compile(r"[.\-_A-Za-z0-9]{1,64}"), "1 to 64 letters, digits, -, _ and .")
"""https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html"""
SCHEDULE_NAME = replace(RULE_NAME, kind="a schedule")
"""https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html"""
REGION, ACCOUNT = "us-east-1", "123456789012"  # what stands for them here is no part of what is checked


def event_problems(app: App) -> Iterator[Problem]:
    """Everything that is wrong with them, in the order of the app."""
    for bus in app.buses:
        if bus.name == DEFAULT_BUS:
            yield Problem(("buses", bus.name), "the default bus is there already; take this table out")
        elif not BUS_NAME.allows(bus.name):
            yield Problem(("buses", bus.name), BUS_NAME.refusal(bus.name))
    counts: dict[str, int] = {}
    for rule in app.rules:
        counts[rule.bus] = counts.get(rule.bus, 0) + 1
        if counts[rule.bus] > RULES_PER_BUS_MAX:
            yield Problem(
                ("rules", rule.name), f'"{rule.bus}" has {RULES_PER_BUS_MAX} rules already, which is the most'
            )
        yield from _rule_problems(app, rule)
    for schedule in app.schedules:
        yield from _schedule_problems(app, schedule)


def _rule_problems(app: App, rule: Rule) -> Iterator[Problem]:
    place: Place = ("rules", rule.name)
    if not RULE_NAME.allows(rule.name):
        yield Problem(place, RULE_NAME.refusal(rule.name))
    if rule.bus != DEFAULT_BUS and rule.bus not in [bus.name for bus in app.buses]:
        yield Problem((*place, "bus"), _no_bus(app, rule.bus))
    found = False
    for index, target in enumerate(rule.targets):
        for problem in _target_problems(app, (*place, "targets", index), target):
            found = True
            yield problem
    if rule.pattern is None and rule.schedule is None:
        yield Problem(place, "it needs a pattern or a schedule, or both")
        return
    if rule.pattern is not None:
        try:
            compile_pattern(msgspec.json.encode(rule.pattern))
        except InvalidPattern as error:
            yield Problem((*place, "pattern"), error.reason)
            return
    if found:
        return  # what follows would only say so again
    try:
        compile_rule(rule_of(rule, REGION, ACCOUNT))
    except Invalid as error:
        key = ("schedule",) if rule.schedule is not None and "ScheduleExpression" in str(error) else ()
        reason = getattr(error, "reason", "") if key else ""
        yield Problem((*place, *key), f"{error} {reason}".rstrip())


def _target_problems(app: App, place: Place, target: Target) -> Iterator[Problem]:
    yield from _destination_problems(app, place, target)
    if target.bus is not None and (target.input, target.input_path, target.template) != (None, None, None):
        yield Problem((*place, "bus"), "a bus gets the event as it is, without an input of its own")
    if target.paths and target.template is None:
        yield Problem((*place, "paths"), "they are the variables of a template, and there is none")


def _schedule_problems(app: App, schedule: Schedule) -> Iterator[Problem]:
    place: Place = ("schedules", schedule.name)
    if not SCHEDULE_NAME.allows(schedule.name):
        yield Problem(place, SCHEDULE_NAME.refusal(schedule.name))
    yield from _destination_problems(app, place, schedule)
    for key in ("source", "detail_type"):
        if (getattr(schedule, key) is not None) != (schedule.bus is not None):
            yield Problem((*place, key), "an event for a bus has a source and a detail_type; nothing else has")
    if schedule.input is not None and schedule.queue is None and schedule.topic is None:
        try:
            msgspec.json.decode(schedule.input)
        except msgspec.DecodeError as error:
            yield Problem((*place, "input"), f"functions and buses take JSON: {error}")
    if schedule.starts_at is not None and schedule.ends_at is not None and schedule.ends_at <= schedule.starts_at:
        yield Problem((*place, "ends_at"), "it is not after starts_at")
    try:
        plan_of(schedule_of(schedule, REGION, ACCOUNT))
    except Invalid as error:
        yield Problem((*place, "expression"), str(error))


def _destination_problems(app: App, place: Place, named: Target | Schedule) -> Iterator[Problem]:
    """What is wrong with whom it invokes, and where failures go."""
    queues = [queue.name for queue in app.queues]
    if [named.function, named.queue, named.topic, named.bus].count(None) != 3:
        yield Problem(place, "it invokes a function, a queue, a topic or a bus, one of the four")
        return
    if named.function is not None and app.function(named.function) is None:
        yield no_function(app, (*place, "function"), named.function)
    if named.queue is not None and named.queue not in queues:
        yield Problem((*place, "queue"), f"there is no [queues.{named.queue}]; {did_you_mean(named.queue, queues)}")
    if named.queue is not None and named.queue.endswith(FIFO_SUFFIX) and not named.message_group_id:
        yield Problem((*place, "queue"), "a FIFO queue needs a message_group_id")
    topics = [topic.name for topic in app.topics]
    if named.topic is not None and named.topic not in topics:
        yield Problem((*place, "topic"), f"there is no [topics.{named.topic}]; {did_you_mean(named.topic, topics)}")
    elif named.topic is not None and named.topic.endswith(FIFO_SUFFIX):
        yield Problem((*place, "topic"), "EventBridge takes no FIFO topic for this")
    if named.bus is not None and named.bus != DEFAULT_BUS and named.bus not in [bus.name for bus in app.buses]:
        yield Problem((*place, "bus"), _no_bus(app, named.bus))
    dead = named.dead_letter_queue
    if dead is not None and dead not in queues:
        yield Problem((*place, "dead_letter_queue"), f"there is no [queues.{dead}]; {did_you_mean(dead, queues)}")
    elif dead is not None and dead.endswith(FIFO_SUFFIX):
        yield Problem((*place, "dead_letter_queue"), "EventBridge takes no FIFO queue for this")


def _no_bus(app: App, name: str) -> str:
    known = did_you_mean(name, [DEFAULT_BUS, *(bus.name for bus in app.buses)])
    return f"there is no [buses.{name}]; {known}"
