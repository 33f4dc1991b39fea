"""The messages of one standard queue that can be received now, and which of them is next. A core.

Who waits longest is first, until a message group, a tenant, uses much of what the queue's consumers can do: then it is
noisy, and every message of a quiet one goes before its own. Messages without a group are tenants of their own. A queue
without groups pays nothing for this.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
Source: https://docs.amazonaws.cn/en_us/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues-detailed.html
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from workshape.queues.model import Message, MessageNumber

NOISY_SHARE = 0.1
"""Of what is in flight, or of the recent processing time: whoever has more is noisy."""
NOISY_IN_FLIGHT_MIN = 30
"""Whoever has fewer in flight is not noisy by that."""
SILENT_S = 300.0
"""Whoever has sent nothing for so long is quiet again. All three: the second source."""
RECENT_HALF_LIFE_S = 60.0
"""AWS: undocumented what recent is; we let what was a minute ago count half."""


@dataclass(slots=True)
class _Spent:
    """Processing time that counts less the longer ago it was."""

    seconds: float = 0.0
    at: float = 0.0

    def add(self, seconds: float, now: float) -> None:
        self.seconds = self.recent(now) + seconds
        self.at = now

    def recent(self, now: float) -> float:
        passed = max(now - self.at, 0.0)
        return self.seconds * 0.5 ** (passed / RECENT_HALF_LIFE_S) if self.seconds else 0.0


@dataclass(slots=True)
class _Tenant:
    """One message group."""

    ready: OrderedDict[MessageNumber, Message] = field(default_factory=OrderedDict)
    """In the order in which they are received. A dict would look for its first entry among all that have left."""
    in_flight: int = 0
    spent: _Spent = field(default_factory=_Spent)
    sent_at: float = 0.0
    """When it sent something last."""
    is_noisy: bool = False


class ReadyMessages:
    """Knows of what is in flight how much is whose: tell it what was `taken`, and what has `returned`."""

    def __init__(self) -> None:
        self._quiet: OrderedDict[MessageNumber, Message] = OrderedDict()
        """Everything but what noisy tenants have."""
        self._tenants: dict[str, _Tenant] = {}
        self._noisy: dict[str, _Tenant] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()
        """Tenants that have nothing here, the longest idle first: what they spent is remembered for a while."""
        self._in_flight = 0
        self._spent = _Spent()

    def __repr__(self) -> str:
        return f"<ReadyMessages {len(self)} tenants={len(self._tenants)} noisy={len(self._noisy)}>"

    def __len__(self) -> int:
        return len(self._quiet) + (sum(len(one.ready) for one in self._noisy.values()) if self._noisy else 0)

    def __iter__(self) -> Iterator[Message]:
        yield from self._quiet.values()
        for tenant in self._noisy.values():
            yield from tenant.ready.values()

    @property
    def noisy_groups(self) -> frozenset[str]:
        """The groups that are noisy now."""
        return frozenset(self._noisy)

    @property
    def has_groups(self) -> bool:
        """Tell whether any message has, or lately had, a group."""
        return bool(self._tenants)

    def get(self, number: MessageNumber) -> Message | None:
        """Look a message up."""
        found = self._quiet.get(number)
        if found is None and self._noisy:
            lines = (tenant.ready.get(number) for tenant in self._noisy.values())
            return next((message for message in lines if message is not None), None)
        return found

    def put(self, message: Message, now: float) -> None:
        """A message can be received from now on; it is the last of its tenant's."""
        if not message.group_id:
            self._quiet[message.number] = message
            return
        tenant = self._tenant(message.group_id, now)
        tenant.ready[message.number] = message
        tenant.sent_at = max(tenant.sent_at, message.sent_at)
        self._quiet[message.number] = message
        if tenant.is_noisy:
            del self._quiet[message.number]
        else:
            self._judge(message.group_id, tenant, now)

    def pop(self, now: float) -> Message | None:
        """Take the message out that is next: of a quiet tenant, if there is one. None: there is no message."""
        message = self.next(now)
        if message is not None:
            self.remove(message.number, now)
        return message

    def next(self, now: float) -> Message | None:
        """The message that is next; of noisy tenants' the one's who has least in flight."""
        if self._noisy:
            self._calm(now)
        if self._quiet:
            return next(iter(self._quiet.values()))
        firsts = ((tenant.in_flight, next(iter(tenant.ready.values()))) for tenant in self._noisy.values())
        least = min(firsts, key=lambda first: (first[0], first[1].number), default=None)
        return None if least is None else least[1]

    def remove(self, number: MessageNumber, now: float) -> Message | None:
        """Take a message out, if it is here."""
        message = self._quiet.pop(number, None) or self.get(number)
        if message is not None and message.group_id:
            tenant = self._tenants[message.group_id]
            del tenant.ready[number]
            self._rest(message.group_id, tenant, now)
        return message

    def taken(self, message: Message, now: float) -> None:
        """A message is in flight."""
        self._in_flight += 1
        if message.group_id:
            tenant = self._tenant(message.group_id, now)
            tenant.in_flight += 1
            tenant.sent_at = max(tenant.sent_at, message.sent_at)
            self._judge(message.group_id, tenant, now)

    def returned(self, message: Message, now: float) -> None:
        """A message is not in flight any more: it was deleted, or is visible again."""
        self._in_flight -= 1
        if not self._tenants:
            return
        seconds = max(now - message.received_at, 0.0)
        self._spent.add(seconds, now)
        if message.group_id:
            tenant = self._tenants[message.group_id]
            tenant.in_flight -= 1
            tenant.spent.add(seconds, now)
            self._judge(message.group_id, tenant, now)
            self._rest(message.group_id, tenant, now)

    def clear(self) -> None:
        """Forget everything."""
        for place in (self._quiet, self._tenants, self._noisy, self._idle):
            place.clear()
        self._in_flight = 0

    def _tenant(self, group: str, now: float) -> _Tenant:
        while self._idle and now - self._tenants[next(iter(self._idle))].spent.at > SILENT_S:
            del self._tenants[self._idle.popitem(last=False)[0]]
        self._idle.pop(group, None)
        return self._tenants.setdefault(group, _Tenant())

    def _judge(self, group: str, tenant: _Tenant, now: float) -> None:
        """Find out whether a tenant has become noisy."""
        if tenant.is_noisy or not tenant.ready or now - tenant.sent_at >= SILENT_S:
            return
        crowds = tenant.in_flight >= NOISY_IN_FLIGHT_MIN and tenant.in_flight > NOISY_SHARE * self._in_flight
        if crowds or tenant.spent.recent(now) > NOISY_SHARE * self._spent.recent(now):
            tenant.is_noisy = True
            self._noisy[group] = tenant
            for number in tenant.ready:
                del self._quiet[number]

    def _calm(self, now: float) -> None:
        """Let tenants that have been silent for long stand with the others again."""
        for group, tenant in list(self._noisy.items()):
            if now - tenant.sent_at >= SILENT_S:
                self._quieten(group, tenant)

    def _quieten(self, group: str, tenant: _Tenant) -> None:
        tenant.is_noisy = False
        del self._noisy[group]
        self._quiet.update(tenant.ready)

    def _rest(self, group: str, tenant: _Tenant, now: float) -> None:
        """Note what it means for a tenant to have one message less: without a backlog nobody is noisy."""
        if tenant.ready:
            return
        if tenant.is_noisy:
            self._quieten(group, tenant)
        if not tenant.in_flight:
            tenant.spent.add(0.0, now)
            self._idle[group] = None
            self._idle.move_to_end(group)
