"""The text format, as Prometheus' own parser reads it."""

from prometheus_client.parser import text_string_to_metric_families

from workshape.metrics.distribution import Distribution
from workshape.metrics.exposition import Family, counter, exposition, gauge, histogram

ODD = 'a "quoted" \\ name\nof two lines'


def read(*families: Family) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    parsed = text_string_to_metric_families(exposition(families).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parsed
        for sample in family.samples
    }


def test_counters_and_gauges_are_read_as_they_were_written() -> None:
    calls = counter("calls_total", "Calls.", [({"function": "f", "odd": ODD}, 7), ({"function": "g", "odd": ""}, 0)])
    depth = gauge("depth", "Depth.", [({}, 2.5)])

    assert read(calls, depth) == {
        ("calls_total", (("function", "f"), ("odd", ODD))): 7,
        ("calls_total", (("function", "g"), ("odd", ""))): 0,
        ("depth", ()): 2.5,
    }


def test_a_histogram_is_in_seconds_and_cumulative() -> None:
    measured = Distribution()
    for milliseconds in (1.0, 40.0, 40.0, 700.0, 9_000.0):
        measured.add(milliseconds)

    found = read(histogram("took_seconds", "Took.", [({"function": "f"}, measured)], (0.05, 1.0)))

    of_f = (("function", "f"),)
    assert found == {
        ("took_seconds_bucket", (*of_f, ("le", "0.05"))): 3,
        ("took_seconds_bucket", (*of_f, ("le", "1"))): 4,
        ("took_seconds_bucket", (*of_f, ("le", "+Inf"))): 5,
        ("took_seconds_count", of_f): 5,
        ("took_seconds_sum", of_f): 9.781,
    }


def test_a_family_without_figures_is_left_out() -> None:
    assert exposition([gauge("depth", "Depth.", [])]) == b"\n"
