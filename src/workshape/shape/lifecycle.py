"""How long environments live and take to start on AWS: undocumented, so measured by others; each figure is cited."""

from dataclasses import dataclass

KEEP_ALIVE_S_LOW = 637.0
"""An idle environment is kept about this long at low rates.

Source: traces of the SimFaaS project, 28-hour Poisson loads on AWS Lambda, 2020: the longest idle times survived at
0.002 to 0.006 requests/s are 628 to 654 s. https://github.com/pacslab/simfaas
"""
KEEP_ALIVE_S_HIGH = 1_100.0
"""And about this long above 0.05 requests/s: 99.9 % of the idle times survived there end at 900 to 1,170 s. Same."""
AGE_S_MAX = 7_200.0
"""No environment was seen to live longer than about two hours (2.05 h at most). Same source."""


@dataclass(frozen=True, slots=True)
class InitDuration:
    """Init Duration of a function that does nothing, from a zip archive on x86_64; yours adds what it imports."""

    p50_ms: float
    p99_ms: float


INIT_SOURCE = "https://maxday.github.io/lambda-perf/ (60 days to 2026-08)"
INIT_DURATIONS = {
    "nodejs20.x": InitDuration(143.0, 210.0),
    "nodejs22.x": InitDuration(143.0, 211.0),
    "nodejs24.x": InitDuration(137.0, 229.0),
    "python3.9": InitDuration(77.0, 122.0),
    "python3.10": InitDuration(77.0, 133.0),
    "python3.11": InitDuration(79.0, 136.0),
    "python3.12": InitDuration(85.0, 141.0),
    "python3.13": InitDuration(87.0, 205.0),
    "python3.14": InitDuration(113.0, 271.0),
}
"""By runtime; the median p50 and the highest p99 of 128 to 1,024 MB, about 590 cold starts each.

Source: https://maxday.github.io/lambda-perf/, 60 days to 2026-08
"""
