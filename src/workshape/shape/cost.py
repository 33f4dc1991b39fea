"""What a month costs in either shape, and at which rate the cheaper one changes.

Counted: Lambda's requests and GB-seconds with the init phase, Fargate's vCPU and memory hours. Left out, because both
shapes need them or nothing measured says how much: API Gateway or a load balancer, queues, logs, NAT, data transfer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, floor

from workshape.shape import prices
from workshape.shape.laws import busy, cold_share
from workshape.shape.lifecycle import AGE_S_MAX, KEEP_ALIVE_S_LOW

HOURS = 730.0
"""Of a month, as AWS's calculator has it: 8,760 / 12."""
MONTH_S = HOURS * 3_600.0
MB_PER_VCPU = 1_769.0
"""Lambda gives one vCPU at this much memory, and less in proportion.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
"""
TASKS_MIN = 2
"""A worker that may not stop runs in two availability zones: the most sensitive figure of all of these."""
UTILISATION_MAX = 0.7
"""How busy a worker's tasks are planned to be; the rest is for bursts. Our assumption, printed with every cost."""
TASKS_MAX = 1_000
"""Bound of the search for a crossover."""

TASK_SIZES = (
    (0.25, (0.5, 1.0, 2.0)),
    (0.5, (1.0, 2.0, 3.0, 4.0)),
    (1.0, (2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)),
    (2.0, tuple(float(gb) for gb in range(4, 17))),
    (4.0, tuple(float(gb) for gb in range(8, 31))),
    (8.0, tuple(float(gb) for gb in range(16, 61, 4))),
)
"""vCPU, and the GB it goes with. Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html"""


@dataclass(frozen=True, slots=True)
class FunctionCost:
    """What one invocation of a function needs."""

    memory_mb: int
    warm_ms: float
    """Billed duration without the init phase, mean."""
    init_ms: float
    """Init phase of a cold start, mean."""

    def month_usd(self, rate_per_s: float) -> float:
        """Price a month at a steady rate: what is billed, cold starts at their share included."""
        total, rest = rate_per_s * MONTH_S * prices.LAMBDA_REQUEST.usd, self.month_gb_s(rate_per_s)
        for size, price in prices.LAMBDA_TIERS:
            total += min(rest, size) * price.usd
            rest = max(0.0, rest - size)
        return total

    def month_gb_s(self, rate_per_s: float) -> float:
        """GB-seconds a month."""
        return rate_per_s * MONTH_S * self.billed_s(rate_per_s) * self.memory_mb / 1_024

    def invocation_usd(self, rate_per_s: float) -> float:
        """Price one invocation among others at that rate, in the first tier."""
        gb_s = self.billed_s(rate_per_s) * self.memory_mb / 1_024
        return prices.LAMBDA_REQUEST.usd + gb_s * prices.LAMBDA_GB_S.usd

    def billed_s(self, rate_per_s: float) -> float:
        """Mean billed duration: the init phase is billed since 2025-08-01.

        Source: https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase/
        """
        share = cold_share(rate_per_s, self.warm_ms / 1_000, KEEP_ALIVE_S_LOW, AGE_S_MAX)
        return (self.warm_ms + share * self.init_ms) / 1_000


@dataclass(frozen=True, slots=True)
class WorkerCost:
    """The Fargate task that does the same work, and how much of it at once."""

    vcpu: float
    memory_gb: float
    in_flight: float
    """How many of the function's invocations one task does at once."""
    duration_s: float

    @property
    def task_month_usd(self) -> float:
        """Price one task."""
        hourly = self.vcpu * prices.FARGATE_VCPU_H.usd + self.memory_gb * prices.FARGATE_GB_H.usd
        return hourly * HOURS

    def tasks(self, rate_per_s: float) -> int:
        """How many are needed: two at least, then enough to stay within the utilisation."""
        return max(TASKS_MIN, ceil(busy(rate_per_s, self.duration_s) / (self.in_flight * UTILISATION_MAX)))

    def month_usd(self, rate_per_s: float) -> float:
        """Price a month at a steady rate."""
        return self.tasks(rate_per_s) * self.task_month_usd

    def rate_max(self, tasks: int) -> float:
        """The rate that many tasks carry."""
        return tasks * self.in_flight * UTILISATION_MAX / self.duration_s


@dataclass(frozen=True, slots=True)
class CostRow:
    """Both shapes at one rate."""

    assumption: str
    rate_per_s: float
    busy: float
    function_usd: float
    worker_usd: float
    tasks: int
    utilisation: float
    """How busy those tasks are."""


@dataclass(frozen=True, slots=True)
class CostComparison:
    """Both shapes, at every rate worth looking at."""

    rows: tuple[CostRow, ...]
    crossover_rate_per_s: float | None
    """The worker is cheaper from this rate on; None: at no rate."""
    function: FunctionCost
    worker: WorkerCost
    assumptions: tuple[str, ...]


def worker_for(memory_mb: int, duration_s: float, in_flight_per_slot: float) -> WorkerCost:
    """Choose the smallest task with the function's memory and its share of a vCPU, and fill it with such slots."""
    vcpu_needed = memory_mb / MB_PER_VCPU
    vcpu, memory_gb = next(
        (vcpu, gb) for vcpu, sizes in TASK_SIZES for gb in sizes if vcpu >= vcpu_needed and gb * 1_024 >= memory_mb
    )
    slots = max(1, floor(min(vcpu / vcpu_needed, memory_gb * 1_024 / memory_mb)))
    return WorkerCost(vcpu, memory_gb, slots * in_flight_per_slot, duration_s)


def compare(
    function: FunctionCost, worker: WorkerCost, rates: Sequence[tuple[str, float]], assumptions: tuple[str, ...]
) -> CostComparison:
    """Price both shapes at the named rates, and find where the cheaper one changes."""
    crossover = crossover_rate(function, worker)
    named = [*rates]
    if crossover is not None:
        named.append(("the two cost the same", crossover))
    rows = tuple(_row(name, rate, function, worker) for name, rate in named)
    return CostComparison(rows, crossover, function, worker, assumptions)


def crossover_rate(function: FunctionCost, worker: WorkerCost) -> float | None:
    """The lowest rate at which the worker costs no more than the function; None when there is none.

    The worker's price is a staircase, a step for each task, and the function's a line through the origin: on the n-th
    step they meet where the line reaches the step's height, if that is before the step ends.
    """
    carried = [0.0 if tasks < TASKS_MIN else worker.rate_max(tasks) for tasks in range(TASKS_MIN - 1, TASKS_MAX + 1)]
    warm_usd = replace(function, init_ms=0.0).invocation_usd(1.0)
    for tasks, (start, end) in enumerate(pairwise(carried), TASKS_MIN):
        step_usd = tasks * worker.task_month_usd / MONTH_S
        rate = step_usd / warm_usd
        if rate > end:
            continue
        for _ in range(3):  # the share of cold starts depends on the rate, weakly: this settles at once
            rate = step_usd / function.invocation_usd(rate)
        return max(rate, start)
    return None


def provisioned_month_usd(environments: int, memory_mb: int) -> float:
    """Price of keeping environments provisioned for a month, invocations apart."""
    return environments * memory_mb / 1_024 * prices.LAMBDA_PROVISIONED_GB_S.usd * MONTH_S


def proxy_month_usd() -> tuple[float, float]:
    """The least that RDS Proxy costs a month: on instances (2 vCPU), on Aurora Serverless v2 (8 ACU)."""
    return 2 * prices.RDS_PROXY_VCPU_H.usd * HOURS, 8 * prices.RDS_PROXY_ACU_H.usd * HOURS


def _row(assumption: str, rate_per_s: float, function: FunctionCost, worker: WorkerCost) -> CostRow:
    load = busy(rate_per_s, worker.duration_s)
    tasks = worker.tasks(rate_per_s)
    return CostRow(
        assumption=assumption,
        rate_per_s=rate_per_s,
        busy=load,
        function_usd=function.month_usd(rate_per_s),
        worker_usd=worker.month_usd(rate_per_s),
        tasks=tasks,
        utilisation=load / (tasks * worker.in_flight),
    )
