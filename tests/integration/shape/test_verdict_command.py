"""`workshape verdict` on the records of a run: what it prints, what it writes, how it exits."""

from pathlib import Path

import msgspec
import pytest
import typer
from typer.testing import CliRunner, Result

from tests.fakes.recorded_run import RecordedRun
from workshape.cli.verdict import verdict

app = typer.Typer()
app.command()(verdict)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return RecordedRun(tmp_path_factory.mktemp("run") / "app").write()


def _run(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "100"}).invoke(app, arguments)


def test_every_function_gets_a_verdict_and_the_missing_one_sets_the_exit_status(folder: Path) -> None:
    result = _run(str(folder))

    assert result.exit_code == 2, result.output
    for line in (
        " search                  function  -",
        " idle                    unknown   -",
    ):
        assert line in result.output
    assert " search-direct           function  16, 17" in result.output
    assert " events-duplicates-fail  function  8a, 10a" in result.output
    assert "Missing\n - invocations: none was recorded" in result.output
    assert "Prices: us-east-1, 2026-10, on demand." in result.output
    assert "low confidence: RDS Proxy on Aurora Serverless v2" in result.output


def test_it_reads_well_at_100_columns(folder: Path) -> None:
    result = _run(str(folder))

    lines = [line for line in result.output.splitlines() if "http" not in line]
    assert max(map(len, lines)) <= 100
    assert "…" not in result.output


def test_the_twin_is_caught_and_its_sibling_is_not(folder: Path) -> None:
    twin, sibling = _run(str(folder), "-f", "events-duplicates-fail"), _run(str(folder), "-f", "events")

    assert "20 of 20 messages whose work was done already were reported" in " ".join(twin.output.split())
    assert "20 went to the dead-letter queue" in " ".join(twin.output.split())
    assert "8a   duplicates are not failures                      pass" in sibling.output
    assert (twin.exit_code, sibling.exit_code) == (0, 0)


def test_a_rule_prints_value_threshold_margin_and_source(folder: Path) -> None:
    result = _run(str(folder), "-f", "search-direct")

    row = next(line for line in result.output.splitlines() if line.startswith("16 "))
    assert row.split()[-6:] == ["FIX", "30", "≤", "24", "-25%", row.split()[-1]]
    assert f"{row.split()[-1]} https://docs.aws.amazon.com/AmazonRDS" in result.output


def test_a_burst_is_not_taken_for_a_month_unless_the_rate_is_given(folder: Path) -> None:
    burst = _run(str(folder), "-f", "search")
    busy = _run(str(folder), "-f", "search", "--rate", "search=50")

    assert "a burst is not a month" in burst.output
    assert "if it were held" in burst.output
    assert "Verdict: function, on conditions" in burst.output
    assert "Verdict: worker" in busy.output


def test_the_json_is_unrounded_and_the_same_every_time(folder: Path, tmp_path: Path) -> None:
    first, again = tmp_path / "first.json", tmp_path / "again.json"

    _run(str(folder), "--json", str(first))
    _run(str(folder), "--json", str(again))

    assert first.read_bytes() == again.read_bytes()
    report = msgspec.json.decode(first.read_bytes())
    assert report["schema"] == "workshape.verdict/1"
    search = next(one for one in report["functions"] if one["function"] == "search")
    assert search["evidence"]["duration_p99_ms"] != round(search["evidence"]["duration_p99_ms"], 2)
    assert {finding["rule"] for finding in search["findings"]} >= {"1", "2a", "3a", "13c", "16", "17", "19"}
    assert search["costs"]["crossover_rate_per_s"] == pytest.approx(9.82, abs=0.01)


def test_json_on_standard_output_comes_alone(folder: Path) -> None:
    result = _run(str(folder), "--json", "-")

    assert msgspec.json.decode(result.output.encode())["app"] == "creator-platform"


def test_the_profile_decides_when_a_proxy_is_asked_for(folder: Path) -> None:
    essay = _run(str(folder), "-f", "search-direct", "--brief")
    evidence = _run(str(folder), "-f", "search-direct", "--brief", "--profile", "evidence")

    assert "a function with a relational database goes through a proxy" in " ".join(essay.output.split())
    assert "without one, rule 16 fails" in evidence.output


def test_strict_fails_when_something_is_to_be_fixed(folder: Path) -> None:
    assert _run(str(folder), "-f", "search", "--strict").exit_code == 0
    assert _run(str(folder), "-f", "search-direct", "--strict").exit_code == 3
    assert _run(str(folder), "--strict").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--function", "nobody"), "there is no function nobody in the app file"),
        (("--rate", "search=fast"), "fast is no number"),
        (("--rate", "5"), "write NAME=REQUESTS_PER_S"),
        (("--rate", "search=-1"), "a rate is 0 or more"),
        (("--json", "/nowhere/out.json"), "cannot be written"),
    ],
)
def test_a_mistake_is_told_in_one_line(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    result = _run(str(folder), *arguments)

    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_folder_without_an_app_file_is_told(tmp_path: Path) -> None:
    result = _run(str(tmp_path))

    assert result.exit_code == 1
    assert "There is no workshape.toml" in result.stderr
