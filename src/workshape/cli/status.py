"""`workshape status`: what runs, and how it is doing."""

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workshape.alarms import Alarm, alarms
from workshape.cli.admin import (
    EndpointOption,
    FolderOption,
    engine_status,
    find_running,
    proxy_figures,
    proxy_status,
)
from workshape.cli.errors import reported
from workshape.cli.table import plain_table
from workshape.errors import BackendUnavailable
from workshape.run import RunFile, is_running
from workshape.status import (
    EngineStatus,
    EnvironmentStatus,
    Figures,
    ProxyStatus,
    ScheduleStatus,
)


@reported
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    folder: FolderOption = Path(),
    endpoint: EndpointOption = None,
) -> None:
    """Show parts, functions and their environments, queues, mappings, rules, schedules and the proxy's figures."""
    running = find_running(folder, endpoint)
    engine = engine_status(running)
    figures, proxy, unknown = _proxy(running.run)
    wrong = alarms(engine, proxy, unknown)
    if as_json:
        whole = {
            "endpoint": running.endpoint,
            "console": None if running.run is None else running.run.console,
            "alarms": msgspec.to_builtins(wrong),
            "parts": _parts(running.run),
            **msgspec.to_builtins(engine),
            "proxy": figures,
        }
        sys.stdout.write(f"{msgspec.json.format(msgspec.json.encode(whole), indent=2).decode()}\n")
        return
    console = Console()
    if running.run is not None:
        console.print(Text.assemble(("console  ", "bold cyan"), running.run.console))
    for table in (*alarm_tables(wrong), *tables(running.run, engine, figures)):
        console.print(table)


def _proxy(run: RunFile | None) -> tuple[Figures, ProxyStatus | None, str]:
    """Ask the proxy; when it does not answer, which is worth an alarm, say why."""
    if run is None:
        return {}, None, ""
    try:
        return proxy_figures(run), proxy_status(run), ""
    except BackendUnavailable as error:
        return {}, None, str(error)


def alarm_tables(wrong: Sequence[Alarm]) -> list[Table]:
    """Lay out what is wrong; nothing, when nothing is."""
    rows = [(alarm.severity.value, alarm.what, alarm.remedy) for alarm in wrong]
    return [_table("Alarms", ("", "what", "what helps"), rows)] if rows else []


def tables(run: RunFile | None, engine: EngineStatus, figures: Figures) -> list[Table]:
    """Lay everything out; what there is none of is left out."""
    made = [
        _table("Parts", ("part", "process", "state"), [tuple(part.values()) for part in _parts(run)]),
        _functions(engine),
        _last_minute(engine),
        _database(engine),
        _queues(engine),
        _table(
            "Event source mappings",
            ("source", "function", "batch", "state", "last result"),
            [
                (mapping.source, mapping.function, mapping.batch_size, mapping.state, mapping.last_processing_result)
                for mapping in engine.mappings
            ],
        ),
        _table(
            "Topics",
            ("topic", "subscriptions", "tried again"),
            [(topic.name, topic.subscriptions, topic.deliveries_pending) for topic in engine.topics],
        ),
        _table("Tried again", ("deliveries from", "how many"), list(engine.deliveries_pending.items())),
        _table(
            "Routes",
            ("route", "function", "answers"),
            [(route.route, route.function, _answers(route.answers)) for route in engine.routes],
        ),
        *_timed(engine),
        _table(
            "Proxies of RDS's API",
            ("proxy", "endpoints", "status", "database", "clients", "connections"),
            [
                (
                    one.name,
                    ", ".join(f"{name} {address}" for name, address in one.endpoints.items()),
                    one.status,
                    one.target or "none registered",
                    one.clients,
                    one.database_connections,
                )
                for one in engine.proxies
            ],
        ),
        _table("Proxy", ("figure", "value"), [(name, _rounded(value)) for name, value in sorted(figures.items())]),
    ]
    return [table for table in made if table.row_count]


def _functions(engine: EngineStatus) -> Table:
    rows = [
        (
            function.name,
            function.runtime or "image",
            f"{function.concurrency:,} of {function.limit:,}"
            + (" shared" if function.reserved_concurrency is None else ""),
            _states([_state(environment) for environment in function.environments]),
        )
        for function in engine.functions
    ]
    return _table("Functions", ("function", "runtime", "running", "environments"), rows)


def _last_minute(engine: EngineStatus) -> Table:
    """Lay out what functions did; those that did nothing are left out."""
    rows = [
        (
            function.name,
            minute.invocations,
            minute.cold_starts,
            minute.errors,
            minute.throttles,
            _milliseconds(minute.p50_ms),
            _milliseconds(minute.p99_ms),
        )
        for function in engine.functions
        if (minute := function.last_minute).invocations or minute.throttles
    ]
    columns = ("function", "invoked", "cold", "failed", "refused", "p50 ms", "p99 ms")
    return _table("The last minute", columns, rows)


def _database(engine: EngineStatus) -> Table:
    database, rows = engine.database, list[tuple[object, ...]]()
    if database is not None:
        rows += [(one.name, one.connections, one.idle) for one in database.holders]
        rows.append(("all, of all there can be", f"{database.connections} of {database.max_connections}", ""))
        if database.refused_last_minute is not None:
            rows.append(("refused in the last minute", database.refused_last_minute, ""))
    return _table("Database", ("who", "connections", "idle"), rows)


def _queues(engine: EngineStatus) -> Table:
    rows = [
        (
            queue.name,
            queue.visible,
            queue.in_flight,
            queue.delayed,
            "-" if queue.oldest_s is None else round(queue.oldest_s),
            ", ".join(queue.dead_letters_of) or "-",
        )
        for queue in engine.queues
    ]
    return _table("Queues", ("queue", "visible", "in flight", "delayed", "oldest s", "dead letters of"), rows)


def _timed(engine: EngineStatus) -> list[Table]:
    """Lay out what runs at times."""
    rules = [
        (rule.bus, rule.name, rule.schedule or "-", _targets(rule.targets), _next_run(rule.state, rule.next_run_at))
        for rule in engine.rules
    ]
    schedules = [
        (_name(one), _expression(one), _short(one.target), _next_run(one.state, one.next_run_at))
        for one in engine.schedules
    ]
    return [
        _table("Rules", ("bus", "rule", "schedule", "targets", "next run"), rules),
        _table(_schedules_title(engine), ("schedule", "expression", "target", "next run"), schedules),
    ]


def _parts(run: RunFile | None) -> list[dict[str, Any]]:
    if run is None:
        return []
    marks = (run.supervisor, *run.children)
    return [{"name": mark.name, "pid": mark.pid, "state": "running" if is_running(mark) else "down"} for mark in marks]


def _milliseconds(value: float | None) -> float | str:
    return "-" if value is None else round(value) if value >= 100 else round(value, 1)


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


def _are_numbers(cells: Sequence[Any]) -> bool:
    known = [cell for cell in cells if cell != "-"]
    return bool(known) and all(isinstance(cell, int | float) for cell in known)


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Table:
    numbers = {column for index, column in enumerate(columns) if _are_numbers([row[index] for row in rows])}
    table = plain_table(title, *columns, numbers=numbers)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    return table
