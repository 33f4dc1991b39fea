"""`workshape status`: what runs, and how it is doing."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from workshape.cli.admin import EndpointOption, FolderOption, engine_status, find_running, proxy_figures
from workshape.cli.errors import reported
from workshape.run import RunFile, is_running
from workshape.status import EngineStatus, EnvironmentStatus, Figures, ScheduleStatus


@reported
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    folder: FolderOption = Path(),
    endpoint: EndpointOption = None,
) -> None:
    """Show parts, functions and their environments, queues, mappings, rules, schedules and the proxy's figures."""
    running = find_running(folder, endpoint)
    engine = engine_status(running)
    figures = proxy_figures(running.run) if running.run is not None else {}
    if as_json:
        whole = {
            "endpoint": running.endpoint,
            "parts": _parts(running.run),
            **msgspec.to_builtins(engine),
            "proxy": figures,
        }
        sys.stdout.write(f"{msgspec.json.format(msgspec.json.encode(whole), indent=2).decode()}\n")
        return
    console = Console()
    for table in tables(running.run, engine, figures):
        console.print(table)


def tables(run: RunFile | None, engine: EngineStatus, figures: Figures) -> list[Table]:
    """Lay everything out; what there is none of is left out."""
    made = [
        _table("Parts", ("part", "process", "state"), [tuple(part.values()) for part in _parts(run)]),
        _table(
            "Functions",
            ("function", "runtime", "memory MB", "timeout s", "reserved", "environments"),
            [
                (
                    function.name,
                    function.runtime or "image",
                    function.memory_mb,
                    function.timeout_s,
                    "-" if function.reserved_concurrency is None else function.reserved_concurrency,
                    _states([_state(environment) for environment in function.environments]),
                )
                for function in engine.functions
            ],
        ),
        _table(
            "Queues",
            ("queue", "visible", "in flight", "delayed"),
            [(queue.name, queue.visible, queue.in_flight, queue.delayed) for queue in engine.queues],
        ),
        _table(
            "Event source mappings",
            ("source", "function", "batch", "state", "last result"),
            [
                (mapping.source, mapping.function, mapping.batch_size, mapping.state, mapping.last_processing_result)
                for mapping in engine.mappings
            ],
        ),
        _table(
            "Routes",
            ("route", "function", "answers"),
            [(route.route, route.function, _answers(route.answers)) for route in engine.routes],
        ),
        _table(
            "Rules",
            ("bus", "rule", "schedule", "targets", "next run"),
            [
                (
                    rule.bus,
                    rule.name,
                    rule.schedule or "-",
                    _targets(rule.targets),
                    _next_run(rule.state, rule.next_run_at),
                )
                for rule in engine.rules
            ],
        ),
        _table(
            _schedules_title(engine),
            ("schedule", "expression", "target", "next run"),
            [
                (_name(one), _expression(one), _short(one.target), _next_run(one.state, one.next_run_at))
                for one in engine.schedules
            ],
        ),
        _table("Proxy", ("figure", "value"), [(name, _rounded(value)) for name, value in sorted(figures.items())]),
    ]
    return [table for table in made if table.row_count]


def _parts(run: RunFile | None) -> list[dict[str, Any]]:
    if run is None:
        return []
    marks = (run.supervisor, *run.children)
    return [{"name": mark.name, "pid": mark.pid, "state": "running" if is_running(mark) else "down"} for mark in marks]


def _state(environment: EnvironmentStatus) -> str:
    return f"provisioned {environment.state}" if environment.provisioned else environment.state


def _states(states: list[str]) -> str:
    """Count alike: `3 provisioned idle, 1 busy`."""
    if not states:
        return "none"
    return ", ".join(f"{states.count(state)} {state.lower()}" for state in dict.fromkeys(states))


def _rounded(value: float | str | None) -> float | str | None:
    return round(value) if isinstance(value, float) else value


def _answers(answers: dict[int, int]) -> str:
    """By status: `200: 12, 503: 1`."""
    return ", ".join(f"{status}: {count}" for status, count in sorted(answers.items())) or "none"


def _targets(arns: tuple[str, ...]) -> str:
    return ", ".join(_short(arn) for arn in arns) or "none"


def _short(arn: str) -> str:
    """Name what an ARN names without saying where: `function:ship`, `sqs:audit`."""
    _, _, service, _, _, resource = arn.split(":", 5)
    return resource if service in ("lambda", "events", "scheduler") else f"{service}:{resource}"


def _next_run(state: str, at: float | None) -> str:
    """Write a time by the machine's clock, or why there is none."""
    if state == "DISABLED":
        return "disabled"
    return "-" if at is None else datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def _name(schedule: ScheduleStatus) -> str:
    """Name a schedule, with its group where that is not the default one."""
    return schedule.name if schedule.group == "default" else f"{schedule.group}/{schedule.name}"


def _expression(schedule: ScheduleStatus) -> str:
    """Write when it is due, and by which clock where that is not UTC's."""
    return schedule.expression if schedule.time_zone == "UTC" else f"{schedule.expression} {schedule.time_zone}"


def _schedules_title(engine: EngineStatus) -> str:
    shown, total = len(engine.schedules), engine.schedules_total
    return "Schedules" if shown == total else f"Schedules (the {shown} soonest of {total:,})"


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    return table
