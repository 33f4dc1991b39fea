"""At least once: what comes twice, and what becomes of it."""

import asyncio
from collections.abc import Callable

from tests.integration.triggers.conftest import DEAD, EVENTS, Stage
from workshape.functions.batch_items import ItemOutcome
from workshape.queues.model import QueueAttributes, VisibilityChange
from workshape.triggers.model import EventSourceMapping
from workshape.triggers.supervisor import MappingSupervisor

MakeMapping = Callable[..., EventSourceMapping]


async def test_a_function_slower_than_the_visibility_timeout_gets_its_messages_twice_and_loses_none(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    stage.timeout_s = 1
    await stage.broker.set_queue_attributes(EVENTS, QueueAttributes(visibility_timeout_s=1))
    stage.function.takes_s = 1.3
    running.create(make_mapping())

    await stage.send("slow")
    await stage.settled(lambda: stage.function.deliveries["slow"] == 2)
    stage.function.takes_s = 0
    await stage.settled(lambda: stage.left() == 0 and stage.function.running == 0)

    assert [fact.outcome for fact in stage.facts] == [ItemOutcome.SUCCEEDED] * len(stage.facts)
    assert {fact.receive_count for fact in stage.facts} >= {1, 2}
    assert len({fact.message_id for fact in stage.facts}) == 1
    assert stage.left(DEAD) == 0


async def test_a_message_that_another_receiver_holds_is_not_delivered_meanwhile(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    await stage.send("held")
    (message,) = await stage.broker.receive(EVENTS, count_max=1, wait_s=0)

    running.create(make_mapping())
    await asyncio.sleep(0.1)
    assert stage.function.deliveries == {}
    stage.broker.change_visibility(EVENTS, [VisibilityChange(message.receipt_handle, 0)])
    await stage.settled(lambda: stage.left() == 0)

    assert stage.function.deliveries == {"held": 1}
    assert [fact.receive_count for fact in stage.facts] == [2]


async def test_a_queue_deleted_under_a_batch_takes_nothing_else_with_it(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    stage.function.takes_s = 0.2
    view = running.create(make_mapping())
    await stage.send("one")
    await stage.settled(lambda: stage.function.running == 1)

    await stage.broker.delete_queue(EVENTS)
    await stage.settled(lambda: stage.function.running == 0)
    await stage.settled(lambda: "does not exist" in running.get(view.mapping.id).last_processing_result)
    running.delete(view.mapping.id)
    await stage.settled(lambda: not running.list())

    assert stage.function.deliveries == {"one": 1}
