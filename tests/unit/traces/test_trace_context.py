"""The headers traces travel in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.traces.context import TraceContext, read_header, read_traceparent

TRACE = "5759e988bd862e3fe1be46a994272793"
ROOT = "Root=1-5759e988-bd862e3fe1be46a994272793"


@pytest.mark.parametrize(
    ("text", "context"),
    [
        (f"{ROOT};Parent=53995c3f42cd8ad8;Sampled=1", TraceContext(TRACE, "53995c3f42cd8ad8", is_sampled=True)),
        (f"Sampled=0; {ROOT}", TraceContext(TRACE, "", is_sampled=False)),
        (f"{ROOT};Sampled=?;Lineage=a:1", TraceContext(TRACE, "", is_sampled=None)),
        (f"{ROOT};Parent=nonsense", TraceContext(TRACE, "", is_sampled=None)),
        ("Root=2-5759e988-bd862e3fe1be46a994272793", None),
        ("Sampled=1", None),
        ("", None),
    ],
)
def test_x_rays_header_is_read(text: str, context: TraceContext | None) -> None:
    assert read_header(text) == context


@pytest.mark.parametrize(
    ("text", "context"),
    [
        (f"00-{TRACE}-53995c3f42cd8ad8-01", TraceContext(TRACE, "53995c3f42cd8ad8", is_sampled=True)),
        (f"00-{TRACE}-53995c3f42cd8ad8-00", TraceContext(TRACE, "53995c3f42cd8ad8", is_sampled=False)),
        (f"00-{'0' * 32}-53995c3f42cd8ad8-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"ff-{TRACE}-53995c3f42cd8ad8-01", None),
        ("", None),
    ],
)
def test_w3cs_header_is_read(text: str, context: TraceContext | None) -> None:
    assert read_traceparent(text) == context


HEX = st.sampled_from("0123456789abcdef")
CONTEXTS = st.builds(
    TraceContext,
    st.lists(HEX, min_size=32, max_size=32).map("".join),
    st.one_of(st.just(""), st.lists(HEX, min_size=16, max_size=16).map("".join)),
    st.sampled_from([True, False, None]),
)


@given(CONTEXTS)
def test_what_is_written_is_read_back(context: TraceContext) -> None:
    assert read_header(context.header()) == context
