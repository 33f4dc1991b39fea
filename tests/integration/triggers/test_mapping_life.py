"""A mapping's states, from its creation over changes and restarts to its end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec
import pytest

from tests.integration.triggers.conftest import EVENTS, Stage
from workshape.errors import NotFound
from workshape.queues.broker import Broker
from workshape.queues.model import QueueAttributes, QueueDoesNotExist
from workshape.triggers.model import (
    EventSourceMapping,
    MappingBusy,
    MappingExists,
    MappingInvalid,
    MappingNotFound,
    MappingState,
)
from workshape.triggers.supervisor import MappingSupervisor

MakeMapping = Callable[..., EventSourceMapping]


async def test_a_mapping_is_found_again_after_a_restart(stage: Stage, make_mapping: MakeMapping) -> None:
    made = stage.supervisor().create(make_mapping(batch_size=7, concurrency_max=4))

    again = stage.supervisor()
    work = asyncio.create_task(again.run())
    await stage.send("one")
    await stage.settled(lambda: stage.left() == 0)

    assert again.get(made.mapping.id).mapping == made.mapping
    assert again.get(made.mapping.id).state is MappingState.ENABLED
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work


async def test_creation_goes_from_creating_to_enabled(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    view = running.create(make_mapping())

    assert view.state is MappingState.CREATING
    await stage.settled(lambda: running.get(view.mapping.id).state is MappingState.ENABLED)


async def test_a_disabled_mapping_receives_nothing_until_it_is_enabled(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    view = running.create(make_mapping(enabled=False))
    await stage.settled(lambda: running.get(view.mapping.id).state is MappingState.DISABLED)
    await stage.send("one")
    await asyncio.sleep(0.05)
    assert stage.function.deliveries == {}

    enabled = running.update(msgspec.structs.replace(view.mapping, enabled=True))
    await stage.settled(lambda: stage.left() == 0)

    assert enabled.state is MappingState.ENABLING
    assert stage.function.deliveries == {"one": 1}


async def test_a_change_takes_effect_and_is_durable(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    view = running.create(make_mapping(batch_size=1))
    await stage.settled(lambda: running.get(view.mapping.id).state is MappingState.ENABLED)

    changed = running.update(msgspec.structs.replace(view.mapping, batch_size=5))
    assert changed.state is MappingState.UPDATING
    await stage.settled(lambda: running.get(view.mapping.id).state is MappingState.ENABLED)
    await stage.send("a", "b", "c", "d", "e")
    await stage.settled(lambda: stage.left() == 0)

    assert stage.batches == [(5, 0)]
    assert stage.supervisor().get(view.mapping.id).mapping.batch_size == 5


async def test_a_deleted_mapping_is_gone_here_and_on_disk(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    view = running.create(make_mapping())

    deleted = running.delete(view.mapping.id)
    await stage.settled(lambda: not running.list())

    assert deleted.state is MappingState.DELETING
    assert stage.supervisor().list() == []
    with pytest.raises(MappingNotFound):
        running.get(view.mapping.id)


async def test_a_mapping_being_deleted_cannot_be_changed_back_to_life(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    stage.function.takes_s = 0.2
    view = running.create(make_mapping())
    await stage.send("one")
    await stage.settled(lambda: stage.function.running == 1)

    running.delete(view.mapping.id)

    with pytest.raises(MappingBusy):
        running.update(msgspec.structs.replace(view.mapping, batch_size=5))
    await stage.settled(lambda: not running.list())
    assert stage.supervisor().list() == []


async def test_a_pair_of_queue_and_function_has_one_mapping(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    view = running.create(make_mapping())

    with pytest.raises(MappingExists) as refused:
        running.create(make_mapping(batch_size=2))

    assert str(refused.value) == (
        'An event source mapping with SQS arn (" arn:aws:sqs:us-east-1:123456789012:events ") and function (" events ")'
        f" already exists. Please update or delete the existing mapping with UUID {view.mapping.id}"
    )


async def test_a_mapping_cannot_become_the_twin_of_another(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    running.create(make_mapping())
    other = running.create(make_mapping(function="other", function_arn="arn:aws:lambda:us-east-1:1:function:other"))

    with pytest.raises(MappingExists):
        running.update(make_mapping(id=other.mapping.id))


async def test_a_visibility_timeout_below_the_functions_timeout_is_refused(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    stage.timeout_s = 4

    with pytest.raises(MappingInvalid) as refused:
        running.create(make_mapping())

    assert str(refused.value) == "Queue visibility timeout: 3 seconds is less than Function timeout: 4 seconds"


async def test_a_mapping_can_be_switched_off_whatever_has_become_of_its_queue(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    view = running.create(make_mapping())
    stage.timeout_s = 4

    off = running.update(msgspec.structs.replace(view.mapping, enabled=False))
    with pytest.raises(MappingInvalid, match="Queue visibility timeout"):
        running.update(msgspec.structs.replace(off.mapping, enabled=True))
    await stage.broker.delete_queue(EVENTS)
    changed = running.update(msgspec.structs.replace(off.mapping, batch_size=5))

    assert off.state is MappingState.DISABLING
    assert changed.mapping.batch_size == 5
    await stage.settled(lambda: running.get(view.mapping.id).state is MappingState.DISABLED)


async def test_a_queue_of_another_region_is_not_ours_of_the_same_name(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    with pytest.raises(QueueDoesNotExist):
        running.create(make_mapping(queue_arn="arn:aws:sqs:eu-west-1:123456789012:events"))


async def test_a_function_that_does_not_exist_is_refused(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    stage.function_exists = False

    with pytest.raises(NotFound):
        running.create(make_mapping())


async def test_nothing_is_received_for_a_function_that_is_gone(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    await stage.broker.set_queue_attributes(EVENTS, QueueAttributes(visibility_timeout_s=1))
    stage.timeout_s = 1
    stage.function.refuse = lambda: None if stage.function_exists else NotFound(kind="function", name="events")
    view = running.create(make_mapping(batch_size=1))
    await stage.settled(lambda: running.get(view.mapping.id).state is MappingState.ENABLED)

    stage.function_exists = False
    await stage.send(*(f"event {number}" for number in range(50)))
    await stage.settled(lambda: "no function" in running.get(view.mapping.id).last_processing_result)
    await asyncio.sleep(0.3)
    untouched = stage.broker.depth(EVENTS).visible
    stage.function_exists = True
    await stage.settled(lambda: stage.left() == 0)

    assert untouched >= 40  # what the five pollers held when it went
    assert set(stage.function.deliveries.values()) == {1}


async def test_a_queue_that_goes_away_is_said_and_found_again_when_it_is_back(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping, broker_without_name_wait: Broker
) -> None:
    view = running.create(make_mapping())
    await stage.settled(lambda: running.get(view.mapping.id).state is MappingState.ENABLED)

    await stage.broker.delete_queue(EVENTS)
    await stage.settled(lambda: "does not exist" in running.get(view.mapping.id).last_processing_result)
    await stage.broker.create_queue(EVENTS, QueueAttributes(visibility_timeout_s=3))
    await stage.send("one")
    await stage.settled(lambda: stage.left() == 0)

    assert stage.function.deliveries == {"one": 1}
    assert running.get(view.mapping.id).last_processing_result == "OK"


async def test_an_invoker_that_breaks_is_said_and_the_mapping_starts_again(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    await stage.broker.set_queue_attributes(EVENTS, QueueAttributes(visibility_timeout_s=1))
    stage.timeout_s = 1
    breaks = iter([RuntimeError("broken")])
    stage.function.refuse = lambda: next(breaks, None)

    view = running.create(make_mapping())
    await stage.send("one")
    await stage.settled(lambda: "broken" in running.get(view.mapping.id).last_processing_result)
    await stage.settled(lambda: stage.left() == 0)

    assert stage.function.deliveries == {"one": 1}


async def test_stopping_lets_batches_under_way_end(stage: Stage, make_mapping: MakeMapping) -> None:
    stage.function.takes_s = 0.3
    supervisor = stage.supervisor()
    work = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0)
    supervisor.create(make_mapping())
    await stage.send("one")
    await stage.settled(lambda: stage.function.running == 1)

    work.cancel()
    with suppress(asyncio.CancelledError):
        await work

    assert stage.left() == 0
    assert stage.batches == [(1, 0)]
