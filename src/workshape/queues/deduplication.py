"""Which deduplication IDs a FIFO queue has accepted in the last five minutes, whatever became of the messages. A core.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-exactly-once-processing.html
Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
"""

import hashlib
from collections import deque

import msgspec

from workshape.queues.limits import DEDUPLICATION_S
from workshape.queues.model import DeduplicationScope, Message, MessageNumber

_TOKEN_BYTES = 64  # its message ID, its numbers, and what frames them


class Token(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message that was accepted, as far as finding its duplicates needs it."""

    number: MessageNumber
    message_id: str
    group_id: str
    deduplication_id: str
    accepted_at: float

    @property
    def since(self) -> float:
        """From when on it counts."""
        return self.accepted_at

    @property
    def size_bytes(self) -> int:
        """About what it takes on disk."""
        return _TOKEN_BYTES + len(self.group_id) + len(self.deduplication_id)

    def is_old(self, now: float) -> bool:
        """Whether an equal message would be accepted again."""
        return self.accepted_at + DEDUPLICATION_S <= now


def token_of(message: Message) -> Token:
    """Make the token of a message in a FIFO queue."""
    return Token(message.number, message.message_id, message.group_id, message.deduplication_id, message.sent_at)


def content_id(body: str) -> str:
    """Make the deduplication ID of a message that has none: of the body alone, not of the attributes."""
    return hashlib.sha256(body.encode()).hexdigest()


class Deduplication:
    """The memory of one queue. Bounded by time: it holds what one machine accepts in five minutes."""

    def __init__(self, scope: DeduplicationScope) -> None:
        self._scope = scope
        self._tokens: dict[str | tuple[str, str], Token] = {}
        self._by_age: deque[Token] = deque()

    def __repr__(self) -> str:
        return f"<Deduplication by {self._scope} tokens={len(self._tokens)}>"

    def __len__(self) -> int:
        return len(self._tokens)

    def rescope(self, scope: DeduplicationScope) -> None:
        """Compare among other messages from here on, those remembered included; of equal ones the newest counts."""
        if scope is not self._scope:
            self._scope = scope
            self._tokens = {self._key(token.group_id, token.deduplication_id): token for token in self._by_age}

    def find(self, group_id: str, deduplication_id: str, now: float) -> Token | None:
        """The message accepted before that makes this one a duplicate."""
        token = self._tokens.get(self._key(group_id, deduplication_id))
        return None if token is None or token.is_old(now) else token

    def remember(self, token: Token) -> None:
        """A message was accepted."""
        self._tokens[self._key(token.group_id, token.deduplication_id)] = token
        self._by_age.append(token)

    def forget_old(self, now: float) -> None:
        """Forget what no longer counts."""
        while self._by_age and self._by_age[0].is_old(now):
            token = self._by_age.popleft()
            key = self._key(token.group_id, token.deduplication_id)
            if self._tokens.get(key) is token:
                del self._tokens[key]

    def _key(self, group_id: str, deduplication_id: str) -> str | tuple[str, str]:
        return deduplication_id if self._scope is DeduplicationScope.QUEUE else (group_id, deduplication_id)
