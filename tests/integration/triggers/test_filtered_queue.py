"""Messages that a mapping's filters keep from the function: gone from the queue, and counted."""

from collections.abc import Callable

from tests.fakes.batch_function import FunctionFails, Records, report
from tests.integration.triggers.conftest import Stage
from workshape.triggers.model import EventSourceMapping
from workshape.triggers.supervisor import MappingSupervisor

MakeMapping = Callable[..., EventSourceMapping]


async def test_what_no_filter_lets_through_is_deleted_unseen(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    filters = ('{"body": {"kind": ["order"]}}', '{"body": {"amount": [{"numeric": [">", 10]}]}}')
    running.create(make_mapping(filters=filters, metrics=("EventCount",)))

    await stage.send('{"kind": "order"}', '{"kind": "note"}', '{"amount": 11}', "plain", '{"amount": 10}')
    await stage.settled(lambda: stage.counted("DeletedEventCount") == 5)

    assert stage.left() == 0
    assert stage.function.deliveries == {'{"kind": "order"}': 1, '{"amount": 11}': 1}
    assert (stage.counted("PolledEventCount"), stage.counted("FilteredOutEventCount")) == (5, 3)
    assert stage.counted("InvokedEventCount") == 2


async def test_failed_events_are_counted(stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping) -> None:
    running.create(make_mapping(report_batch_item_failures=True, metrics=("EventCount",)))
    stage.function.answer = report(lambda body: body == "bad")

    await stage.send("good", "bad")
    await stage.settled(lambda: stage.counted("DeletedEventCount") == 1)

    assert (stage.counted("InvokedEventCount"), stage.counted("FailedInvokeEventCount")) == (2, 1)


async def test_with_partial_responses_failures_do_not_slow_polling(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    def fail(_records: Records) -> None:
        raise FunctionFails("cannot")

    stage.function.answer, stage.function.takes_s = fail, 0.02
    running.create(make_mapping(batch_size=1, report_batch_item_failures=True))
    await stage.send(*(f"poison {number}" for number in range(50)))
    await stage.settled(lambda: len(stage.batches) >= 30)

    stage.function.running_max = 0
    await stage.settled(lambda: stage.function.running_max >= 5)
