"""What a topic's mapping says of itself while its cluster does not let it in, and afterwards.

Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kafka-troubleshoot.html
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from tests.integration.triggers.conftest import Stage
from workshape.errors import WorkshapeError
from workshape.streams.access import LoginRefused
from workshape.streams.model import KafkaTopic, StartingPosition
from workshape.triggers.model import EventSourceMapping, MappingState, StateReason
from workshape.triggers.poller import Notes
from workshape.triggers.source_access import SecretUnusable
from workshape.triggers.supervisor import KafkaPolling, MappingView

TOPIC = KafkaTopic(("127.0.0.1:9092",), "orders", "", StartingPosition.TRIM_HORIZON)


@dataclass
class IdlePoller:
    """Polls a topic in which nothing is, unless it is refused."""

    notes: Notes
    refused: WorkshapeError | None
    polls: bool = False
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        if self.refused is not None:
            raise self.refused
        self.notes.connected()
        self.polls = True
        await self.stopped.wait()

    def stop(self) -> None:
        self.stopped.set()


def told(view: MappingView) -> tuple[str, StateReason, MappingState]:
    return view.last_processing_result, view.state_reason, view.state


@pytest.mark.parametrize(
    ("error", "words", "reason"),
    [
        (LoginRefused(reason=""), "SASL authentication failed", StateReason.EVENT_SOURCE_AUTHN_ERROR),
        (
            SecretUnusable(secret="S", reason="it is empty"),
            "The secret S cannot be used: it is empty",
            StateReason.ESM_CONFIG_NOT_VALID,
        ),
    ],
)
async def test_a_mapping_says_why_it_is_refused_until_it_is_not(
    stage: Stage, error: WorkshapeError, words: str, reason: StateReason
) -> None:
    refusals = [error]

    def poller(_mapping: EventSourceMapping, notes: Notes) -> IdlePoller:
        refused = refusals.pop() if refusals else None
        if isinstance(refused, SecretUnusable):
            raise refused
        return IdlePoller(notes, refused)

    stage.kafka = KafkaPolling(poller, lambda _mapping: None)
    supervisor = stage.supervisor()
    made = supervisor.create(EventSourceMapping(id="", kafka=TOPIC, function="events", function_arn="arn"))
    running = asyncio.create_task(supervisor.run())
    await stage.settled(lambda: told(supervisor.get(made.mapping.id))[0].startswith("PROBLEM"))
    before = told(supervisor.get(made.mapping.id))
    await stage.settled(lambda: supervisor.get(made.mapping.id).state_reason is StateReason.USER_INITIATED)
    after = told(supervisor.get(made.mapping.id))
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    assert before == (f"PROBLEM: {words}", reason, MappingState.ENABLED)
    assert after == ("OK", StateReason.USER_INITIATED, MappingState.ENABLED)


async def test_a_mapping_that_was_never_refused_has_no_result_before_its_first_batch(stage: Stage) -> None:
    made: list[IdlePoller] = []

    def poller(_mapping: EventSourceMapping, notes: Notes) -> IdlePoller:
        made.append(IdlePoller(notes, None))
        return made[-1]

    stage.kafka = KafkaPolling(poller, lambda _mapping: None)
    supervisor = stage.supervisor()
    created = supervisor.create(EventSourceMapping(id="", kafka=TOPIC, function="events", function_arn="arn"))
    running = asyncio.create_task(supervisor.run())
    await stage.settled(lambda: made and made[0].polls)
    result = supervisor.get(created.mapping.id).last_processing_result
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    assert result == "No records processed"
