"""Deliveries that must arrive: tried at once, and kept on disk to be tried again where that failed for now.

When `hand_over` returns, the delivery is durable at its destination, or here, or has been refused for good and its
sender told so. So whoever hands over may forget.
"""

import logging
import uuid
from collections.abc import Callable, Iterator

from workshape.clock import Clock
from workshape.delivery import Deliver, Delivered, Delivery, DeliveryOutcome, Undelivered
from workshape.errors import Throttled
from workshape.store.backlog import Backlog
from workshape.store.documents import Documents
from workshape.triggers.redelivery import GivenUp, Pending, Sender, SenderKind, after_failure, redirected

DOCUMENT_KIND = "pending-delivery"
PENDING_MAX = 20_000  # of up to 1 MiB each, but as a rule a few KiB: what an engine can hold in memory
AT_ONCE_MAX = 64  # deliveries tried again at a time: destinations that were away must not be flooded

_log = logging.getLogger(__name__)

OnOutcome = Callable[[Sender, DeliveryOutcome, bool], None]
"""Takes the sender, what came of an attempt, and whether that was the last one."""


class OutboxFull(Throttled):
    """Too many deliveries wait for destinations that do not take them: {count} of {count_max}."""

    count: int
    count_max: int


class Outbox:
    """The deliveries of one engine that are under way. `run` it; what is left is tried again at the next start."""

    def __init__(self, documents: Documents, deliver: Deliver, clock: Clock) -> None:
        self._documents = documents
        self._deliver = deliver
        self._clock = clock
        self._on_outcome: dict[SenderKind, OnOutcome] = {}
        self._pending = Backlog(
            documents, DOCUMENT_KIND, Pending, clock, key=lambda pending: pending.id, at_once_max=AT_ONCE_MAX
        )

    def __repr__(self) -> str:
        return f"<Outbox pending={len(self._pending)} trying={self._pending.running}>"

    def senders(self) -> Iterator[Sender]:
        """Who has sent what waits to be tried again, each as often as something of it does."""
        return (pending.sender for pending in self._pending)

    def report(self, kind: SenderKind, on_outcome: OnOutcome) -> None:
        """Have the outcome of every attempt told that is made for senders of a kind."""
        self._on_outcome[kind] = on_outcome

    async def hand_over(self, sender: Sender, arn: str, delivery: Delivery, *, dead_letter_arn: str = "") -> None:
        """Deliver now, or as soon as the destination takes it; what is given up goes to `dead_letter_arn`, if any.

        Raises:
            OutboxFull: it was not delivered, and too many wait already.
            BackendUnavailable: it was not delivered, and the disk refuses.
        """
        now = self._clock.wall_s()
        pending = Pending(str(uuid.uuid4()), sender, arn, delivery, now, now, dead_letter_arn=dead_letter_arn)
        outcome = await self._deliver(arn, delivery)
        following = self._after(pending, outcome)
        if isinstance(following, Pending):
            if len(self._pending) >= PENDING_MAX:
                raise OutboxFull(count=len(self._pending), count_max=PENDING_MAX)
            self._pending.keep(following)
            await self._documents.durable()
        self._tell(pending, outcome, is_final=following is None or following.arn != arn)

    async def run(self) -> None:
        """Try again what comes due, until cancelled."""
        await self._pending.run(self._try_again)

    async def _try_again(self, pending: Pending) -> None:
        outcome = await self._deliver(pending.arn, pending.delivery)
        following = self._after(pending, outcome)
        if following is not None:
            self._pending.keep(following)
        else:
            self._pending.forget(pending)
        self._tell(pending, outcome, is_final=following is None or following.arn != pending.arn)

    def _after(self, pending: Pending, outcome: DeliveryOutcome) -> Pending | None:
        """What is to be tried next: the same again, the dead-letter queue, or nothing."""
        if isinstance(outcome, Delivered):
            return None
        now = self._clock.wall_s()
        following = after_failure(pending, outcome, now)
        return redirected(following, now) if isinstance(following, GivenUp) else following

    def _tell(self, pending: Pending, outcome: DeliveryOutcome, *, is_final: bool) -> None:
        if isinstance(outcome, Undelivered):
            fields = {"sender": pending.sender.name, "destination": pending.arn, "code": outcome.code}
            event = "delivery_given_up" if is_final else "delivery_failed"
            _log.warning(event, extra={**fields, "reason": outcome.message})
        on_outcome = self._on_outcome.get(pending.sender.kind)
        if on_outcome is not None:
            on_outcome(pending.sender, outcome, is_final)
