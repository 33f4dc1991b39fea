"""What `workshape status` shows of rules and schedules."""

from datetime import datetime
from io import StringIO

from rich.console import Console

from workshape.alarms import Alarm, Severity
from workshape.cli.status import alarm_tables, tables
from workshape.status import (
    ConnectionHolder,
    DatabaseStatus,
    EngineStatus,
    FunctionStatus,
    HolderKind,
    HostedProxyStatus,
    MinuteStatus,
    QueueStatus,
    RuleStatus,
    ScheduleStatus,
    TopicStatus,
)

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


def row_of(name: str, text: str) -> list[str]:
    """The cells after the first one of the row that begins with this."""
    lines = (line.strip() for line in text.splitlines())
    return next(line for line in lines if line.startswith(f"{name}  ")).removeprefix(name).split()


def shown(status: EngineStatus, *wrong: Alarm, width: int = 200) -> str:
    console = Console(width=width, record=True, file=StringIO())
    for table in (*alarm_tables(wrong), *tables(None, status, {})):
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


def test_proxies_are_shown_with_where_they_are_reached_and_how_they_stand() -> None:
    front = HostedProxyStatus("front", {"default": "127.64.0.1", "jobs": "127.64.0.2"}, "available", "AVAILABLE", "", 7)

    text = shown(EngineStatus(proxies=(front, HostedProxyStatus("idle", {}, "creating", ""))))

    assert "default 127.64.0.1, jobs 127.64.0.2" in text
    assert "AVAILABLE" in text
    assert "none registered" in text


def test_what_is_wrong_comes_first_with_what_helps() -> None:
    alarm = Alarm(Severity.FIRE, "database", "27 of 27 connections are taken.", "throttle search")

    text = shown(EngineStatus(), alarm)

    assert text.startswith("Alarms")
    assert "27 of 27 connections are taken." in text
    assert "throttle search" in text
    assert "Alarms" not in shown(EngineStatus())


def test_functions_are_shown_with_what_they_do_now_and_did_in_the_last_minute() -> None:
    minute = MinuteStatus(120, 1, 0, 3, 12.34, 80.0)

    text = shown(EngineStatus(functions=(FunctionStatus("search", "", 128, 3, 5, (), 4, 5, minute),)))

    assert "4 of 5" in text
    assert row_of("search", text.partition("The last minute")[2]) == ["120", "3", "1", "0", "12.3", "80.0"]


def test_functions_that_did_nothing_are_left_out_of_the_last_minute() -> None:
    text = shown(EngineStatus(functions=(FunctionStatus("search", "", 128, 3),)))

    assert "search" in text
    assert "The last minute" not in text


def test_on_a_narrow_terminal_no_name_and_no_figure_is_cut_off() -> None:
    minute = MinuteStatus(1_234, 1, 0, 3, 12.34, 80.0)
    name = "a-function-whose-name-is-long"
    function = FunctionStatus(name, "python3.12", 10_240, 900, 100, (), 4, 100, minute)

    text = shown(EngineStatus(functions=(function,)), width=80)

    assert "…" not in text
    assert text.count(name) == 2
    assert "4 of 100" in text
    assert row_of(name, text.partition("The last minute")[2]) == ["1234", "3", "1", "0", "12.3", "80.0"]


def test_the_database_queues_topics_and_what_is_tried_again_are_shown() -> None:
    text = shown(
        EngineStatus(
            database=DatabaseStatus(
                "shop", 27, 30, 3, (ConnectionHolder("search", HolderKind.FUNCTION, 20, 18),), refused_last_minute=7
            ),
            queues=(QueueStatus("dead", 2, 0, 0, 61.2, ("work",)),),
            topics=(TopicStatus("news", 2, 5),),
            deliveries_pending={"subscription": 5},
        )
    )

    assert "27 of 30" in text
    assert row_of("refused in the last minute", text) == ["7"]
    assert row_of("news", text) == ["2", "5"]
    assert row_of("dead", text) == ["2", "0", "0", "61", "work"]
    assert "deliveries from" in text
    assert "subscription " in text
