"""`workshape verdict`: function or worker, for each function of an app, from the records of its runs."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from workshape.app.model import App, Function, Queue
from workshape.app.toml import APP_FILE_NAME, load_app
from workshape.cli.errors import reported
from workshape.cli.verdict_view import show_report
from workshape.errors import CallerError, Invalid
from workshape.functions.item_records import read_item_facts
from workshape.functions.records import InvocationRecord, read_records
from workshape.run import StateFolder
from workshape.settings import Settings
from workshape.shape.evidence import gather_evidence
from workshape.shape.observations import CONNECTIONS_FOLDER_NAME, ConnectionSample, Observation
from workshape.shape.report.document import Report, write_report
from workshape.shape.report.json import encode_report
from workshape.shape.verdict import Shape, judge
from workshape.shape.work import Profile, QueueSource, Surroundings, WorkDescription
from workshape.store.json_lines import read_json_lines

UNKNOWN = 2
FIX_FIRST = 3


class NoFunctions(CallerError):
    """{file} in {folder} has no functions, and the verdict is about those: add [functions.NAME]."""

    file: str
    folder: str


class NoAppFile(CallerError):
    """There is no {file} in {folder}: the verdict is about the functions of an app."""

    file: str
    folder: str


@reported
def verdict(
    folder: Annotated[Path, typer.Argument(help="Where the app file and its .workshape/ are.")] = Path(),
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the report there too, unrounded; - for standard output alone.")
    ] = None,
    profile: Annotated[
        Profile, typer.Option(help="When a proxy is asked for: always with a database, or when connections need it.")
    ] = Profile.ESSAY,
    function: Annotated[
        list[str] | None, typer.Option("--function", "-f", help="Only this one; may be given again.")
    ] = None,
    rate: Annotated[
        list[str] | None,
        typer.Option(help="NAME=REQUESTS_PER_S, a month's mean: what a short run cannot tell. May be given again."),
    ] = None,
    brief: Annotated[bool, typer.Option("--brief", help="The overview and what is wrong, not every rule.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit status 3 when something is to be fixed first.")
    ] = False,
) -> None:
    """Say of each function whether it should be a function or a worker, and why.

    Exit status: 0 a verdict for every function; 1 an error; 2 for some function the facts that decide are missing;
    3 with --strict, when something is to be fixed first (2 goes before 3).
    """
    try:
        app, settings = load_app(folder)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoAppFile(file=APP_FILE_NAME, folder=str(folder)) from error
    if not app.functions:
        raise NoFunctions(file=APP_FILE_NAME, folder=str(folder))
    report = judge_app(app, settings, StateFolder.of(folder).records, profile, function or [], _rates(app, rate or []))
    if json_file is not None:
        _write(json_file, encode_report(report))
    if json_file is None or str(json_file) != "-":
        show_report(report, Console(), brief=brief)
    if any(one.verdict is Shape.UNKNOWN for one in report.functions):
        raise typer.Exit(UNKNOWN)
    if strict and any(one.fixes for one in report.functions):
        raise typer.Exit(FIX_FIRST)


def judge_app(
    app: App, settings: Settings, records: Path, profile: Profile, names: Sequence[str], rates: Mapping[str, float]
) -> Report:
    """Read what runs have left in the records' folder, and judge the functions of those names, or all.

    Raises:
        Invalid: there is no function of such a name.
    """
    for name in names:
        if app.function(name) is None:
            raise Invalid(reason=f"there is no function {name} in the app file")
    invocations = read_records(records)
    observations: dict[str, list[Observation]] = defaultdict(list)
    for record in invocations:
        observations[record.function].append(msgspec.convert(record, Observation, from_attributes=True))
    facts = read_item_facts(records)
    samples = list(read_json_lines(records / CONNECTIONS_FOLDER_NAME, ConnectionSample))
    with_database = {one.name for one in app.functions if one.database is not None}
    windows = _busy_windows(invocations, with_database)
    around = _surroundings(app, settings, profile)
    verdicts = []
    for one in app.functions:
        if not names or one.name in names:
            work = _work(app, one, rates.get(one.name))
            own_samples = samples if work.database is not None else []
            evidence = gather_evidence(work, observations[one.name], facts, own_samples, windows)
            verdicts.append(judge(work, evidence, around))
    return write_report(app.name, profile.value, verdicts)


def _busy_windows(records: Iterable[InvocationRecord], names: set[str]) -> dict[str, tuple[float, float]]:
    windows: dict[str, tuple[float, float]] = {}
    for one in records:
        if one.function in names:
            ended_at = one.time + one.duration_ms / 1_000
            first, last = windows.get(one.function, (one.time, ended_at))
            windows[one.function] = (min(first, one.time), max(last, ended_at))
    return windows


def _surroundings(app: App, settings: Settings, profile: Profile) -> Surroundings:
    database = app.database
    return Surroundings(
        account_concurrency=settings.functions.account_concurrency,
        reserved_concurrency_total=sum(one.reserved_concurrency or 0 for one in app.functions),
        max_connections=database.max_connections if database is not None and database.url is None else None,
        borrow_timeout_s=settings.proxy.connection_borrow_timeout_s,
        idle_client_timeout_s=settings.proxy.idle_client_timeout_s,
        profile=profile,
    )


def _work(app: App, function: Function, rate_per_s: float | None) -> WorkDescription:
    queues = {queue.name: queue for queue in app.queues}
    sources = []
    for mapping in app.mappings:
        if mapping.function == function.name:
            queue = queues.get(mapping.queue, Queue(mapping.queue))
            sources.append(
                QueueSource(
                    queue=queue.name,
                    batch_size=mapping.batch_size,
                    batch_window_s=mapping.batch_window_s,
                    report_batch_item_failures=mapping.report_batch_item_failures,
                    visibility_timeout_s=queue.visibility_timeout_s,
                    concurrency_max=mapping.concurrency_max,
                    receive_count_max=queue.redrive.receive_count_max if queue.redrive is not None else None,
                )
            )
    return WorkDescription(
        name=function.name,
        runtime=function.runtime,
        memory_mb=function.memory_mb,
        timeout_s=function.timeout_s,
        reserved_concurrency=function.reserved_concurrency,
        queues=tuple(sources),
        route_timeouts_s=tuple(route.timeout_s for route in app.routes if route.function == function.name),
        database=function.database,
        latency_p99_ms=function.latency_p99_ms,
        rate_per_s=rate_per_s,
    )


def _rates(app: App, options: Sequence[str]) -> dict[str, float]:
    rates = {}
    for option in options:
        name, _, number = option.rpartition("=")
        if app.function(name) is None:
            raise Invalid(reason=f"--rate {option}: write NAME=REQUESTS_PER_S, with the name of a function of the app")
        try:
            rates[name] = float(number)
        except ValueError as error:
            raise Invalid(reason=f"--rate {option}: {number} is no number") from error
        if not 0 <= rates[name] < float("inf"):
            raise Invalid(reason=f"--rate {option}: a rate is 0 or more")
    return rates


def _write(path: Path, data: bytes) -> None:
    if str(path) == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        path.write_bytes(data)
    except OSError as error:
        raise Invalid(reason=f"{path} cannot be written: {error.strerror}") from error
