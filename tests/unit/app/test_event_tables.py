"""`[buses]`, `[rules]` and `[schedules]`: read, checked by name and line, and made."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from workshape.app.event_apply import EventCatalogue, RemoveEvents, apply_events
from workshape.app.event_build import rule_of, schedule_of
from workshape.app.event_model import Bus, Rule, Schedule, Target
from workshape.app.model import App
from workshape.app.toml import parse_app
from workshape.clock import Clock
from workshape.delivery import Delivered, Delivery
from workshape.events.buses import Buses
from workshape.events.event_metrics import EventMetrics
from workshape.events.model import BusName, RuleName
from workshape.events.model import Rule as LiveRule
from workshape.events.scheduler.schedules import Schedules
from workshape.events.target_queue import TargetQueue
from workshape.events.transformer import InputTransformer
from workshape.store.documents import Documents
from workshape.toml_document import TomlInvalid

REGION, ACCOUNT = "us-east-1", "123456789012"
FUNCTION = """
[functions.ship]
runtime = "python3.12"
handler = "app.handler"
code = "."

[queues.audit]
[queues.lost]

[buses.shop]
description = "orders"
"""
RULE = """
[rules.orders]
bus = "shop"
pattern = { source = ["shop.orders"], detail-type = ["Order Placed"] }
targets = [
    { function = "ship", retries_max = 3, event_age_s_max = 600, dead_letter_queue = "lost" },
    { queue = "audit", template = '"order <id>"', paths = { id = "$.detail.id" } },
]
"""
SCHEDULE = """
[schedules.report]
expression = "cron(0 7 ? * MON-FRI *)"
time_zone = "Europe/Berlin"
starts_at = 2030-01-01T00:00:00Z
window_minutes = 15
function = "ship"
input = '{"kind": "daily"}'
"""


def read(text: str, tmp_path: Path) -> App:
    (tmp_path / "app.py").write_text("def handler(event, context): return event\n")
    return parse_app((FUNCTION + text).encode(), tmp_path / "workshape.toml")[0]


def test_the_tables_are_read(tmp_path: Path) -> None:
    app = read(RULE + SCHEDULE, tmp_path)

    assert app.buses == (Bus("shop", "orders"),)
    assert app.rules == (
        Rule(
            "orders",
            (
                Target(function="ship", retries_max=3, event_age_s_max=600, dead_letter_queue="lost"),
                Target(queue="audit", template='"order <id>"', paths={"id": "$.detail.id"}),
            ),
            bus="shop",
            pattern={"source": ["shop.orders"], "detail-type": ["Order Placed"]},
        ),
    )
    assert app.schedules == (
        Schedule(
            "report",
            "cron(0 7 ? * MON-FRI *)",
            function="ship",
            input='{"kind": "daily"}',
            time_zone="Europe/Berlin",
            starts_at=datetime(2030, 1, 1, tzinfo=UTC),
            window_minutes=15,
        ),
    )


def test_they_become_what_eventbridge_knows(tmp_path: Path) -> None:
    app = read(RULE + SCHEDULE, tmp_path)

    rule = rule_of(app.rules[0], REGION, ACCOUNT)
    schedule = schedule_of(app.schedules[0], REGION, ACCOUNT)

    assert msgspec.json.decode(rule.pattern) == app.rules[0].pattern
    assert rule.targets["1"].arn == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:ship"
    assert rule.targets["1"].dead_letter_arn == f"arn:aws:sqs:{REGION}:{ACCOUNT}:lost"
    assert rule.targets["2"].input.transformer == InputTransformer('"order <id>"', {"id": "$.detail.id"})
    assert (schedule.group, schedule.target.arn) == ("default", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:ship")
    assert schedule.starts_at == datetime(2030, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[buses.default]", "line 12: [buses.default]: the default bus is there already; take this table out"),
        ("[rules.r]\npattern = {}", "line 12: [rules.r]: targets is missing, and has no default"),
        (
            "[rules.r]\ntargets = [{ function = 'ship' }]",
            "line 12: [rules.r]: it needs a pattern or a schedule, or both",
        ),
        (
            "[rules.r]\nbus = 'shp'\npattern = { source = ['x'] }\ntargets = [{ function = 'ship' }]",
            'line 13: [rules.r] bus: there is no [buses.shp]; did you mean "shop"?',
        ),
        (
            "[rules.r]\npattern = { source = ['x'] }\ntargets = [{ function = 'ship' }, { function = 'shp' }]",
            'line 14: [rules.r] targets[1].function: there is no [functions.shp]; did you mean "ship"?',
        ),
        (
            "[rules.r]\npattern = { source = ['x'] }\ntargets = [{ function = 'ship', queue = 'audit' }]",
            "line 14: [rules.r] targets[0]: it invokes a function, a queue, a topic or a bus, one of the four",
        ),
        (
            "[rules.r]\npattern = { source = ['x'] }\ntargets = [{ topic = 'news' }]",
            "line 14: [rules.r] targets[0].topic: there is no [topics.news]; there are none",
        ),
        (
            "[topics.'news.fifo']\n[rules.r]\npattern = { source = ['x'] }\ntargets = [{ topic = 'news.fifo' }]",
            "line 15: [rules.r] targets[0].topic: EventBridge takes no FIFO topic for this",
        ),
        (
            "[rules.r]\npattern = { source = ['x'] }\ntargets = [{ functon = 'ship' }]",
            'line 14: [rules.r] targets[0].functon: there is no such key; did you mean "function"?',
        ),
        (
            "[rules.r]\npattern = { source = ['x'] }\ntargets = [{ queue = 'audit', dead_letter_queue = 'lst' }]",
            'line 14: [rules.r] targets[0].dead_letter_queue: there is no [queues.lst]; did you mean "lost"?',
        ),
        (
            "[rules.r]\npattern = { source = 'x' }\ntargets = [{ function = 'ship' }]",
            "line 13: [rules.r] pattern: ",
        ),
        (
            "[rules.r]\nschedule = 'rate(1 minutes)'\ntargets = [{ function = 'ship' }]",
            "line 13: [rules.r] schedule: Parameter ScheduleExpression is not valid. rate() takes",
        ),
        (
            "[rules.r]\nbus = 'shop'\nschedule = 'rate(1 hour)'\ntargets = [{ function = 'ship' }]",
            "line 14: [rules.r] schedule: ScheduleExpression is supported only on the default event bus.",
        ),
        (
            "[rules.r]\npattern = { source = ['x'] }\ntargets = [{ function = 'ship', template = '<x>' }]",
            "line 12: [rules.r]: InputTemplate for target 1 contains invalid placeholder x.",
        ),
        (
            "[rules.r]\npattern = { source = ['x'] }\ntargets = [{ bus = 'shop', input = '{}' }]",
            "line 14: [rules.r] targets[0].bus: a bus gets the event as it is, without an input of its own",
        ),
        (
            "[schedules.s]\nexpression = 'rate(1 day)'\nfunction = 'ship'\ntime_zone = 'Berlin'",
            "line 13: [schedules.s] expression: Invalid ScheduleExpressionTimezone Berlin",
        ),
        (
            "[schedules.s]\nexpression = 'every day'\nfunction = 'ship'",
            "line 13: [schedules.s] expression: Invalid Schedule Expression every day.",
        ),
        (
            "[schedules.s]\nexpression = 'rate(1 day)'\nfunction = 'ship'\ninput = 'hello'",
            "line 15: [schedules.s] input: functions and buses take JSON",
        ),
        (
            "[schedules.s]\nexpression = 'rate(1 day)'\nbus = 'shop'\nsource = 'clock'",
            "line 12: [schedules.s] detail_type: an event for a bus has a source and a detail_type; nothing else has",
        ),
        (
            "[schedules.s]\nexpression = 'rate(1 day)'\nqueue = 'audit'\nstarts_at = 2030-01-01T00:00:00",
            "line 15: [schedules.s] starts_at: ",
        ),
        (
            "[schedules.s]\nexpression = 'rate(1 day)'\nqueue = 'audit'\nwindow_minutes = 0",
            "line 15: [schedules.s] window_minutes: expected integer >= 1",
        ),
    ],
)
def test_what_is_wrong_is_said_by_name_and_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(TomlInvalid) as refused:
        read(text, tmp_path)

    assert f"workshape.toml, {message}" in str(refused.value)


async def _nowhere(_arn: str, _delivery: Delivery) -> Delivered:
    return Delivered()


@pytest.fixture
def catalogue(tmp_path: Path) -> EventCatalogue:
    store = Documents(tmp_path / "store.sqlite")
    queue = TargetQueue(store, _nowhere, EventMetrics(), Clock())
    buses = Buses(store, Clock(), region=REGION, account=ACCOUNT)
    return EventCatalogue(buses, Schedules(store, queue, Clock(), region=REGION, account=ACCOUNT), store)


def test_they_are_made_once_changed_and_cleared_away(catalogue: EventCatalogue, tmp_path: Path) -> None:
    app = read(RULE + SCHEDULE, tmp_path)
    other = msgspec.structs.replace(app, rules=(msgspec.structs.replace(app.rules[0], enabled=False),))

    first = apply_events(app, catalogue)
    again = apply_events(app, catalogue)
    changed = apply_events(other, catalogue)
    state = catalogue.buses.rule("shop", "orders").state
    cleared = apply_events(App("app"), catalogue)

    assert first == [*app.buses, *app.rules, *app.schedules]
    assert again == []
    assert changed == [*other.rules]
    assert state == "DISABLED"
    assert cleared == [RemoveEvents("schedule", "report"), RemoveEvents("rule", "orders"), RemoveEvents("bus", "shop")]
    assert [bus.name for bus in catalogue.buses.buses()] == ["default"]
    assert not catalogue.schedules.schedules()


def test_what_others_made_is_left_alone(catalogue: EventCatalogue, tmp_path: Path) -> None:
    apply_events(read(RULE, tmp_path), catalogue)
    catalogue.buses.put_rule(LiveRule(bus=BusName("shop"), name=RuleName("theirs"), pattern='{"source": ["x"]}'))

    apply_events(App("app"), catalogue)

    assert [rule.name for rule in catalogue.buses.rules("shop")] == ["theirs"]
