"""Messages that a function has sent to itself again and again."""

from collections.abc import Callable

from tests.integration.triggers.conftest import DEAD, EVENTS, Stage
from workshape.functions.lineage import ROUNDS_MAX, entered, rounds
from workshape.queues.model import NewMessage, QueueAttributes, RedrivePolicy
from workshape.triggers.model import EventSourceMapping
from workshape.triggers.supervisor import MappingSupervisor

MakeMapping = Callable[..., EventSourceMapping]
FUNCTION = "f"


def header(count: int) -> str:
    """Make the trace header of a message that came out of so many rounds."""
    told = "Root=1-5759e988-bd862e3fe1be46a994272793"
    for _ in range(count):
        told = entered(told, FUNCTION)
    return told


async def test_a_message_of_a_loop_is_not_handed_over_and_those_beside_it_are(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    stage.timeout_s = 1
    dead_arn = stage.broker.queue(DEAD).arn
    attributes = QueueAttributes(visibility_timeout_s=1, redrive=RedrivePolicy(dead_arn, 2))
    await stage.broker.set_queue_attributes(EVENTS, attributes)
    loop = NewMessage("loop", trace_header=header(ROUNDS_MAX))
    fine = NewMessage("fine", trace_header=header(ROUNDS_MAX - 1))
    await stage.broker.send(EVENTS, [loop, fine, NewMessage("plain")])

    running.create(make_mapping(function=FUNCTION, batch_size=10))
    await stage.settled(lambda: stage.left(DEAD) == 1 and stage.left() == 0)

    assert stage.function.deliveries == {"fine": 1, "plain": 1}
    assert [rounds(told, FUNCTION) for told in stage.function.trace_ids] == [ROUNDS_MAX]
    assert await stage.bodies(DEAD) == ["loop"]
    points = stage.function_metrics.take(0.0)
    dropped = [point.values.total for point in points if point.metric.name == "RecursiveInvocationsDropped"]
    assert set(dropped) == {2}, "once for each time it was received"


async def test_a_function_that_may_loop_gets_its_message(
    stage: Stage, running: MappingSupervisor, make_mapping: MakeMapping
) -> None:
    stage.stops_loops = False
    await stage.broker.send(EVENTS, [NewMessage("loop", trace_header=header(ROUNDS_MAX))])

    running.create(make_mapping(function=FUNCTION))
    await stage.settled(lambda: stage.left() == 0)

    assert stage.function.deliveries == {"loop": 1}
    assert [rounds(told, FUNCTION) for told in stage.function.trace_ids] == [ROUNDS_MAX + 1]
