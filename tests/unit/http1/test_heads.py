"""The head of a response is what it says, whatever was written before with the same names."""

from hypothesis import given
from hypothesis import strategies as st

from workshape.http1.head import response_head

TOKENS = st.text("abcXYZ0189-_{}%!", min_size=1, max_size=8)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=12)


def lines(head: bytes) -> list[str]:
    """Its lines without the `date` that the server adds."""
    assert head.endswith(b"\r\n\r\n")
    return [line for line in head.decode("latin-1").split("\r\n")[:-2] if not line.startswith("date: ")]


@given(st.lists(st.tuples(TOKENS, VALUES), max_size=4), st.sampled_from([200, 404, 599]), st.integers(0, 9))
def test_every_header_stands_as_it_was_given(pairs: list[tuple[str, str]], status: int, length: int) -> None:
    head = response_head(status, tuple(pairs), length, keep_alive=True)

    first, *rest = lines(head)
    assert first.startswith(f"HTTP/1.1 {status} ")
    assert rest == [*(f"{name}: {value}" for name, value in pairs), f"content-length: {length}"]


def test_a_body_is_framed_as_it_is_sent() -> None:
    assert lines(response_head(200, (), None, keep_alive=True))[1:] == ["transfer-encoding: chunked"]
    assert lines(response_head(200, (), -1, keep_alive=False))[1:] == ["connection: close"]
    assert lines(response_head(204, (), 0, keep_alive=True))[1:] == []


def test_what_the_headers_say_of_date_and_length_is_not_said_twice() -> None:
    own = (("Date", "Thu, 26 Nov 2026 10:00:00 GMT"), ("Content-Length", "7"))

    head = response_head(200, own, 0, keep_alive=True)

    assert head.decode().lower().count("date: ") == 1
    assert lines(head)[1:] == ["Date: Thu, 26 Nov 2026 10:00:00 GMT", "Content-Length: 7"]
