"""Which messages an attempt to receive got, so that the attempt can be made again. A core.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/using-receiverequestattemptid-request-parameter.html
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import msgspec

from workshape.queues.limits import ATTEMPT_S_MAX, ATTEMPTS_MAX
from workshape.queues.model import Message, MessageNumber

_ATTEMPT_BYTES = 32  # its time, and what frames it
_HANDED_BYTES = 32  # of each message: its numbers and its time


class Handed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message as an attempt left it."""

    number: MessageNumber
    receive_count: int
    visible_at: float

    @classmethod
    def of(cls, message: Message) -> "Handed":
        """Note how a message is now."""
        return cls(message.number, message.receive_count, message.visible_at)


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """What one attempt got."""

    id: str
    made_at: float
    """The first time; how long it can be made again counts from then."""
    handed: tuple[Handed, ...]

    @property
    def since(self) -> float:
        """From when on it counts."""
        return self.made_at

    @property
    def size_bytes(self) -> int:
        """About what it takes on disk."""
        return _ATTEMPT_BYTES + len(self.id) + _HANDED_BYTES * len(self.handed)

    def is_old(self, now: float) -> bool:
        """Whether it can no longer be made again."""
        return self.made_at + ATTEMPT_S_MAX <= now


class Attempts:
    """The attempts of the last five minutes on one queue."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, Attempt] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Attempts {len(self._by_id)}>"

    def __contains__(self, attempt: Attempt) -> bool:
        return self._by_id.get(attempt.id) == attempt

    def note(self, attempt_id: str, messages: Sequence[Message], now: float) -> Attempt:
        """Remember what an attempt got."""
        attempt = Attempt(attempt_id, now, tuple(map(Handed.of, messages)))
        self.remember(attempt)
        return attempt

    def remember(self, attempt: Attempt) -> None:
        """Take an attempt that was noted before: after all that are older."""
        self._by_id.pop(attempt.id, None)
        self._by_id[attempt.id] = attempt
        if len(self._by_id) > ATTEMPTS_MAX:
            self._by_id.popitem(last=False)

    def retried(self, attempt_id: str, messages: Sequence[Message]) -> Attempt:
        """Its messages have been hidden anew; how long it can be made again counts from the first time."""
        attempt = Attempt(attempt_id, self._by_id[attempt_id].made_at, tuple(map(Handed.of, messages)))
        self._by_id[attempt_id] = attempt
        return attempt

    def find(self, attempt_id: str, in_flight: Mapping[MessageNumber, Message]) -> tuple[Message, ...]:
        """What the attempt got, if all of it is in flight just as it was left; else nothing."""
        attempt = self._by_id.get(attempt_id)
        if attempt is None:
            return ()
        messages = [in_flight.get(handed.number) for handed in attempt.handed]
        found = tuple(message for message in messages if message is not None)
        return found if tuple(map(Handed.of, found)) == attempt.handed else ()

    def forget_old(self, now: float) -> None:
        """Forget those made too long ago."""
        while self._by_id and next(iter(self._by_id.values())).is_old(now):
            self._by_id.popitem(last=False)
