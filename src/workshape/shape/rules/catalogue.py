"""All rules, in the order of their numbers."""

from collections.abc import Callable, Iterator

from workshape.shape.case import Case
from workshape.shape.finding import Finding
from workshape.shape.rules.database import database_findings
from workshape.shape.rules.event_shape import event_shape_findings
from workshape.shape.rules.gates import gate_findings
from workshape.shape.rules.latency import latency_findings
from workshape.shape.rules.price import price_findings
from workshape.shape.rules.settings import setting_findings

FAMILIES: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    gate_findings,
    event_shape_findings,
    latency_findings,
    database_findings,
    setting_findings,
    price_findings,
)


def all_findings(case: Case) -> tuple[Finding, ...]:
    """What every rule says about a case."""
    return tuple(finding for family in FAMILIES for finding in family(case))
