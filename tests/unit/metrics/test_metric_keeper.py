"""The keeper: asks its sources, writes what they say, says what it could not write."""

import asyncio
from pathlib import Path

import pytest

from workshape.clock import Clock
from workshape.metrics import keeper as keeper_module
from workshape.metrics.book import MetricBook
from workshape.metrics.keeper import MetricKeeper
from workshape.metrics.metric import Metric, Point, minute_of

DEPTH = Metric("n", "Depth")


def gauge(now: float) -> list[Point]:
    book = MetricBook()
    for number in range(100):
        book.record(Metric("n", "Depth", (("Queue", f"q{number:02}"),)), 3.0, now)
    book.record(DEPTH, 1.0, now)
    return book.take()


def kept(keeper: MetricKeeper) -> int:
    present = minute_of(Clock().wall_s())
    return sum(point.values.count for point in keeper.read(DEPTH, present - 5, present + 5))


async def test_sources_are_asked_again_and_again_and_a_last_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "SAMPLE_S", 0.01)
    keeper = MetricKeeper(tmp_path / "metrics.sqlite", Clock())
    keeper.add_source(gauge)

    running = asyncio.create_task(keeper.run())
    async with asyncio.timeout(20):
        while kept(keeper) < 2:
            await asyncio.sleep(0.01)
    running.cancel()
    before = kept(keeper)
    keeper.flush()

    assert kept(keeper) > before
    assert len(keeper.metrics()) == 101
    keeper.close()
    again = MetricKeeper(tmp_path / "metrics.sqlite", Clock())
    assert kept(again) == before + 2, "closing asked a last time"
    again.close()


def test_what_cannot_be_written_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keeper = MetricKeeper(tmp_path / "metrics.sqlite", Clock())
    keeper.add_source(gauge)
    keeper._archive.close()  # a disk that has gone away

    keeper.flush()

    assert [(record.message, record.__dict__["points"]) for record in caplog.records] == [("metrics_lost", 101)]
