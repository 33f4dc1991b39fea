"""The event buses and rules there are: durable, and compiled. Everything that matches or shows a rule asks here.

Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Operations.html
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from workshape.clock import Clock
from workshape.events.model import (
    BUSES_MAX,
    DEFAULT_BUS,
    RULES_PER_BUS_MAX,
    TARGETS_PER_RULE_MAX,
    BusExists,
    BusInUse,
    BusNotFound,
    DefaultBusStays,
    EventBus,
    LimitExceeded,
    ResourceNotFound,
    Rule,
    RuleHasTargets,
    RuleName,
    RuleNotFound,
    Target,
    bus_arn,
    rule_arn,
)
from workshape.events.rule import CompiledRule, compile_rule
from workshape.store.documents import Documents

BUS_KIND = "event-bus"
RULE_KIND = "event-rule"

OnRule = Callable[[str, CompiledRule | None], None]
"""Takes a rule's ARN and what it is now; None: it is gone."""


@dataclass(slots=True)
class _Bus:
    bus: EventBus
    rules: dict[RuleName, CompiledRule] = field(default_factory=dict)


class Buses:
    """All of one account and region. A change is on disk when its method returns."""

    def __init__(self, store: Documents, clock: Clock, *, region: str, account: str) -> None:
        """Read what there is; the default bus always is."""
        self._store = store
        self._clock = clock
        self.region = region
        self.account = account
        self._on_rule: list[OnRule] = []
        self._holds: list[Callable[[str], bool]] = []
        self._buses: dict[str, _Bus] = {}
        for name, document in store.all(BUS_KIND):
            self._buses[name] = _Bus(msgspec.msgpack.decode(document, type=EventBus))
        if DEFAULT_BUS not in self._buses:
            now = clock.wall_s()
            arn = bus_arn(region, account, DEFAULT_BUS)
            self._keep_bus(EventBus(name=DEFAULT_BUS, arn=arn, created_at=now, modified_at=now))
        for _, document in store.all(RULE_KIND):
            rule = msgspec.msgpack.decode(document, type=Rule)
            self._buses[rule.bus].rules[rule.name] = compile_rule(rule)

    def __repr__(self) -> str:
        return f"<Buses {', '.join(f'{name}:{len(bus.rules)}' for name, bus in self._buses.items())}>"

    def subscribe(self, on_rule: OnRule) -> None:
        """Have it called with each rule that changes."""
        self._on_rule.append(on_rule)

    def hold(self, holds: Callable[[str], bool]) -> None:
        """Have it asked whether a bus (by its name) is still of use, before it is deleted."""
        self._holds.append(holds)

    def compiled(self) -> list[CompiledRule]:
        """The rules of all buses."""
        return [compiled for bus in self._buses.values() for compiled in bus.rules.values()]

    # Buses

    def buses(self) -> list[EventBus]:
        """All of them, by name."""
        return [self._buses[name].bus for name in sorted(self._buses)]

    def bus(self, name: str) -> EventBus:
        """Return a bus. Raises: BusNotFound: there is none."""
        return self._bus(name).bus

    def has_bus(self, name: str) -> bool:
        """Tell whether there is such a bus."""
        return name in self._buses

    def create_bus(self, given: EventBus) -> EventBus:
        """Make a bus; its ARN and its times are given here.

        Raises:
            BusExists, LimitExceeded: it cannot be.
        """
        if given.name in self._buses:
            raise BusExists(name=given.name)
        if len(self._buses) >= BUSES_MAX:
            raise LimitExceeded(limit=BUSES_MAX, what="event buses")
        now = self._clock.wall_s()
        arn = bus_arn(self.region, self.account, given.name)
        bus = msgspec.structs.replace(given, arn=arn, created_at=now, modified_at=now)
        self._keep_bus(bus)
        return bus

    def put_bus(self, bus: EventBus) -> EventBus:
        """Replace a bus there is."""
        changed = msgspec.structs.replace(bus, modified_at=self._clock.wall_s())
        self._keep_bus(changed)
        return changed

    def delete_bus(self, name: str) -> None:
        """Remove a bus; nothing to do when there is none.

        Raises:
            DefaultBusStays, BusInUse: it cannot be.
        """
        if name == DEFAULT_BUS:
            raise DefaultBusStays
        if name not in self._buses:
            return
        if self._buses[name].rules:
            raise BusInUse(name=name, what="rules")
        if any(holds(name) for holds in self._holds):
            raise BusInUse(name=name, what="archives")
        self._store.delete(BUS_KIND, name)
        del self._buses[name]

    # Rules

    def rules(self, bus: str) -> list[Rule]:
        """The rules of a bus, by name. Raises: BusNotFound: there is no such bus."""
        rules = self._bus(bus).rules
        return [rules[name].rule for name in sorted(rules)]

    def rule(self, bus: str, name: str) -> Rule:
        """Return a rule. Raises: BusNotFound, RuleNotFound: there is none."""
        return self._rule(bus, name).rule

    def matching(self, bus: str, body: Mapping[str, object]) -> list[CompiledRule]:
        """The rules of a bus that take an event. Raises: BusNotFound: there is no such bus."""
        return [rule for rule in self._bus(bus).rules.values() if rule.matches(body)]

    def find(self, arn: str) -> CompiledRule | None:
        """The rule of that ARN, if it is there."""
        bus, _, name = arn.partition(":rule/")[2].rpartition("/")
        there = self._buses.get(bus or DEFAULT_BUS)
        found = there.rules.get(RuleName(name)) if there is not None else None
        return found if found is not None and found.rule.arn == arn else None

    def put_rule(self, given: Rule) -> Rule:
        """Make a rule, or replace all of it but its targets and tags; its ARN and its times are given here.

        Raises:
            BusNotFound, LimitExceeded, Invalid: it cannot be.
        """
        there = self._bus(given.bus)
        now = self._clock.wall_s()
        present = there.rules.get(given.name)
        if present is None:
            if len(there.rules) >= RULES_PER_BUS_MAX:
                raise LimitExceeded(limit=RULES_PER_BUS_MAX, what=f"rules on event bus {given.bus}")
            arn = rule_arn(self.region, self.account, given.bus, given.name)
            rule = msgspec.structs.replace(given, arn=arn, created_at=now, scheduled_since=now)
        else:
            old = present.rule
            rule = msgspec.structs.replace(
                given,
                arn=old.arn,
                created_at=old.created_at,
                scheduled_since=old.scheduled_since if old.schedule == given.schedule else now,
                targets=old.targets,
                tags=old.tags,
            )
        self._keep_rule(rule)
        return rule

    def put_whole(self, given: Rule) -> bool:
        """Make a rule, or replace it with its targets; tell whether anything changed. Its tags stay.

        Raises:
            BusNotFound, LimitExceeded, Invalid: it cannot be.
        """
        present = self._bus(given.bus).rules.get(given.name)
        if present is None:
            self.put_rule(given)
            return True
        old = present.rule
        rule = msgspec.structs.replace(
            given, arn=old.arn, created_at=old.created_at, scheduled_since=old.scheduled_since, tags=old.tags
        )
        if rule.schedule != old.schedule:
            rule = msgspec.structs.replace(rule, scheduled_since=self._clock.wall_s())
        if rule == old:
            return False
        self._keep_rule(rule)
        return True

    def delete_whole(self, bus: str, name: str) -> bool:
        """Remove a rule with its targets; tell whether it was there. Raises: BusNotFound: there is no such bus."""
        compiled = self._bus(bus).rules.pop(RuleName(name), None)
        if compiled is None:
            return False
        self._store.delete(RULE_KIND, _key(compiled.rule))
        self._tell(compiled.rule.arn, None)
        return True

    def set_state(self, bus: str, name: str, state: str) -> None:
        """Enable or disable a rule. Raises: BusNotFound, RuleNotFound: there is none."""
        rule = self.rule(bus, name)
        if rule.state != state:
            self._keep_rule(msgspec.structs.replace(rule, state=state))

    def delete_rule(self, bus: str, name: str) -> None:
        """Remove a rule; nothing to do when there is none.

        Raises:
            BusNotFound: there is no such bus. RuleHasTargets: it cannot be.
        """
        there = self._bus(bus)
        compiled = there.rules.get(RuleName(name))
        if compiled is None:
            return
        if compiled.rule.targets:
            raise RuleHasTargets
        self.delete_whole(bus, name)

    def put_targets(self, bus: str, name: str, targets: Iterable[Target]) -> None:
        """Add targets to a rule, each in the place of the one of its id; all of them, or none.

        Raises:
            BusNotFound, RuleNotFound, LimitExceeded, Invalid: it cannot be.
        """
        rule = self.rule(bus, name)
        together = {**rule.targets, **{target.id: target for target in targets}}
        if len(together) > TARGETS_PER_RULE_MAX:
            raise LimitExceeded(limit=TARGETS_PER_RULE_MAX, what="targets on a rule")
        self._keep_rule(msgspec.structs.replace(rule, targets=together))

    def remove_targets(self, bus: str, name: str, ids: list[str]) -> list[str]:
        """Take targets away; return the ids of those that were not there.

        Raises:
            BusNotFound, RuleNotFound: there is none.
        """
        rule = self.rule(bus, name)
        left = {key: target for key, target in rule.targets.items() if key not in ids}
        if len(left) != len(rule.targets):
            self._keep_rule(msgspec.structs.replace(rule, targets=left))
        return [key for key in ids if key not in rule.targets]

    # Tags

    def tags(self, arn: str) -> dict[str, str]:
        """Return a rule's or a bus's tags. Raises: ResourceNotFound: it is neither."""
        return self._tagged(arn).tags

    def set_tags(self, arn: str, tags: dict[str, str]) -> None:
        """Replace a rule's or a bus's tags. Raises: ResourceNotFound: it is neither."""
        tagged = self._tagged(arn)
        if isinstance(tagged, EventBus):
            self._keep_bus(msgspec.structs.replace(tagged, tags=tags))
        else:
            self._keep_rule(msgspec.structs.replace(tagged, tags=tags))

    def _tagged(self, arn: str) -> EventBus | Rule:
        rule = self.find(arn)
        if rule is not None:
            return rule.rule
        there = self._buses.get(arn.partition(":event-bus/")[2])
        if there is None or there.bus.arn != arn:
            raise ResourceNotFound(kind="resource", name=arn)
        return there.bus

    def _bus(self, name: str) -> _Bus:
        if name not in self._buses:
            raise BusNotFound(kind="event bus", name=name)
        return self._buses[name]

    def _rule(self, bus: str, name: str) -> CompiledRule:
        compiled = self._bus(bus).rules.get(RuleName(name))
        if compiled is None:
            raise RuleNotFound(kind="rule", name=name, bus=bus)
        return compiled

    def _keep_bus(self, bus: EventBus) -> None:
        self._store.put(BUS_KIND, bus.name, msgspec.msgpack.encode(bus))
        there = self._buses.get(bus.name)
        if there is None:
            self._buses[bus.name] = _Bus(bus)
        else:
            there.bus = bus

    def _keep_rule(self, rule: Rule) -> None:
        compiled = compile_rule(rule)
        self._store.put(RULE_KIND, _key(rule), msgspec.msgpack.encode(rule))
        self._buses[rule.bus].rules[rule.name] = compiled
        self._tell(rule.arn, compiled)

    def _tell(self, arn: str, compiled: CompiledRule | None) -> None:
        for on_rule in self._on_rule:
            on_rule(arn, compiled)


def _key(rule: Rule) -> str:
    return f"{rule.bus}/{rule.name}"
