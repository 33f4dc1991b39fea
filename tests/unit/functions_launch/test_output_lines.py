"""Lines of output, whatever pieces they arrive in."""

import asyncio
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workshape.functions.launch.output import (
    LINE_BYTES_MAX,
    LINES_AT_ONCE_MAX,
    PIPE_BYTES,
    READ_BYTES,
    OutputLines,
)

FRAME_TYPE = b"\xa5\x5a\x00\x0e"


def frame(message: bytes) -> bytes:
    """A message as the runtimes' own clients write it."""
    return FRAME_TYPE + len(message).to_bytes(4, "big") + (1_700_000_000_000_000).to_bytes(8, "big") + message


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


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=12).map(lambda data: data.replace(b"\xa5", b"\n")))),
    st.integers(1, 40),
)
def test_a_framed_message_is_one_event_however_it_arrives(written: list[tuple[bool, bytes]], piece: int) -> None:
    whole = b"".join(frame(text) if framed else text + b"\n" for framed, text in written)

    lines, _ = lines_of([whole[begin : begin + piece] for begin in range(0, len(whole), piece)])

    expected = []
    for framed, text in written:
        expected += [text.removesuffix(b"\n")] if framed else text.split(b"\n")
    assert lines == expected


def test_a_framed_message_ends_the_line_before_it() -> None:
    lines, _ = lines_of([b"half a line" + frame(b"one\ntwo\n") + b"\xa5 and", b" \xa5\x5a on\n"])

    assert lines == [b"half a line", b"one\ntwo", b"\xa5 and \xa5\x5a on"]


@pytest.mark.parametrize("cut", [1, 3, 9, 20])
def test_a_frame_that_ends_too_early_is_handed_on_as_far_as_it_came(cut: int) -> None:
    lines, ends = lines_of([b"a\n", frame(b"0123456789")[:cut]])

    assert lines == [b"a", frame(b"0123456789")[:cut] if cut < 16 else b"0123"]
    assert ends == 1


def test_bytes_that_only_look_like_a_frame_are_a_line_like_others() -> None:
    too_long = FRAME_TYPE + b"\xff" * 4 + bytes(8) + b" and on\n"
    no_time = FRAME_TYPE + bytes(4) + b"\x01" * 8 + b" and on\n"

    lines, _ = lines_of([too_long + no_time, frame(b"told") + b"after\n"])

    assert lines == [too_long[:-1], no_time[:-1], b"told", b"after"]


def test_a_large_framed_message_comes_in_pieces() -> None:
    lines, _ = lines_of([frame(b"x" * (LINE_BYTES_MAX + 5)), b"y\n"])

    assert lines == [b"x" * LINE_BYTES_MAX, b"x" * 5, b"y"]


def test_what_is_no_whole_line_yet_can_be_asked_for() -> None:
    async def read() -> list[bytes]:
        lines: list[bytes] = []
        readable, writable = os.pipe()
        output = OutputLines(readable, lines.append, lambda: None)
        os.write(writable, b"one\ntw" + frame(b"three")[:18])
        output.drain(whole=False)
        os.write(writable, b"ree" + b"four")
        output.drain(whole=False)
        output.drain(whole=False)
        os.close(writable)
        output.close()
        return lines

    assert asyncio.run(read()) == [b"one", b"tw", b"three", b"four"]


def test_many_short_lines_do_not_keep_the_event_loop_from_others() -> None:
    async def read() -> tuple[int, int]:
        lines: list[bytes] = []
        readable, writable = os.pipe()
        output = OutputLines(readable, lines.append, lambda: None)
        os.write(writable, b"\n" * PIPE_BYTES)
        while not lines:
            await asyncio.sleep(0)
        at_once = len(lines)
        output.drain()
        os.close(writable)
        output.close()
        return at_once, len(lines)

    at_once, in_all = asyncio.run(read())

    assert at_once < LINES_AT_ONCE_MAX + READ_BYTES
    assert in_all == PIPE_BYTES


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
