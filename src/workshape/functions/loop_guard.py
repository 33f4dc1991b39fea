"""Stops synchronous invocations, and messages of queues, that have come back to their function too often.

Asynchronous ones are stopped where events are tried (`async_event.py`).

Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
Source: https://aws.amazon.com/blogs/compute/detecting-and-stopping-recursive-loops-in-aws-lambda-functions/ (the caller
of an invocation gets a RecursiveInvocationException)
"""

from collections.abc import Callable, Iterable

from workshape.clock import Clock
from workshape.errors import CallerError
from workshape.functions.function_metrics import FunctionMetrics
from workshape.functions.lineage import ROUNDS_MAX, entered, rounds, together


class RecursiveInvocation(CallerError):
    """The function {function} was invoked in a recursive loop, {count} times by one event, and is stopped."""

    # AWS: undocumented; we chose the words.
    function: str
    count: int


class LoopGuard:
    """Counts the rounds of a chain of invocations, by the trace header that goes along with it."""

    def __init__(self, stops_loops: Callable[[str], bool], metrics: FunctionMetrics, clock: Clock) -> None:
        """`stops_loops` tells of a function, by its name, whether its loops are stopped."""
        self._stops_loops = stops_loops
        self._metrics = metrics
        self._clock = clock

    def __repr__(self) -> str:
        return f"<LoopGuard rounds_max={ROUNDS_MAX}>"

    def enter(self, function: str, qualifier: str | None, header: str) -> str:
        """Return the trace header that the invocation gets; a caller without one is outside, and begins no round.

        Raises:
            RecursiveInvocation: there have been enough of them.
        """
        if not header:
            return ""
        if self.stops(function, qualifier, header):
            raise RecursiveInvocation(function=function, count=ROUNDS_MAX)
        return entered(header, function)

    def stops(self, function: str, qualifier: str | None, header: str) -> bool:
        """Tell whether an invocation is one too many, and count it then."""
        if not header or rounds(header, function) < ROUNDS_MAX or not self._stops_loops(function):
            return False
        self._metrics.recursion_stopped(function, qualifier, self._clock.wall_s())
        return True

    def enter_together(self, function: str, headers: Iterable[str]) -> str:
        """Return the trace header that the invocation gets of all that several chains have brought to a function."""
        return entered(together(headers), function)
