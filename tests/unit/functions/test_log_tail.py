"""The last of an invocation's log: 4 KiB of it, however much there was."""

from hypothesis import given
from hypothesis import strategies as st

from workshape.functions.limits import LOG_TAIL_BYTES
from workshape.functions.log_tail import LogTail


@given(st.lists(st.lists(st.integers(0, 3_000).map(lambda size: b"x" * size), min_size=1, max_size=4), max_size=12))
def test_it_is_the_end_of_all_the_lines(added: list[list[bytes]]) -> None:
    tail = LogTail()

    for lines in added:
        tail.add(lines)

    whole = b"".join(line + b"\n" for lines in added for line in lines)
    assert tail.text == whole[-LOG_TAIL_BYTES:]


def test_what_is_not_of_the_end_is_not_kept() -> None:
    tail = LogTail()

    for _ in range(1_000):
        tail.add([b"x" * 1_000])

    assert len(tail._lines) <= 6
