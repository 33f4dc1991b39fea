"""Brings about the buses, rules and schedules that the app wants.

What the app file no longer names is removed, if the app file had made it. A bus that others put rules on stays.
"""

from dataclasses import dataclass

import msgspec

from workshape.app.event_build import rule_of, schedule_of
from workshape.app.event_model import Bus, Rule, Schedule
from workshape.app.model import App
from workshape.events.buses import Buses
from workshape.events.model import BusInUse, BusName, EventBus
from workshape.events.scheduler.model import DEFAULT_GROUP, ScheduleNotFound
from workshape.events.scheduler.schedules import Schedules
from workshape.store.documents import Documents

DOCUMENT_KIND = "app"
DOCUMENT_KEY = "made-events"


class MadeEvents(msgspec.Struct, frozen=True):
    """What earlier versions of the app file made and this one may remove."""

    buses: tuple[str, ...] = ()
    rules: tuple[tuple[str, str], ...] = ()
    """Bus and name."""
    schedules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EventCatalogue:
    """EventBridge, as the app needs it."""

    buses: Buses
    schedules: Schedules
    store: Documents

    def made(self) -> MadeEvents:
        """What there is of earlier versions of the app file."""
        documents = dict(self.store.all(DOCUMENT_KIND))
        if DOCUMENT_KEY not in documents:
            return MadeEvents()
        return msgspec.json.decode(documents[DOCUMENT_KEY], type=MadeEvents)

    def keep(self, made: MadeEvents) -> None:
        """Remember what there is now."""
        self.store.put(DOCUMENT_KIND, DOCUMENT_KEY, msgspec.json.encode(made))


@dataclass(frozen=True, slots=True)
class RemoveEvents:
    """The app had made it and names it no more."""

    kind: str
    name: str


EventChange = Bus | Rule | Schedule | RemoveEvents
"""What was made or changed, as the app has it; or what was removed."""


def apply_events(app: App, catalogue: EventCatalogue) -> list[EventChange]:
    """Make buses, rules and schedules as the app wants them; return what was changed.

    Raises:
        WorkshapeError: a change was refused.
    """
    made = catalogue.made()
    wanted = MadeEvents(
        tuple(bus.name for bus in app.buses),
        tuple((rule.bus, rule.name) for rule in app.rules),
        tuple(schedule.name for schedule in app.schedules),
    )
    if made == wanted == MadeEvents():
        return []
    catalogue.keep(_both(made, wanted))
    changes = [*_removals(made, wanted, catalogue)]
    changes += [bus for bus in app.buses if _put_bus(bus, catalogue.buses)]
    region, account = catalogue.buses.region, catalogue.buses.account
    changes += [rule for rule in app.rules if catalogue.buses.put_whole(rule_of(rule, region, account))]
    for schedule in app.schedules:
        if catalogue.schedules.put_whole(schedule_of(schedule, region, account)):
            changes.append(schedule)
    catalogue.keep(wanted)
    return changes


def _removals(made: MadeEvents, wanted: MadeEvents, catalogue: EventCatalogue) -> list[EventChange]:
    schedules = (name for name in made.schedules if name not in wanted.schedules)
    rules = (pair for pair in made.rules if pair not in wanted.rules)
    buses = (name for name in made.buses if name not in wanted.buses)
    return [
        *(RemoveEvents("schedule", name) for name in schedules if _delete_schedule(name, catalogue.schedules)),
        *(RemoveEvents("rule", name) for bus, name in rules if _delete_rule(bus, name, catalogue.buses)),
        *(RemoveEvents("bus", name) for name in buses if _delete_bus(name, catalogue.buses)),
    ]


def _put_bus(bus: Bus, buses: Buses) -> bool:
    if not buses.has_bus(bus.name):
        buses.create_bus(EventBus(name=BusName(bus.name), description=bus.description))
        return True
    present = buses.bus(bus.name)
    if present.description == bus.description:
        return False
    buses.put_bus(msgspec.structs.replace(present, description=bus.description))
    return True


def _delete_rule(bus: str, name: str, buses: Buses) -> bool:
    return buses.has_bus(bus) and buses.delete_whole(bus, name)


def _delete_bus(name: str, buses: Buses) -> bool:
    try:
        there = buses.has_bus(name)
        buses.delete_bus(name)
    except BusInUse:
        return False  # somebody put rules on it over the API
    return there


def _delete_schedule(name: str, schedules: Schedules) -> bool:
    try:
        schedules.delete(DEFAULT_GROUP, name)
    except ScheduleNotFound:
        return False  # somebody deleted it over the API: that is what was wanted
    return True


def _both(made: MadeEvents, wanted: MadeEvents) -> MadeEvents:
    return MadeEvents(
        tuple(sorted({*made.buses, *wanted.buses})),
        tuple(sorted({*made.rules, *wanted.rules})),
        tuple(sorted({*made.schedules, *wanted.schedules})),
    )
