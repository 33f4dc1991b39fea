"""How long, and how often, an asynchronous invocation is tried, and who is told how it ended. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-configuring.html
"""

from dataclasses import dataclass

import msgspec

RETRIES_MAX = 2
AGE_S_MAX = 6 * 3_600


class EventInvokeConfig(msgspec.Struct, frozen=True):
    """What was set for one qualifier of a function; None: nothing was, and Lambda's own limit is taken."""

    modified_at: float
    """Unix time."""
    retries_max: int | None = None
    age_s_max: int | None = None
    on_success: str = ""
    """ARN of the destination; empty: there is none."""
    on_failure: str = ""


@dataclass(frozen=True, slots=True)
class EventLimits:
    """What is taken."""

    retries_max: int = RETRIES_MAX
    """Of invocations that the function itself failed."""
    age_s_max: float = AGE_S_MAX


@dataclass(frozen=True, slots=True)
class EventPolicy:
    """All that matters to the events of one qualifier."""

    limits: EventLimits = EventLimits()
    on_success: str = ""
    on_failure: str = ""
    dead_letter: str = ""
    """ARNs; empty: nobody is told."""
    is_switched_off: bool = False
    """Its reserved concurrency is 0: its events are given up without being tried."""
    stops_loops: bool = True
    """An event that has come back to it too often is given up."""


def limits_of(config: EventInvokeConfig | None) -> EventLimits:
    """Fill up what was not set."""
    if config is None:
        return EventLimits()
    return EventLimits(
        RETRIES_MAX if config.retries_max is None else config.retries_max,
        AGE_S_MAX if config.age_s_max is None else config.age_s_max,
    )
