"""The verdict on the terminal. It reads well from 100 columns on; sources are numbered and listed once, at the end."""

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule as Line
from rich.table import Table
from rich.text import Text

from workshape.cli.table import plain_table
from workshape.shape.cost import CostComparison
from workshape.shape.evidence import in_words
from workshape.shape.finding import Finding, Outcome, Severity
from workshape.shape.report.document import EvidenceSummary, FunctionReport, Report
from workshape.shape.verdict import Shape

WIDTH_MIN = 100
"""When the output is not a terminal's: narrower than this the tables wrap too much."""
COLOURS = {Shape.FUNCTION: "green", Shape.WORKER: "blue", Shape.SPLIT: "magenta", Shape.UNKNOWN: "yellow"}
MARKS = {Outcome.PASS: Text("pass", "green"), Outcome.UNKNOWN: Text("unknown", "yellow")}
FAILS = {
    Severity.GATE: Text("FAIL", "bold red"),
    Severity.ASSUMPTION: Text("FAIL", "bold red"),
    Severity.PREFERENCE: Text("FAIL", "bold blue"),
    Severity.FIX: Text("FIX", "bold red"),
    Severity.ADVICE: Text("advice", "magenta"),
}
KIB = 1_024


def show_report(report: Report, console: Console, *, brief: bool) -> None:
    """Print the overview, then each function, then what all of them rest on."""
    if not console.is_terminal:
        console.width = max(WIDTH_MIN, console.width)
    console.print(_overview(report))
    sources = _Sources()
    for function in report.functions:
        console.print()
        _show_function(function, console, sources, brief=brief)
    console.print()
    console.print(Line(style="dim"))
    _show_prices(report, console)
    if not brief:
        sources.show(console)


def _overview(report: Report) -> Table:
    numbers = ("invocations", "observed", "worker is cheaper from")
    table = plain_table(
        f"Verdict on {report.app or 'the app'}", "function", "verdict", "fix first", *numbers, numbers=numbers
    )
    for one in report.functions:
        table.add_row(
            one.function,
            Text(one.verdict.value, f"bold {COLOURS[one.verdict]}"),
            Text(", ".join(label.partition(" ")[0] for label in one.fixes) or "-", "red" if one.fixes else ""),
            f"{one.evidence.invocations:,}",
            "-" if one.evidence.seconds is None else in_words(one.evidence.seconds),
            _crossover(one.costs),
        )
    return table


def _crossover(costs: CostComparison | None) -> str:
    if costs is None:
        return "unknown"
    return "never" if costs.crossover_rate_per_s is None else f"{costs.crossover_rate_per_s:,.3g} requests/s"


def _show_function(one: FunctionReport, console: Console, sources: "_Sources", *, brief: bool) -> None:
    console.print(Line(Text(one.function, "bold"), align="left", style="dim"))
    verdict = Text.assemble(("Verdict: ", "bold"), (one.verdict.value, f"bold {COLOURS[one.verdict]}"))
    if one.fixes and one.verdict is Shape.FUNCTION:
        verdict.append(", once what is wrong is fixed")
    elif one.conditions:
        verdict.append(", on conditions")
    console.print(verdict)
    console.print(_indented(f"{one.reason[:1].upper()}{one.reason[1:]}."))
    _show_list(console, "Missing", one.missing)
    stays = one.verdict in (Shape.FUNCTION, Shape.UNKNOWN)
    fix = "Fix first" if stays else "To be fixed for as long as it is a function"
    _show_findings(console, fix, _failed(one, Severity.FIX))
    _show_list(console, "Provided that", one.conditions)
    if brief:
        return
    _show_list(console, "Decisive rules, the closest first", [", ".join(one.decisive)])
    _show_findings(console, "Advice", _failed(one, Severity.ADVICE))
    _show_list(console, "It flips", dict.fromkeys(flip.statement for flip in one.flips))
    _show_evidence(console, one.evidence)
    console.print()
    console.print(_rules(one, sources))
    skipped = [finding.rule for finding in one.findings if finding.outcome is Outcome.NOT_APPLICABLE]
    if skipped:
        console.print(_indented(f"Not applicable: {', '.join(dict.fromkeys(skipped))}."))
    _show_unknown(console, one.findings)
    if one.costs is not None:
        console.print()
        _show_costs(console, one.costs)


def _failed(one: FunctionReport, severity: Severity) -> list[Finding]:
    return [finding for finding in one.findings if finding.outcome is Outcome.FAIL and finding.severity is severity]


def _show_list(console: Console, title: str, lines: Iterable[str]) -> None:
    lines = [line for line in lines if line]
    if not lines:
        return
    console.print(Text(title, "bold"))
    for line in lines:
        console.print(_item(Text(line)))


def _show_findings(console: Console, title: str, findings: Iterable[Finding]) -> None:
    findings = list(findings)
    if not findings:
        return
    console.print(Text(title, "bold"))
    for finding in findings:
        text = Text.assemble(
            (f"{finding.label}: ", "red" if finding.severity is Severity.FIX else ""), finding.statement
        )
        against = _against(finding)
        if against:
            text.append(f" ({against})")
        if finding.remedy:
            text.append(f"\n→ {finding.remedy}", "italic")
        console.print(_item(text))


def _against(finding: Finding) -> str:
    if finding.value is None or finding.threshold is None:
        return ""
    return f"{_figure(finding.value, finding.unit)}, {finding.bound} {_figure(finding.threshold, finding.unit)}"


def _show_evidence(console: Console, evidence: EvidenceSummary) -> None:
    console.print(Text("Evidence", "bold"))
    if evidence.first is None or evidence.seconds is None or evidence.rate_per_s is None:
        console.print(_item(Text("no invocation was recorded")))
        return
    began = datetime.fromtimestamp(evidence.first, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = [
        f"{evidence.invocations:,} invocations in {in_words(evidence.seconds)} from {began} "
        f"({evidence.rate_per_s:,.3g}/s): {evidence.cold_starts:,} cold starts, {evidence.failed:,} failed, "
        f"{evidence.throttled:,} throttled"
    ]
    peaks = [f"{evidence.concurrency_peak:,} busy", f"{evidence.environments_peak:,} environments alive"]
    if evidence.connections_peak is not None:
        peaks.append(f"{evidence.connections_peak:,} database connections")
    durations = ""
    if evidence.duration_p50_ms is not None and evidence.duration_p99_ms is not None:
        durations = f"; warm p50 {evidence.duration_p50_ms:,.1f} ms, p99 {evidence.duration_p99_ms:,.1f} ms"
    lines.append(f"at most {', '.join(peaks)}{durations}")
    for line in lines:
        console.print(_item(Text(line)))
    for caution in evidence.cautions:
        console.print(_item(Text(caution, "yellow")))


def _rules(one: FunctionReport, sources: "_Sources") -> Table:
    table = Table(title="Rules", title_justify="left", title_style="bold", padding=(0, 1), pad_edge=False, box=None)
    table.add_column("", no_wrap=True, style="dim")
    table.add_column("rule", ratio=1)
    table.add_column("result", no_wrap=True)
    for name in ("value", "threshold", "margin", "source"):
        table.add_column(name, justify="right", no_wrap=True)
    for finding in one.findings:
        if finding.outcome is Outcome.NOT_APPLICABLE:
            continue
        name = finding.name + (f" ({finding.scope})" if finding.scope else "")
        sign = {"at most": "≤ ", "at least": "≥ "}.get(finding.bound, "")
        table.add_row(
            finding.rule,
            name,
            FAILS[finding.severity] if finding.outcome is Outcome.FAIL else MARKS[finding.outcome],
            "-" if finding.value is None else _figure(finding.value, finding.unit),
            "-" if finding.threshold is None else sign + _figure(finding.threshold, finding.unit),
            "-" if finding.margin is None else f"{finding.margin:+.0%}",
            f"[{sources.number(finding.source)}]",
        )
    return table


def _show_unknown(console: Console, findings: Iterable[Finding]) -> None:
    unknown = [finding for finding in findings if finding.outcome is Outcome.UNKNOWN]
    if not unknown:
        return
    console.print()
    console.print(Text("What is not known", "bold"))
    for finding in unknown:
        text = Text.assemble((f"{finding.label}: ", "yellow"), finding.statement)
        text.append(f"; missing: {'; '.join(finding.missing)}.")
        console.print(_item(text))


def _show_costs(console: Console, costs: CostComparison) -> None:
    table = Table(title="Cost a month", title_justify="left", title_style="bold", pad_edge=False, box=None)
    table.add_column("at", ratio=1)
    for name in ("requests/s", "busy", "function", "worker", "tasks", "tasks busy"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in costs.rows:
        table.add_row(
            row.assumption,
            f"{row.rate_per_s:,.3g}",
            f"{row.busy:,.3g}",
            f"${row.function_usd:,.2f}",
            f"${row.worker_usd:,.2f}",
            f"{row.tasks:,}",
            f"{row.utilisation:.0%}",
        )
    console.print(table)
    for assumption in costs.assumptions:
        console.print(_item(Text(assumption, "dim")))


def _show_prices(report: Report, console: Console) -> None:
    if not report.prices:
        return
    console.print(f"Prices: {report.prices_region}, {report.prices_as_of}, on demand.", highlight=False)
    if not report.uncertain_prices:
        console.print("Every price used is known with high confidence.")
    for price in report.uncertain_prices:
        text = Text.assemble((f"{price.confidence.value} confidence: ", "yellow"))
        text.append(f"{price.name}, ${price.usd:g} a {price.unit} ({price.source})")
        console.print(_item(text))


class _Sources:
    """Numbers sources in the order of their first use."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, source: str) -> int:
        return self._numbers.setdefault(source, len(self._numbers) + 1)

    def show(self, console: Console) -> None:
        console.print(Text("Sources", "bold"))
        for source, number in self._numbers.items():
            console.print(Text(f"  [{number}] {source}", "dim"), soft_wrap=True)


def _item(text: Text) -> Padding | Table:
    """A line of a list: what wraps is indented under its beginning."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=2)
    grid.add_column(ratio=1)
    grid.add_row(Text(" -"), text)
    return grid


def _indented(line: str) -> Padding:
    return Padding(Text(line), (0, 0, 0, 2))


def _figure(value: float, unit: str) -> str:
    """Write a value with its unit, to three figures or so; the JSON has it unrounded."""
    if unit == "bytes":
        for size, name in ((KIB * KIB, "MiB"), (KIB, "KiB")):
            if value >= size:
                return f"{value / size:,.3g} {name}"
        return f"{value:,.0f} B"
    if unit == "of invocations":
        return f"{value:.2%}" if value < 0.1 else f"{value:.0%}"
    number = f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.3g}"
    short = {"s": " s", "ms": " ms", "MB": " MB", "requests/s": "/s"}.get(unit, "")
    return f"{number}{short}"
