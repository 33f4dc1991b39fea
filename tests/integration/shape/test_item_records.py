"""Batch item facts on disk: written behind, read back, bounded, and forgiving about what a crash left."""

import asyncio
from pathlib import Path

from workshape.functions.batch_items import BatchItemFact, ItemOutcome
from workshape.functions.item_records import FOLDER_NAME, ItemRecordWriter, read_item_facts
from workshape.store.json_lines import JsonLineWriter, read_json_lines


def _fact(number: int) -> BatchItemFact:
    return BatchItemFact(
        time=float(number),
        function="events",
        source="queue",
        request_id="r",
        message_id=f"m{number}",
        content_hash="h",
        receive_count=1,
        outcome=ItemOutcome.REPORTED,
    )


async def test_facts_are_written_within_a_moment(tmp_path: Path) -> None:
    writer = ItemRecordWriter(tmp_path)
    facts = [_fact(number) for number in range(3)]

    writer.note_items(facts)
    async with asyncio.timeout(20):
        while read_item_facts(tmp_path) != facts:
            await asyncio.sleep(0.02)

    writer.close()


async def test_close_writes_the_rest_and_the_next_writer_goes_on(tmp_path: Path) -> None:
    for number in range(2):
        writer = ItemRecordWriter(tmp_path)
        writer.note_items([_fact(number)])
        writer.close()

    assert read_item_facts(tmp_path) == [_fact(0), _fact(1)]


async def test_half_a_line_is_passed_over(tmp_path: Path) -> None:
    writer = ItemRecordWriter(tmp_path)
    writer.note_items([_fact(0)])
    writer.close()
    path = tmp_path / FOLDER_NAME / "000001.jsonl"
    path.write_bytes(path.read_bytes() + b'{"time": 1')

    again = ItemRecordWriter(tmp_path)
    again.note_items([_fact(2)])
    again.close()

    assert read_item_facts(tmp_path) == [_fact(0), _fact(2)]


def test_no_folder_is_no_facts(tmp_path: Path) -> None:
    assert read_item_facts(tmp_path) == []


def test_the_oldest_lines_go_when_there_are_too_many(tmp_path: Path) -> None:
    writer = JsonLineWriter[BatchItemFact](tmp_path, file_bytes_max=1_000, files_max=3)

    for number in range(100):
        writer.write([_fact(number)])

    left = list(read_json_lines(tmp_path, BatchItemFact))
    assert len(list(tmp_path.iterdir())) <= 3
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3 * 1_400
    assert left == [_fact(number) for number in range(100)][-len(left) :]
    assert left
