"""Lines of output, whatever pieces they arrive in."""

import asyncio
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from workshape.functions.launch.output import LINE_BYTES_MAX, READ_BYTES, OutputLines


def lines_of(pieces: list[bytes]) -> tuple[list[bytes], int]:
    async def read() -> tuple[list[bytes], int]:
        lines: list[bytes] = []
        ends: list[int] = []
        readable, writable = os.pipe()
        output = OutputLines(readable, lines.append, lambda: ends.append(1))
        for piece in pieces:
            for begin in range(0, len(piece), READ_BYTES):
                os.write(writable, piece[begin : begin + READ_BYTES])
                output.drain()
        os.close(writable)
        output.drain()
        output.close()
        return lines, len(ends)

    return asyncio.run(read())


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\x00", b"\n"))))
def test_lines_do_not_depend_on_how_the_bytes_arrive(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)

    lines, ends = lines_of(pieces)

    expected = whole.split(b"\n")
    assert lines == (expected[:-1] if expected[-1] == b"" else expected)
    assert ends == 1


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, LINE_BYTES_MAX * 2), max_size=5))
def test_no_line_is_longer_than_the_bound_and_no_byte_is_lost(sizes: list[int]) -> None:
    lines, _ = lines_of([b"x" * size for size in sizes])

    assert sum(map(len, lines)) == sum(sizes)
    assert all(len(line) <= LINE_BYTES_MAX for line in lines)


def test_what_was_written_is_handed_on_without_waiting_for_the_event_loop() -> None:
    async def read() -> list[bytes]:
        lines: list[bytes] = []
        readable, writable = os.pipe()
        output = OutputLines(readable, lines.append, lambda: None)
        os.write(writable, b"one\ntwo\n")
        output.drain()
        os.close(writable)
        output.close()
        return lines

    assert asyncio.run(read()) == [b"one", b"two"]
