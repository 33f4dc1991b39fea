"""The spans of an invocation: the whole of it, and what its time went into. A core.

    NAME                from the request to the answer: waiting, starting and all
      queued            until an environment had it
      init              the init phase it waited for, on a cold start
      invocation        the function's own time; what the function does is below this span
      overhead          after its answer: until the environment asked for the next invocation

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html (Invocation, Initialization, Overhead)
Source: https://opentelemetry.io/docs/specs/semconv/faas/faas-spans/ (attributes)
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from workshape.traces.context import TraceContext, read_header
from workshape.traces.span import Export, Span

_TRIGGERS = {"http": "http", "sqs": "pubsub"}
_LEAST_S = 0.000_5  # a wait shorter than this is no span of its own


@dataclass(frozen=True, slots=True)
class Subject:
    """Which invocation it was, of what."""

    function: str
    version: str
    request_id: str
    trigger: str


@dataclass(frozen=True, slots=True)
class Moments:
    """When an invocation was where, by the monotonic clock; `wall_offset` makes Unix time of it."""

    arrived: float
    started: float
    ended: float
    wall_offset: float
    init: tuple[float, float] | None = None
    """The init phase before it, where it waited for one."""


class InvocationTrace:
    """One sampled invocation, from its request to its end."""

    __slots__ = ("_context", "_export", "_invocation_id", "_new_id", "_whole_id", "header", "settled_at")

    def __init__(self, context: TraceContext, export: Export, new_id: Callable[[], str]) -> None:
        """`context` is where the request came from; `new_id` makes ids of spans."""
        self._context = context
        self._export = export
        self._new_id = new_id
        self._whole_id = new_id()
        self._invocation_id = new_id()
        self.header = TraceContext(context.trace_id, self._invocation_id, is_sampled=True).header()
        """What the function gets: its own spans are below ours."""
        self.settled_at = inf
        """When the function answered."""

    def __repr__(self) -> str:
        return f"<InvocationTrace {self.header}>"

    def ended(self, subject: Subject, moments: Moments, error: str = "") -> None:
        """Tell all of its spans; `error` is the function's, if it failed."""
        answered = min(self.settled_at, moments.ended)
        self._whole(subject, moments, error)
        waited_until = moments.init[0] if moments.init is not None else moments.started
        if waited_until - moments.arrived >= _LEAST_S:
            self._part("queued", subject, (moments.arrived, waited_until), moments)
        if moments.init is not None:
            self._part("init", subject, moments.init, moments)
        self._part("invocation", subject, (moments.started, answered), moments, self._invocation_id, error)
        if moments.ended - answered >= _LEAST_S:
            self._part("overhead", subject, (answered, moments.ended), moments)

    def never_ran(self, subject: Subject, moments: Moments, error: str) -> None:
        """Tell of an invocation that no environment has seen."""
        self._whole(subject, moments, error)

    def _whole(self, subject: Subject, moments: Moments, error: str) -> None:
        attributes: dict[str, str | int | bool] = {
            "faas.name": subject.function,
            "faas.version": subject.version,
            "faas.invocation_id": subject.request_id,
            "faas.trigger": _TRIGGERS.get(subject.trigger, "other"),
            "faas.coldstart": moments.init is not None,
        }
        self._export(
            Span(
                subject.function,
                subject.function,
                self._context.trace_id,
                self._whole_id,
                self._context.parent_id,
                moments.arrived + moments.wall_offset,
                moments.ended + moments.wall_offset,
                is_server=True,
                error=error,
                attributes=attributes,
            )
        )

    def _part(
        self,
        name: str,
        subject: Subject,
        span: tuple[float, float],
        moments: Moments,
        span_id: str = "",
        error: str = "",
    ) -> None:
        began, ended = (at + moments.wall_offset for at in span)
        trace_id, span_id = self._context.trace_id, span_id or self._new_id()
        self._export(Span(name, subject.function, trace_id, span_id, self._whole_id, began, ended, error=error))


class InvocationTracer:
    """Decides which invocations are traced."""

    def __init__(self, export: Export, new_id: Callable[[], str]) -> None:
        self._export = export
        self._new_id = new_id

    def begin(self, *, is_active: bool, header: str, now_s: int) -> InvocationTrace | None:
        """Begin a trace, or go on with the caller's; None: this invocation is not traced.

        What the caller decided holds. Where nobody has, an active function is traced, and one that only passes traces
        through is not.

        Source: https://docs.aws.amazon.com/lambda/latest/api/API_TracingConfig.html
        """
        context = read_header(header)
        is_sampled = context.is_sampled if context is not None else None
        # AWS asks X-Ray for a decision, which samples some; we chose all: nobody pays for these.
        if not (is_active if is_sampled is None else is_sampled):
            return None
        if context is None:
            context = TraceContext(f"{now_s:08x}{self._new_id()}{self._new_id()[:8]}", "", is_sampled=True)
        return InvocationTrace(context, self._export, self._new_id)
