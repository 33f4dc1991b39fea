"""Lines of output, whatever pieces they arrive in."""

from hypothesis import given
from hypothesis import strategies as st

from workshape.functions.launch.output import LINE_BYTES_MAX, OutputLines


def lines_of(pieces: list[bytes]) -> tuple[list[bytes], int]:
    lines: list[bytes] = []
    ends: list[int] = []
    output = OutputLines(lines.append, lambda: ends.append(1))
    for piece in pieces:
        output.data_received(piece)
    output.connection_lost(None)
    return lines, len(ends)


@given(st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\x00", b"\n"))))
def test_lines_do_not_depend_on_how_the_bytes_arrive(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)

    lines, ends = lines_of(pieces)

    expected = whole.split(b"\n")
    assert lines == (expected[:-1] if expected[-1] == b"" else expected)
    assert ends == 1


@given(st.lists(st.integers(1, LINE_BYTES_MAX * 2), max_size=5))
def test_no_line_is_longer_than_the_bound_and_no_byte_is_lost(sizes: list[int]) -> None:
    lines, _ = lines_of([b"x" * size for size in sizes])

    assert sum(map(len, lines)) == sum(sizes)
    assert all(len(line) <= LINE_BYTES_MAX for line in lines)
