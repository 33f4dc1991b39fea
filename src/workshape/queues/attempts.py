"""Which messages an attempt to receive got, so that the attempt can be made again. A core.

Kept in memory only: after a restart an attempt made again is a new one, and its messages come back when their
visibility timeout ends.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/using-receiverequestattemptid-request-parameter.html
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from workshape.queues.limits import ATTEMPT_S_MAX, ATTEMPTS_MAX
from workshape.queues.model import Message, MessageNumber


class _Handed(NamedTuple):
    """A message as an attempt left it."""

    number: MessageNumber
    receive_count: int
    visible_at: float

    @classmethod
    def of(cls, message: Message) -> "_Handed":
        return cls(message.number, message.receive_count, message.visible_at)


@dataclass(frozen=True, slots=True)
class _Attempt:
    made_at: float
    handed: tuple[_Handed, ...]


class Attempts:
    """The attempts of the last five minutes on one queue."""

    def __init__(self) -> None:
        self._by_id: OrderedDict[str, _Attempt] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Attempts {len(self._by_id)}>"

    def note(self, attempt_id: str, messages: Sequence[Message], now: float) -> None:
        """Remember what an attempt got."""
        self._by_id.pop(attempt_id, None)
        self._by_id[attempt_id] = _Attempt(now, tuple(map(_Handed.of, messages)))
        if len(self._by_id) > ATTEMPTS_MAX:
            self._by_id.popitem(last=False)

    def retried(self, attempt_id: str, messages: Sequence[Message]) -> None:
        """Its messages have been hidden anew; how long it can be made again counts from the first time."""
        self._by_id[attempt_id] = _Attempt(self._by_id[attempt_id].made_at, tuple(map(_Handed.of, messages)))

    def find(self, attempt_id: str, in_flight: Mapping[MessageNumber, Message]) -> tuple[Message, ...]:
        """What the attempt got, if all of it is in flight just as it was left; else nothing."""
        attempt = self._by_id.get(attempt_id)
        if attempt is None:
            return ()
        messages = [in_flight.get(handed.number) for handed in attempt.handed]
        found = tuple(message for message in messages if message is not None)
        return found if tuple(map(_Handed.of, found)) == attempt.handed else ()

    def forget_old(self, now: float) -> None:
        """Forget those made too long ago."""
        while self._by_id and next(iter(self._by_id.values())).made_at + ATTEMPT_S_MAX <= now:
            self._by_id.popitem(last=False)
