"""EventBridge: buses, rules, schedules, and whoever invokes their targets."""

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from math import inf

from workshape.aws.scheduler.universal import UniversalTargets
from workshape.delivery import Destination, DestinationKind, parse_destination
from workshape.engine.delivery_parts import DeliveryParts
from workshape.engine.ground import Ground
from workshape.events.api_destinations.authorizer import Authorizer
from workshape.events.api_destinations.connections import Connections
from workshape.events.api_destinations.destinations import ApiDestinations
from workshape.events.api_destinations.invocation_rate import InvocationRates
from workshape.events.api_destinations.invoker import DestinationInvoker
from workshape.events.api_destinations.sender import HttpSender
from workshape.events.api_destinations.state_events import StateEvents
from workshape.events.archives import Archives
from workshape.events.bus import EventBridge
from workshape.events.buses import Buses
from workshape.events.event_metrics import EventMetrics
from workshape.events.model import DEFAULT_BUS
from workshape.events.replays import Replays
from workshape.events.scheduler.schedules import Schedules
from workshape.events.target_queue import TargetQueue
from workshape.events.targets import Targets
from workshape.status import RuleStatus, ScheduleStatus
from workshape.store.timelines import Timelines
from workshape.triggers.destinations import Destinations

SCHEDULES_SHOWN_MAX = 100  # what somebody reads
TARGET_KINDS = frozenset({DestinationKind.FUNCTION, DestinationKind.QUEUE, DestinationKind.TOPIC, DestinationKind.BUS})
RULE_TARGET_KINDS = TARGET_KINDS | {DestinationKind.API_DESTINATION}


@dataclass(frozen=True, slots=True)
class EventParts:
    """What takes events, and what invokes targets for them."""

    buses: Buses
    bridge: EventBridge
    archives: Archives
    replays: Replays
    schedules: Schedules
    connections: Connections
    api_destinations: ApiDestinations
    universal: UniversalTargets
    destinations: Destinations

    def rule_statuses(self) -> list[RuleStatus]:
        """The rules of all buses, and when they run next."""
        return [
            RuleStatus(
                bus=rule.bus,
                name=rule.name,
                state=rule.state,
                schedule=rule.schedule,
                targets=tuple(target.arn for target in rule.targets.values()),
                next_run_at=self.bridge.next_run_at(rule.arn),
            )
            for bus in self.buses.buses()
            for rule in self.buses.rules(bus.name)
        ]

    def schedule_statuses(self) -> tuple[list[ScheduleStatus], int]:
        """The schedules that run soonest, then those that never do; and how many there are."""
        everything = self.schedules.schedules()
        soonest = sorted(everything, key=lambda one: self.schedules.next_run_at(one) or inf)[:SCHEDULES_SHOWN_MAX]
        shown = [
            ScheduleStatus(
                group=one.group,
                name=one.name,
                state=one.state,
                expression=one.expression,
                time_zone=one.time_zone,
                target=one.target.arn,
                next_run_at=self.schedules.next_run_at(one),
            )
            for one in soonest
        ]
        return shown, len(everything)

    def read_target(self, arn: str) -> Destination:
        """Read the ARN of what can be a schedule's target. Raises: DestinationRefused: it cannot."""
        return self.destinations.accepts(arn, among=TARGET_KINDS)

    def read_rule_target(self, arn: str) -> Destination:
        """Read the ARN of what can be a rule's target. Raises: DestinationRefused: it cannot."""
        region, account = self.buses.region, self.buses.account
        return parse_destination(arn, region=region, account=account, kinds=RULE_TARGET_KINDS)


def open_events(ground: Ground, deliveries: DeliveryParts) -> EventParts:
    """Open the buses; nothing is matched before the engine serves."""
    settings, documents, clock = ground.settings, ground.documents, ground.clock
    destinations = deliveries.destinations
    metrics = EventMetrics()
    ground.metrics.add_source(metrics.take)
    buses = Buses(documents, clock, region=settings.region, account=settings.account)
    connections = Connections(documents, clock, region=settings.region, account=settings.account)
    api_destinations = ApiDestinations(documents, connections, clock, region=settings.region, account=settings.account)
    rates = InvocationRates(api_destinations.rate_of)
    queue = TargetQueue(documents, destinations.deliver, metrics, clock, rates=rates)
    timelines = ground.stack.enter_context(closing(Timelines(ground.run.state.event_archives)))
    archives = Archives(documents, timelines, buses, clock)
    bridge = EventBridge(documents, buses, archives, queue, metrics, clock)
    replays = Replays(documents, archives, buses, bridge.replay, clock)
    destinations.connect(DestinationKind.BUS, bridge.deliver, bridge.exists)
    default_bus = buses.bus(DEFAULT_BUS).arn
    states = StateEvents(connections, api_destinations, default_bus, bridge.deliver, clock)
    ground.serve("events about connections and API destinations", states.run)
    keys = settings.endpoint
    universal = UniversalTargets(
        ground.run.endpoint, region=settings.region, access_key=keys.access_key, secret_key=keys.secret_key
    )
    ground.stack.callback(universal.close)
    schedules = Schedules(documents, queue, clock, region=settings.region, account=settings.account)
    targets = Targets(
        destinations.deliver,
        universal.call,
        bridge.forward,
        _open_destinations(ground, connections, api_destinations).invoke,
    )
    ground.serve("targets of rules and schedules", partial(queue.run, targets.send))
    ground.serve("rules with schedules", bridge.run)
    ground.serve("schedules", schedules.run)
    ground.serve("archives of events", archives.run)
    ground.serve("replays of events", replays.run)
    return EventParts(
        buses, bridge, archives, replays, schedules, connections, api_destinations, universal, destinations
    )


def _open_destinations(
    ground: Ground, connections: Connections, api_destinations: ApiDestinations
) -> DestinationInvoker:
    sender = HttpSender()
    ground.stack.push_async_callback(sender.close)
    authorizer = Authorizer(connections, sender, ground.clock)
    ground.serve("authorization of connections", authorizer.run)
    return DestinationInvoker(api_destinations, connections, authorizer, sender, ground.clock)
