"""Requests that no operation gets to see, because they are not what the service model says."""

from workshape.errors import CallerError, Invalid


class UnreadableBody(Invalid):
    """Could not parse request body into json: {reason}"""

    reason: str


class Malformed(Invalid):
    """The value at '{place}' is not {expected}."""

    place: str
    """Dotted path of members, from the outermost; empty for the whole input."""
    expected: str

    def within(self, place: str) -> "Malformed":
        """Tell of the same value, as seen from one level further out."""
        return Malformed(place=f"{place}.{self.place}" if self.place else place, expected=self.expected)


class NestedTooDeep(Invalid):
    """The request has values nested too deep to be read."""


class ConstraintsViolated(Invalid):
    """{summary}: {violations}"""

    summary: str
    """`1 validation error detected`"""
    violations: str


class UnknownOperation(CallerError):
    """{service} has no operation {operation}."""

    service: str
    operation: str


class OperationNotBuilt(CallerError):
    """workshape does not answer {service}'s operation {operation} (yet)."""

    service: str
    operation: str
