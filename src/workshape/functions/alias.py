"""A name for a function's version, or for two that share its invocations by weight. A core.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
"""

import msgspec

from workshape.errors import Invalid
from workshape.functions.model import LATEST

ADDITIONAL_VERSIONS_MAX = 1


class InvalidRouting(Invalid):
    """RoutingConfig of an alias: {reason}"""

    reason: str


class Alias(msgspec.Struct, frozen=True):
    """One alias of a function."""

    name: str
    version: str
    """`$LATEST` or a number: what gets the invocations that no weight gives to another."""
    revision: str
    description: str = ""
    additional_weights: dict[str, float] = {}
    """The share of another version, 0 to 1."""

    @property
    def versions(self) -> tuple[str, ...]:
        """All that it may run."""
        return (self.version, *self.additional_weights)


def choose_version(alias: Alias, draw: float) -> str:
    """Return the version that gets an invocation; `draw` is anything from 0 up to 1, all as likely."""
    for version, weight in alias.additional_weights.items():
        if draw < weight:
            return version
        draw -= weight
    return alias.version


def check_routing(alias: Alias) -> None:
    """Check what needs no look at the versions themselves.

    Raises:
        InvalidRouting: it is more than a second version and its weight.
    """
    # AWS: the messages are undocumented; the rules are the page's.
    if not alias.additional_weights:
        return
    if len(alias.additional_weights) > ADDITIONAL_VERSIONS_MAX:
        raise InvalidRouting(reason="an alias points to at most two versions.")
    for version, weight in alias.additional_weights.items():
        if not version.isdecimal() or alias.version == LATEST:
            raise InvalidRouting(reason="both versions must be published ones, named by their numbers.")
        if version == alias.version:
            raise InvalidRouting(reason=f"the second version must be another one than {version}.")
        if not 0.0 <= weight <= 1.0:
            raise InvalidRouting(reason=f"the weight of version {version} must be between 0.0 and 1.0, not {weight}.")
