"""Which destinations and dead-letter queues the operations of Lambda take.

Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

from collections.abc import Callable, Collection
from typing import Any

from workshape.delivery import DestinationKind
from workshape.errors import Invalid
from workshape.triggers.destinations import Destinations

AcceptDestination = Callable[[str, Collection[DestinationKind]], None]
"""Takes an ARN and the kinds of destination AWS allows there; raises Invalid when nothing can be delivered to it."""

ON_SUCCESS = (DestinationKind.QUEUE, DestinationKind.TOPIC, DestinationKind.FUNCTION, DestinationKind.BUS)
ON_FAILURE = (*ON_SUCCESS, DestinationKind.BUCKET)
DEAD_LETTER = (DestinationKind.QUEUE, DestinationKind.TOPIC)


class DestinationMissing(Invalid):
    """The destination {arn} does not exist: create the {kind} first.

    AWS: it asks whether the role may send there, which fails where there is nothing; we chose the words.
    """

    arn: str
    kind: str


def accept_with(destinations: Destinations) -> AcceptDestination:
    """Accept what can be delivered to, and is there."""

    def accept(arn: str, kinds: Collection[DestinationKind]) -> None:
        destination = destinations.accepts(arn, among=kinds, fifo=False)
        if not destinations.exists(destination):
            raise DestinationMissing(arn=arn, kind=destination.kind.value)

    return accept


def read_destination_config(config: dict[str, Any], accept: AcceptDestination) -> dict[str, str]:
    """Read a DestinationConfig into the fields it sets.

    Raises:
        Invalid: nothing can be delivered there.
    """
    fields = {}
    for member, field, kinds in (("OnSuccess", "on_success", ON_SUCCESS), ("OnFailure", "on_failure", ON_FAILURE)):
        if member in config:
            arn = config[member].get("Destination") or ""
            if arn:
                accept(arn, kinds)
            fields[field] = arn
    return fields
