"""What is told of provisioned concurrency."""

from hypothesis import given
from hypothesis import strategies as st

from workshape.functions.actions import Dispatch, Start
from workshape.functions.model import FunctionName, FunctionVersion, RequestId
from workshape.functions.provisioned import ProvisionedUse
from workshape.functions.provisioned_metrics import ProvisionedResource, provisioned_points
from workshape.functions.scheduler import Scheduler
from workshape.metrics.distribution import Distribution
from workshape.metrics.metric import Point
from workshape.settings import FunctionSettings

AT = 1_700_000_000.0
F, G = FunctionName("f"), FunctionName("g")


def use(function: FunctionName, version: str, *, busy: int, invocations: int, spillovers: int = 0) -> ProvisionedUse:
    return ProvisionedUse(function, version, 4, busy, invocations, spillovers)


def found(points: list[Point], name: str, **dimensions: str) -> Distribution:
    [point] = [point for point in points if point.metric.name == name and dict(point.metric.dimensions) == dimensions]
    return point.values


def test_each_version_and_alias_tells_what_it_was_used_for_and_so_do_function_and_account() -> None:
    resources = [ProvisionedResource(F, "1", ("1",)), ProvisionedResource(G, "live", ("2", "3"))]
    uses = {
        (F, "1"): use(F, "1", busy=3, invocations=7, spillovers=2),
        (G, "2"): use(G, "2", busy=1, invocations=4),
        (G, "3"): use(G, "3", busy=2, invocations=0),
    }

    points = provisioned_points(resources, uses, AT)

    one = {"FunctionName": "f", "Resource": "f:1"}
    live = {"FunctionName": "g", "Resource": "g:live"}
    assert found(points, "ProvisionedConcurrentExecutions", **one).maximum == 3
    assert found(points, "ProvisionedConcurrencyUtilization", **one).maximum == 3 / 4
    assert found(points, "ProvisionedConcurrencyInvocations", **one).total == 7
    assert found(points, "ProvisionedConcurrencySpilloverInvocations", **one).total == 2
    assert found(points, "ProvisionedConcurrentExecutions", **live).maximum == 3
    assert found(points, "ProvisionedConcurrencyUtilization", **live).maximum == 3 / 8
    assert found(points, "ProvisionedConcurrencyInvocations", FunctionName="g").total == 4
    assert found(points, "ProvisionedConcurrencyInvocations").total == 11
    assert found(points, "ProvisionedConcurrencySpilloverInvocations", **live).total == 0


def test_what_is_not_allocated_yet_has_no_utilization() -> None:
    points = provisioned_points([ProvisionedResource(F, "1", ("1",))], {}, AT)

    assert {point.metric.name for point in points} == {
        "ProvisionedConcurrentExecutions",
        "ProvisionedConcurrencyInvocations",
        "ProvisionedConcurrencySpilloverInvocations",
    }


def test_an_account_without_provisioned_concurrency_has_no_such_metrics() -> None:
    assert provisioned_points([], {}, AT) == []


@given(st.lists(st.sampled_from(["invoke", "finish", "take"]), max_size=40))
def test_every_invocation_is_told_of_once_and_the_peak_is_the_most_at_once(steps: list[str]) -> None:
    core = Scheduler(FunctionSettings(), 0.0)
    version = FunctionVersion(F, "1", "arn:f", "python3.12", "a.b", "/code", 128, 3, "r1")
    for action in core.provision(version, 3, 0.0, reserved=False):
        assert isinstance(action, Start)
        core.became_ready(action.environment, 0.0)
    [allocation] = core.allocations()
    running: list[Dispatch] = []
    told = begun = peak = 0

    for number, step in enumerate(steps):
        if step == "invoke" and len(running) < 3:
            actions = core.invoke(version, RequestId(str(number)), None, 0, 1.0)
            running += [action for action in actions if isinstance(action, Dispatch)]
            begun, peak = begun + 1, max(peak, len(running))
        elif step == "finish" and running:
            done = running.pop()
            core.settled(done.environment, done.request)
            core.became_ready(done.environment, 2.0)
        elif step == "take":
            taken = allocation.take_use()
            assert (taken.busy_peak, taken.allocated) == (peak, 3)
            told, peak = told + taken.invocations, len(running)

    assert told + allocation.take_use().invocations == begun
