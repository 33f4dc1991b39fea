"""Reading logs by time: the lines of a span, all of them, wherever the search began."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workshape.functions import log_reader
from workshape.functions.log_reader import read_lines
from workshape.functions.logs import FunctionLogs
from workshape.functions.model import FunctionName

F = FunctionName("f")
AT = 1_791_442_429.0


async def written(folder: Path, offsets_ms: list[int], **bounds: int) -> FunctionLogs:
    logs = FunctionLogs(folder, **bounds)
    for number, offset in enumerate(offsets_ms):
        logs.write(F, "stream", f"line {number} {'x' * (number % 50)}".encode(), AT + offset / 1_000)
        if number % 10 == 0:
            logs.flush()
    return logs


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 500), max_size=120).map(sorted),
    st.integers(-10, 510),
    st.integers(0, 510),
    st.integers(16, 2_000),
)
async def test_a_span_has_exactly_its_lines(
    tmp_path_factory: pytest.TempPathFactory, offsets_ms: list[int], begin_ms: int, span_ms: int, search_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    logs = await written(folder, offsets_ms, file_bytes_max=2_000, files_max=50)
    before, log_reader.SEARCH_BYTES = log_reader.SEARCH_BYTES, search_bytes

    try:
        begin, end = AT + begin_ms / 1_000, AT + (begin_ms + span_ms) / 1_000
        found = [line.message.split()[1] for line in read_lines(F, logs.files(F), begin, end)]
    finally:
        log_reader.SEARCH_BYTES = before
        logs.close()

    inside = [str(number) for number, at in enumerate(offsets_ms) if begin_ms <= at < begin_ms + span_ms]
    assert found == inside


async def test_names_and_files_are_of_those_who_wrote(tmp_path: Path) -> None:
    logs = FunctionLogs(tmp_path, file_bytes_max=100, files_max=3)
    for number in range(12):
        logs.write(F, "stream", f"line {number}".encode(), AT)
        logs.flush()
    logs.write(FunctionName("g"), "stream", b"here", AT)

    assert logs.names() == ["f", "g"]
    assert [path.name for path in logs.files(FunctionName("g"))] == ["g.log"]
    assert [path.name for path in logs.files(F)] == ["f.2.log", "f.1.log"]
    assert logs.files(FunctionName("h")) == []
    logs.close()
