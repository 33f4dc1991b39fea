"""What holds for the events of a function's qualifier, put together from where it is set."""

from workshape.errors import CallerError
from workshape.functions.catalog import Catalog
from workshape.functions.event_invoke import EventPolicy, limits_of
from workshape.functions.model import LATEST, FunctionName
from workshape.functions.recursion import RecursiveLoop


def event_policy(catalog: Catalog, name: str, qualifier: str | None) -> EventPolicy:
    """Look up how an event is tried and who is told: by Lambda's own limits, and nobody, when the function is gone.

    Destinations are set for a qualifier; the dead-letter queue is the version's own.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    config = catalog.event_invoke_configs.get(name, qualifier or LATEST)
    try:
        dead_letter = catalog.find(catalog.reference(name, qualifier)).configuration.dead_letter_arn
    except CallerError:
        dead_letter = ""
    return EventPolicy(
        limits=limits_of(config),
        on_success=config.on_success if config is not None else "",
        on_failure=config.on_failure if config is not None else "",
        dead_letter=dead_letter,
        is_switched_off=catalog.reserved_concurrency(FunctionName(name)) == 0,
        stops_loops=stops_loops(catalog, name),
    )


def stops_loops(catalog: Catalog, name: str) -> bool:
    """Tell whether recursive loops of a function are stopped: unless it was set that they are not."""
    recursion = catalog.recursion_configs.get(name, LATEST)
    return recursion is None or recursion.recursive_loop is RecursiveLoop.TERMINATE
