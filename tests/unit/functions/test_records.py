"""Invocation records on disk: what a crash may cost, what a reader sees."""

from pathlib import Path

import pytest

from workshape.functions.model import RequestId
from workshape.functions.records import InvocationRecord, RecordWriter, read_records


def record(number: int, time: float = 1.0) -> InvocationRecord:
    return InvocationRecord(
        time=time,
        function="search",
        version="$LATEST",
        request_id=f"r{number}",
        trigger="api",
        duration_ms=1.5,
        billed_ms=2,
        memory_mb=128,
        max_memory_mb=20,
        timeout_s=3,
        status="success",
        request_bytes=2,
        response_bytes=4,
    )


async def test_what_was_flushed_is_read_without_a_close(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path)
    writer.add(record(1))
    writer.flush()
    writer.add(record(2))

    assert read_records(tmp_path) == [record(1)]
    writer.close()


async def test_a_reader_passes_over_a_torn_last_line_and_a_writer_goes_on_after_it(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path)
    writer.add(record(1))
    writer.close()
    file = tmp_path / "000001.jsonl"
    file.write_bytes(file.read_bytes() + b'{"kind":"invocation","ti')

    torn = read_records(tmp_path)
    again = RecordWriter(tmp_path)
    again.add(record(2))
    again.close()

    assert torn == [record(1)]
    assert read_records(tmp_path) == [record(1), record(2)]


async def test_a_batch_note_is_added_to_its_record(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path)
    writer.add(record(1))
    writer.flush()
    writer.note_batch(RequestId("r1"), 10, 3)
    writer.note_batch(RequestId("unknown"), 1, 1)
    writer.close()

    (found,) = read_records(tmp_path)
    assert (found.batch_items, found.batch_failures) == (10, 3)


async def test_the_oldest_files_go_when_there_are_too_many(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path, file_bytes_max=1, files_max=3)
    for number in range(6):
        writer.add(record(number))
        writer.flush()

    assert [found.request_id for found in read_records(tmp_path)] == ["r4", "r5"]
    assert len(list(tmp_path.iterdir())) <= 3
    writer.close()


async def test_only_records_since_a_time_are_read(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path)
    writer.add(record(1, time=10.0))
    writer.add(record(2, time=20.0))
    writer.close()

    assert [found.request_id for found in read_records(tmp_path, since=15.0)] == ["r2"]


def test_no_folder_is_no_records(tmp_path: Path) -> None:
    assert read_records(tmp_path / "absent") == []


async def test_a_disk_that_refuses_costs_records_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = RecordWriter(tmp_path / "records")
    (tmp_path / "records" / "000001.jsonl").mkdir()

    writer.add(record(1))
    writer.flush()

    assert "records_lost" in caplog.text
    writer.close()
