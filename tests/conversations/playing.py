"""How a conversation is held: turn by turn, with a server or with a proxy in front of it.

The server says what is right. How much it has said when a client goes on is what the client waits for through the
proxy, too: so both hear the same in the same order, or the proxy owes something.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.conversations.heard import COMPLETE, Heard, Hearing
from tests.conversations.said import (
    Bind,
    Close,
    Conversation,
    CopyDone,
    CopyFail,
    Describe,
    Execute,
    Flush,
    FunctionCall,
    Parse,
    Query,
    Said,
    Sync,
    Terminate,
    Turn,
)
from tests.conversations.speaker import Speaker
from workshape.pgproxy import messages

ANSWER_S_MAX = 20.0
SILENCE_S = 0.1  # a server that says nothing for so long is taken to wait, where counting what it owes is not enough
LAST_WORDS: tuple[Said, ...] = (CopyFail(), Sync())
"""Bring a server to the end of its answers, whatever was said before."""
GOODBYE: tuple[Said, ...] = (Terminate(),)
_READY_AFTER = (Query, FunctionCall, Sync)
_COMPLETED = (Parse, Bind, Describe, Execute, Close)


class InVain(AssertionError):
    """A client waited for an answer that did not come."""


@dataclass(frozen=True, slots=True)
class Known:
    """How far a client was when a turn was over, by what it heard from the server itself."""

    messages: int
    is_closed: bool


@dataclass(slots=True)
class Part:
    """One client, and what it has said."""

    speaker: Speaker
    said: list[Said] = field(default_factory=list)
    awaited: int = 0
    """How many messages it had heard when it last waited for an answer."""
    done: int = -1
    """The last of its turns that is over."""
    answer_s_max: float = ANSWER_S_MAX
    """How long it waits before it says that an answer does not come."""
    expected: list[Heard] = field(default_factory=list)
    """What the server said to it, when it speaks to a proxy."""
    same: int = 0
    """How much of that it has heard."""

    @property
    def hearing(self) -> Hearing:
        """What it has heard."""
        assert self.speaker.hearing is not None
        return self.speaker.hearing

    @property
    def is_closed(self) -> bool:
        """Whether the other end has hung up."""
        return self.speaker.is_closed

    async def say(self, turn: Turn) -> None:
        """Have its turn."""
        self.said.extend(turn.said)
        await self.speaker.say(turn.pieces())
        if turn.vanishes:
            self.speaker.hang_up()

    @property
    def is_answered(self) -> bool:
        """Whether the server has said all that it owes, as far as counting can tell."""
        hearing, said = self.hearing, self.said
        if self.is_closed:
            return True
        copies = hearing.count(messages.COPY_IN_RESPONSE) - sum(isinstance(one, CopyDone | CopyFail) for one in said)
        if copies > 0:
            return hearing.heard[-1].kind == messages.COPY_IN_RESPONSE
        ready_after = [at for at, one in enumerate(said) if isinstance(one, _READY_AFTER)]
        if hearing.count(messages.READY_FOR_QUERY) < len(ready_after):
            return False
        batch = said[ready_after[-1] + 1 if ready_after else 0 :]
        flushed = max((at for at, one in enumerate(batch) if isinstance(one, Flush)), default=0)
        owed = sum(isinstance(one, _COMPLETED) for one in batch[:flushed])
        heard = [one.kind for one in hearing.since_ready()]
        return messages.ERROR_RESPONSE in heard or sum(kind in COMPLETE for kind in heard) >= owed

    async def answers(self, within_s: float) -> None:
        """Wait until it is answered, or that long."""
        await self.speaker.until(lambda: self.is_answered, within_s)

    async def closes(self) -> None:
        """Wait until the other end has hung up."""
        assert await self.speaker.until(lambda: self.is_closed, self.answer_s_max), "the server does not hang up"

    async def comes_to(self, known: Known) -> bool:
        """Wait until it has heard as much; False: it has not in time, or will not any more."""
        heard = self.hearing.heard
        await self.speaker.until(
            lambda: self.is_closed or self._has_parted() or (len(heard) >= known.messages and not known.is_closed),
            self.answer_s_max,
        )
        return len(heard) >= known.messages and self.is_closed >= known.is_closed

    def _has_parted(self) -> bool:
        """Whether it has heard something else than the server said."""
        heard = self.hearing.heard
        while self.same < len(heard) and heard[self.same : self.same + 1] == self.expected[self.same : self.same + 1]:
            self.same += 1
        return self.same < len(heard)


def turns_of(conversation: Conversation) -> Iterator[tuple[int, Turn]]:
    """Give the turns by their numbers. Who has left says no more; who has not, last words and a good-bye."""
    ends = [Turn(said, client) for client in conversation.clients for said in (LAST_WORDS, GOODBYE)]
    gone: set[int] = set()
    for number, turn in enumerate((*conversation.turns, *ends)):
        if turn.client not in gone:
            yield number, turn
        if turn.leaves:
            gone.add(turn.client)


async def play_directly(conversation: Conversation, parts: Mapping[int, Part]) -> dict[int, Known]:
    """Hold it with a server; tell how far each client came, by the turns' numbers."""
    known: dict[int, Known] = {}
    for number, turn in turns_of(conversation):
        part = parts[turn.client]
        if part.is_closed:
            continue
        await part.say(turn)
        if turn.leaves:
            if not turn.vanishes:
                await part.closes()
            if number > len(conversation.turns):
                part.awaited = len(part.hearing.heard)
                known[number - 1] = Known(part.awaited, False)
            # The proxy hangs up when it is told good-bye, whatever it has not answered yet.
            known[number] = Known(part.awaited, not turn.vanishes)
        elif number < len(conversation.turns):  # when last words are answered the good-bye tells for sure
            if turn.waits:
                await part.answers(SILENCE_S)
                part.awaited = len(part.hearing.heard)
            known[number] = Known(len(part.hearing.heard), part.is_closed)
    return known


async def play_through(
    conversation: Conversation,
    parts: Mapping[int, Part],
    known: Mapping[int, Known],
    waits: Callable[[Part], bool],
) -> None:
    """Hold it with a proxy; `waits` tells whether a client waits for a connection there: then others go on.

    Raises:
        InVain: an answer did not come.
    """
    to_say: dict[int, asyncio.Queue[tuple[int, Turn] | None]] = {client: asyncio.Queue() for client in parts}
    try:
        async with asyncio.TaskGroup() as clients:
            for client, part in parts.items():
                clients.create_task(_speak(client, part, known, to_say[client]))
            for number, turn in turns_of(conversation):
                if number in known:
                    part = parts[turn.client]
                    to_say[turn.client].put_nowait((number, turn))
                    await _goes_on(part, number, waits)
            for queue in to_say.values():
                queue.put_nowait(None)
    except* InVain as found:
        raise found.exceptions[0] from None


async def _goes_on(part: Part, number: int, waits: Callable[[Part], bool]) -> None:
    await part.speaker.until(lambda: part.done >= number or waits(part), part.answer_s_max)


async def _speak(
    client: int, part: Part, known: Mapping[int, Known], to_say: asyncio.Queue[tuple[int, Turn] | None]
) -> None:
    while (following := await to_say.get()) is not None:
        number, turn = following
        await part.say(turn)
        if not turn.vanishes and (turn.waits or turn.leaves) and not await part.comes_to(known[number]):
            raise InVain(f"client {client} waits in vain for the answer to turn {number}")
        part.done = number
        part.speaker.wake()
