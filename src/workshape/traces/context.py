"""The headers that say which trace a request belongs to: X-Ray's, and W3C's `traceparent`. A core.

Source: https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
Source: https://www.w3.org/TR/trace-context/#traceparent-header
"""

import re
from dataclasses import dataclass

_ROOT = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
_PARENT = re.compile(r"[0-9a-f]{16}")
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_DECISIONS = {"1": True, "0": False}


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A trace, and the place in it that a request comes from."""

    trace_id: str
    """32 hexadecimal digits; X-Ray writes them as `1-8 digits-24 digits`."""
    parent_id: str
    """16 digits: the span it was made in; empty when it was made in none."""
    is_sampled: bool | None
    """None: nobody has decided yet."""

    def header(self) -> str:
        """Write it as X-Ray's header."""
        parts = [f"Root=1-{self.trace_id[:8]}-{self.trace_id[8:]}"]
        if self.parent_id:
            parts.append(f"Parent={self.parent_id}")
        if self.is_sampled is not None:
            parts.append(f"Sampled={int(self.is_sampled)}")
        return ";".join(parts)


def read_header(text: str) -> TraceContext | None:
    """Read X-Ray's header; None when it names no trace. Members that we do not know are passed over."""
    members = dict(part.strip().partition("=")[::2] for part in text.split(";"))
    root = _ROOT.fullmatch(members.get("Root", ""))
    if root is None:
        return None
    parent = members.get("Parent", "")
    return TraceContext(
        root[1] + root[2], parent if _PARENT.fullmatch(parent) else "", _DECISIONS.get(members.get("Sampled", ""))
    )


def read_traceparent(text: str) -> TraceContext | None:
    """Read W3C's header; None when it names no trace."""
    found = _TRACEPARENT.fullmatch(text)
    if found is None or not found[1].strip("0") or not found[2].strip("0"):
        return None
    return TraceContext(found[1], found[2], bool(int(found[3], 16) & 1))
