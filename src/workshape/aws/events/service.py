"""EventBridge as the front door finds it.

Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Operations.html
"""

from workshape.aws.events.api_destinations import destination_operations
from workshape.aws.events.archives import archive_operations
from workshape.aws.events.buses import bus_operations
from workshape.aws.events.connections import connection_operations
from workshape.aws.events.errors import ERRORS
from workshape.aws.events.put_events import event_operations
from workshape.aws.events.rules import rule_operations
from workshape.aws.events.targets import ReadDestination, target_operations
from workshape.aws.operation import Service
from workshape.events.api_destinations.connections import Connections
from workshape.events.api_destinations.destinations import ApiDestinations
from workshape.events.archives import Archives
from workshape.events.bus import EventBridge
from workshape.events.buses import Buses
from workshape.events.replays import Replays


def events_service(
    buses: Buses,
    bridge: EventBridge,
    archives: Archives,
    replays: Replays,
    connections: Connections,
    destinations: ApiDestinations,
    read_destination: ReadDestination,
) -> Service:
    """Offer the buses as EventBridge."""
    operations = {
        **bus_operations(buses),
        **rule_operations(buses),
        **target_operations(buses, read_destination),
        **event_operations(bridge),
        **archive_operations(archives, replays),
        **connection_operations(connections),
        **destination_operations(destinations),
    }
    return Service("events", operations, ERRORS)
