"""What `workshape status` shows of rules and schedules."""

from datetime import datetime
from io import StringIO

from rich.console import Console

from workshape.cli.status import tables
from workshape.status import EngineStatus, RuleStatus, ScheduleStatus

NOON = datetime(2026, 1, 1, 12).astimezone()
RULE = RuleStatus(
    "default",
    "sweep",
    "ENABLED",
    "rate(5 minutes)",
    ("arn:aws:lambda:us-east-1:123456789012:function:ship", "arn:aws:sqs:us-east-1:123456789012:audit"),
    NOON.timestamp(),
)
SCHEDULE = ScheduleStatus(
    "team",
    "report",
    "DISABLED",
    "at(2026-01-01T12:00:00)",
    "Europe/Berlin",
    "arn:aws:scheduler:::aws-sdk:sqs:sendMessage",
)


def shown(status: EngineStatus) -> str:
    console = Console(width=200, record=True, file=StringIO())
    for table in tables(None, status, {}):
        console.print(table)
    return console.export_text()


def test_rules_and_schedules_are_shown_with_their_next_run() -> None:
    text = shown(EngineStatus(rules=(RULE,), schedules=(SCHEDULE,), schedules_total=1))

    assert "rate(5 minutes)" in text
    assert "function:ship, sqs:audit" in text
    assert NOON.strftime("%Y-%m-%d %H:%M:%S %Z") in text
    assert "aws-sdk:sqs:sendMessage" in text
    assert "team/report" in text
    assert "at(2026-01-01T12:00:00) Europe/Berlin" in text
    assert "disabled" in text


def test_of_many_schedules_the_soonest_are_shown_and_the_title_says_so() -> None:
    text = shown(EngineStatus(schedules=(SCHEDULE,), schedules_total=2_345))

    assert "Schedules (the 1 soonest of 2,345)" in text
