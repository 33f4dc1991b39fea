"""What a streamed response says before its body."""

from hypothesis import given
from hypothesis import strategies as st

from workshape.gateway.streamed_response import DELIMITER, read_prelude

PRELUDE = b'{"statusCode": "201", "headers": {"X-Own": true}, "cookies": ["a=1"]}'


@given(st.binary(max_size=40), st.lists(st.integers(0, 120), max_size=6))
def test_however_it_is_cut_into_pieces_the_prelude_is_read_once_and_no_byte_of_the_body_is_lost(
    body: bytes, cuts: list[int]
) -> None:
    whole = PRELUDE + DELIMITER + body
    ends = sorted({*(min(cut, len(whole)) for cut in cuts), len(whole)})

    end, split = next((end, split) for end in ends if (split := read_prelude(whole[:end])) is not None)

    head, begin = split
    assert begin + whole[end:] == body
    assert head.status == 201
    assert head.headers == (("x-own", "true"), ("set-cookie", "a=1"), ("content-type", "application/octet-stream"))
