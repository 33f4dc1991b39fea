"""Figures as Prometheus scrapes them: the text exposition format. A core.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from workshape.metrics.distribution import Distribution

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Family:
    """All figures of one name."""

    name: str
    help: str
    kind: str
    """`counter`, `gauge` or `histogram`."""
    lines: Sequence[str]


def counter(name: str, help: str, values: Iterable[tuple[Labels, float]]) -> Family:  # noqa: A002 - the format's word
    """A figure that only grows while the process lives; its name ends in `_total`."""
    return Family(name, help, "counter", [_line(name, labels, value) for labels, value in values])


def gauge(name: str, help: str, values: Iterable[tuple[Labels, float]]) -> Family:  # noqa: A002 - the format's word
    """A figure that comes and goes."""
    return Family(name, help, "gauge", [_line(name, labels, value) for labels, value in values])


def histogram(
    name: str,
    help: str,  # noqa: A002 - the format's word
    values: Iterable[tuple[Labels, Distribution]],
    bounds_s: Sequence[float],
    *,
    per_second: int = 1_000,
) -> Family:
    """Seconds, out of distributions of milliseconds, or whatever else a second has `per_second` of.

    A value within 2 % above a bound may count as below it.
    """
    lines = []
    for labels, measured in values:
        counts = measured.counts_up_to([bound * per_second for bound in bounds_s])
        for bound, count in zip(bounds_s, counts, strict=True):
            lines.append(_line(f"{name}_bucket", {**labels, "le": f"{bound:g}"}, count))
        lines.append(_line(f"{name}_bucket", {**labels, "le": "+Inf"}, measured.count))
        lines.append(_line(f"{name}_sum", labels, measured.total / per_second))
        lines.append(_line(f"{name}_count", labels, measured.count))
    return Family(name, help, "histogram", lines)


def exposition(families: Iterable[Family]) -> bytes:
    """Write families; those without figures are left out."""
    parts = []
    for family in families:
        if family.lines:
            parts += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}", *family.lines]
    return ("\n".join(parts) + "\n").encode()


def _line(name: str, labels: Labels, value: float) -> str:
    shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{shown}}} {value!r}" if shown else f"{name} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
