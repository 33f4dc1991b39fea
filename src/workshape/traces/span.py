"""A span: one stretch of work in a trace. A core."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of work."""

    name: str
    service: str
    """Whose work it is: the function's name."""
    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 digits."""
    parent_id: str
    """Empty for the first of a trace."""
    began_at: float
    """Unix time."""
    ended_at: float
    is_server: bool = False
    """It answers a request from outside; the others are parts of it."""
    error: str = ""
    """Why it failed; empty when it did not."""
    attributes: Mapping[str, str | int | bool] = field(default_factory=dict)
    """By OpenTelemetry's semantic conventions."""


Export = Callable[[Span], None]
"""Takes a span off our hands; never waits, and drops spans when too many are waiting."""
