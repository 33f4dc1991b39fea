"""The messages of one queue that nobody may receive now: delayed or in flight, until they become visible. A core.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
"""

from collections.abc import Iterable

from workshape.queues.deadlines import Deadlines
from workshape.queues.model import Message, MessageNotInflight, MessageNumber, Receipt
from workshape.queues.queue_core import check_visibility_left, is_latest, unavailable, uncount_receive


class Hidden:
    """What is in flight, what is delayed, and which of them is visible next."""

    def __init__(self) -> None:
        self.in_flight: dict[MessageNumber, Message] = {}
        self.delayed: dict[MessageNumber, Message] = {}
        self._wakes = Deadlines(self._is_hidden_until)

    def __repr__(self) -> str:
        return f"<Hidden in_flight={len(self.in_flight)} delayed={len(self.delayed)}>"

    def __len__(self) -> int:
        return len(self.in_flight) + len(self.delayed)

    def find(self, number: MessageNumber) -> Message | None:
        """Look a message up."""
        return self.in_flight.get(number) or self.delayed.get(number)

    def put_in_flight(self, message: Message) -> None:
        """Hide a message that was received until it is visible again."""
        self.in_flight[message.number] = message
        self._wakes.set(message.visible_at, message.number)

    def delay(self, message: Message) -> None:
        """Hide a message that was never received until it is visible."""
        self.delayed[message.number] = message
        self._wakes.set(message.visible_at, message.number)

    def hide_until(self, message: Message, visible_at: float) -> None:
        """Hide a message for a longer or a shorter time."""
        message.visible_at = visible_at
        self._wakes.set(visible_at, message.number)
        self.drop_stale_entries()

    def change_visibility(
        self, message: Message | None, receipt: Receipt, timeout_s: int, now: float, handle: str
    ) -> Message:
        """Hide the message of a receipt for `timeout_s` from now on, if it is in flight; 0 makes it visible at once.

        Raises:
            InvalidParameter: gone, received again since, or hidden for more than 12 h since its receive.
            MessageNotInflight: its visibility timeout has ended.
        Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
        """
        if message is None or not is_latest(message, receipt):
            raise unavailable(handle)
        if receipt.number not in self.in_flight:
            raise MessageNotInflight()
        check_visibility_left(message, timeout_s, now)
        self.hide_until(message, now + timeout_s)
        return message

    def give_back(self, receipts: Iterable[Receipt], now: float) -> list[Message]:
        """Undo receives whose receiver went away before it got the messages; returns those undone."""
        returned = []
        for receipt in receipts:
            message = self.in_flight.get(receipt.number)
            if message is not None and is_latest(message, receipt):
                uncount_receive(message)
                self.hide_until(message, now)
                returned.append(message)
        return returned

    def next_wake(self) -> float | None:
        """When the next message becomes visible."""
        soonest = self._wakes.first()
        return None if soonest is None else soonest[0]

    def wake(self, now: float) -> tuple[Message, bool] | None:
        """Let go of the next message whose time has come, and tell whether it was in flight; None: there is none."""
        soonest = self._wakes.first()
        if soonest is None or soonest[0] > now:
            return None
        self._wakes.pop()
        number = soonest[1]
        message = self.in_flight.pop(number, None)
        return (self.delayed.pop(number), False) if message is None else (message, True)

    def remove(self, number: MessageNumber) -> bool:
        """Let go of a message, if it is here; tell whether it was in flight."""
        self.delayed.pop(number, None)
        return self.in_flight.pop(number, None) is not None

    def clear(self) -> None:
        """Let go of them all."""
        for place in (self.in_flight, self.delayed, self._wakes):
            place.clear()

    def drop_stale_entries(self) -> None:
        """Keep memory bounded after messages have left or changed their times."""
        places = (self.in_flight, self.delayed)
        self._wakes.trim(len(self), ((m.visible_at, m.number) for place in places for m in place.values()))

    def _is_hidden_until(self, visible_at: float, number: MessageNumber) -> bool:
        message = self.find(number)
        return message is not None and message.visible_at == visible_at
