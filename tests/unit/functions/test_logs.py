"""Function logs: files of bounded size, their last lines, and followers."""

import asyncio
from pathlib import Path

from workshape.functions import logs as logs_module
from workshape.functions.logs import FunctionLogs
from workshape.functions.model import FunctionName

F, G = FunctionName("f"), FunctionName("g")
STREAM = "2026/10/08/[$LATEST]22be"
AT = 1_791_442_429.256


async def test_the_last_lines_are_found_before_they_are_flushed_and_after(tmp_path: Path) -> None:
    logs = FunctionLogs(tmp_path)
    for number in range(5):
        logs.write(F, STREAM, f"line {number}".encode(), AT)
    logs.write(G, STREAM, b"another function's", AT)

    found = logs.tail(F, 2)

    assert [line.message for line in found] == ["line 3", "line 4"]
    assert {(line.stream, line.time) for line in found} == {(STREAM, AT)}
    logs.close()
    assert tmp_path.joinpath("f.log").read_text().splitlines()[0] == f"2026-10-08T06:53:49.256Z {STREAM} line 0"


async def test_lines_reach_the_file_by_themselves(tmp_path: Path) -> None:
    logs = FunctionLogs(tmp_path)
    logs.write(F, STREAM, b"here", AT)

    async with asyncio.timeout(20):
        while not tmp_path.joinpath("f.log").exists():
            await asyncio.sleep(0.01)
    logs.close()


async def test_files_rotate_and_a_tail_reaches_over_them(tmp_path: Path) -> None:
    logs = FunctionLogs(tmp_path, file_bytes_max=100, files_max=3)
    for number in range(12):
        logs.write(F, STREAM, f"line {number}".encode(), AT)
        logs.flush()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.1.log", "f.2.log"]
    assert [line.message for line in logs.tail(F, 3)] == ["line 9", "line 10", "line 11"]
    assert len(logs.tail(F, 1_000)) < 12, "the oldest are gone"
    logs.close()


async def test_a_long_tail_is_read_in_pieces(tmp_path: Path) -> None:
    logs = FunctionLogs(tmp_path)
    for number in range(5_000):
        logs.write(F, STREAM, f"line {number}".encode(), AT)

    assert [line.message for line in logs.tail(F, 4_000)] == [f"line {number}" for number in range(1_000, 5_000)]
    logs.close()


async def test_a_function_without_a_log_has_no_lines(tmp_path: Path) -> None:
    assert FunctionLogs(tmp_path).tail(F, 10) == []


async def test_a_follower_sees_each_line_of_its_function_as_it_comes(tmp_path: Path) -> None:
    logs = FunctionLogs(tmp_path)
    everything, one = logs.subscribe(), logs.subscribe(F)

    logs.write(G, STREAM, b"of g", AT)
    logs.write(F, STREAM, b"of f", AT)
    logs.close()

    assert [line.message async for line in everything] == ["of g", "of f"]
    assert [line.message async for line in one] == ["of f"]


async def test_a_slow_follower_loses_the_oldest_lines_and_hears_how_many(tmp_path: Path) -> None:
    logs = FunctionLogs(tmp_path)
    follower = logs.subscribe()
    for number in range(logs_module.FOLLOWED_LINES_MAX + 7):
        logs.write(F, STREAM, str(number).encode(), AT)
    logs.close()

    lines = [line async for line in follower]

    assert (lines[0].message, lines[0].dropped) == ("7", 7)
    assert all(line.dropped == 0 for line in lines[1:])


async def test_a_follower_that_leaves_is_forgotten(tmp_path: Path) -> None:
    logs = FunctionLogs(tmp_path)
    async with logs.subscribe() as follower:
        logs.write(F, STREAM, b"one", AT)
        assert (await anext(follower)).message == "one"

    logs.write(F, STREAM, b"two", AT)

    assert [line async for line in follower] == []
    logs.close()


async def test_a_message_of_several_lines_stays_one(tmp_path: Path) -> None:
    logs = FunctionLogs(tmp_path)
    async with logs.subscribe() as follower:
        logs.write(F, STREAM, b"one\ntwo\n\tthree\r", AT)
        logs.write(F, STREAM, b"another", AT)
        shown = await anext(follower)

    assert shown.message == "one\ntwo\n\tthree\r"
    assert [line.message for line in logs.tail(F, 5)] == ["one\ntwo\n\tthree\r", "another"]
    assert len(tmp_path.joinpath("f.log").read_bytes().split(b"\n")) == 3
    logs.close()


async def test_lines_without_a_byte_are_not_kept_without_a_bound(tmp_path: Path) -> None:
    logs = FunctionLogs(tmp_path)

    for _ in range(2 * logs_module.BUFFERED_BYTES_MAX // logs_module.LINE_BYTES):
        logs.write(F, STREAM, b"", AT)

    assert tmp_path.joinpath("f.log").stat().st_size > 0, "nobody has asked, and no time has passed"
    logs.close()
