"""What API keys have used, on a real store."""

import asyncio

import pytest

from tests.fakes.fast_time import run_fast
from workshape.apis.usage import Usage, UsagePlan
from workshape.apis.usage_counts import KIND, WRITTEN_AT_ONCE_MAX, UsageCounts
from workshape.apis.usage_plans import UsagePlans
from workshape.clock import Clock
from workshape.store.documents import Documents


@pytest.fixture
def plans(store: Documents) -> UsagePlans:
    return UsagePlans(store, Clock())


class Changes:
    """Counts that have changed."""

    def __init__(self, *usages: Usage) -> None:
        self.left = list(usages)
        self.asked: list[int] = []

    def take(self, count_max: int) -> list[Usage]:
        self.asked.append(count_max)
        taken, self.left = self.left[:count_max], self.left[count_max:]
        return taken


def test_counts_are_found_again_as_long_as_their_key_has_its_plan(store: Documents, plans: UsagePlans) -> None:
    plan, key = plans.create_plan(UsagePlan("", "p")), plans.create_key("k", None)
    plans.add_plan_key(plan.id, key.id)
    used, gone = Usage(plan.id, key.id, "2026-11", 5), Usage(plan.id, "gone", "2026-11", 7)

    UsageCounts(store, plans).keep_all(Changes(used, gone).take)
    kept = UsageCounts(store, plans).kept
    left = len(store.all(KIND))
    plans.remove_plan_key(plan.id, key.id)

    assert kept == [used]
    assert left == 1
    assert UsageCounts(store, plans).kept == []


def test_many_counts_are_written_in_steps(store: Documents, plans: UsagePlans) -> None:
    changes = Changes(*(Usage("p", str(number), "2026-11", 1) for number in range(WRITTEN_AT_ONCE_MAX + 1)))
    counts = UsageCounts(store, plans)

    async def run_for_a_while() -> None:
        running = asyncio.create_task(counts.run(changes.take))
        while changes.left:
            await asyncio.sleep(0.5)
        running.cancel()

    run_fast(run_for_a_while())

    assert changes.asked[:2] == [WRITTEN_AT_ONCE_MAX] * 2
    assert len(store.all(KIND)) == WRITTEN_AT_ONCE_MAX + 1


def test_a_disk_that_refuses_stops_nobody(
    store: Documents, plans: UsagePlans, caplog: pytest.LogCaptureFixture
) -> None:
    counts = UsageCounts(store, plans)
    store.close()

    counts.keep_all(Changes(Usage("p", "k", "2026-11", 1)).take)

    assert "api_key_usage_not_kept" in caplog.text
