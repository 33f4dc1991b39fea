"""Up to where a partition is finished: never past what is still under way."""

from hypothesis import given
from hypothesis import strategies as st

from workshape.streams.offsets import PartitionOffsets


def test_nothing_is_finished_past_a_record_under_way() -> None:
    offsets = PartitionOffsets(5)
    for offset in (5, 6, 9):  # a compacted topic has gaps
        offsets.hand_out(offset)

    offsets.finish((6, 9))
    assert repr(offsets) == "<PartitionOffsets 5 under_way=3>"
    offsets.finish((5,))

    assert repr(offsets) == "<PartitionOffsets 10 under_way=0>"


@given(st.integers(0, 9), st.lists(st.integers(1, 4), max_size=12), st.randoms())
def test_no_offset_is_told_past_unfinished_work(position: int, steps: list[int], random: object) -> None:
    offsets, handed_out, at = PartitionOffsets(position), [], position - 1
    for step in steps:
        at += step
        offsets.hand_out(at)
        handed_out.append(at)
    order = list(handed_out)
    random.shuffle(order)  # type: ignore[attr-defined]  # hypothesis's random
    unfinished = set(handed_out)

    for offset in order:
        offsets.finish((offset,))
        unfinished.discard(offset)
        assert all(offset >= offsets.position for offset in unfinished)
        before = [each for each in handed_out if each < offsets.position]
        assert offsets.position == (before[-1] + 1 if before else position)

    assert "under_way=0" in repr(offsets)
