"""How values are spread: their count, sum, least and most exactly, their percentiles to within one percent. A core.

Values fall into buckets that grow geometrically, so that any value of a bucket is within `ACCURACY` of the bucket's
middle. Two distributions add up to the one of all their values: minutes make hours, versions make functions. The
library that does the same (ddsketch) costs several times as much a value, and this is on every invocation's way.

Source: https://www.vldb.org/pvldb/vol12/p2195-masson.pdf (the sketch and its proof)
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from math import ceil, inf, log

import msgspec

ACCURACY = 0.01
_GROWTH = (1 + ACCURACY) / (1 - ACCURACY)
_PER_LOG = 1 / log(_GROWTH)
VALUE_MIN = 1e-6  # what is smaller counts as zero: no metric of ours means anything below a nanosecond
VALUE_MAX = 1e12  # what is larger counts as this in percentiles
_ZERO = ceil(log(VALUE_MIN) * _PER_LOG) - 1
_LARGEST = ceil(log(VALUE_MAX) * _PER_LOG)  # so there are about 2,100 buckets, and no distribution has more


class Distribution:
    """The values of one metric in one span of time; none of them negative."""

    __slots__ = ("buckets", "count", "maximum", "minimum", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.minimum = inf
        self.maximum = 0.0
        self.buckets: dict[int, int] = {}
        """How many values are in each bucket, by its number."""

    def __repr__(self) -> str:
        return f"<Distribution count={self.count} total={self.total:g} {self.minimum:g}..{self.maximum:g}>"

    @classmethod
    def of_binary(cls, ones: int, count: int) -> "Distribution":
        """So many ones among `count` values, zeros apart from them: an average of these is a rate."""
        made = cls()
        if ones:
            made.add(1.0, ones)
        if count > ones:
            made.add(0.0, count - ones)
        return made

    def add(self, value: float, times: int = 1) -> None:
        """Count a value in, as often as it was seen."""
        assert value >= 0, "a measure is not negative"
        self.count += times
        self.total += value * times
        if value < self.minimum:
            self.minimum = value
        if value > self.maximum:
            self.maximum = value
        buckets, bucket = self.buckets, _bucket(value)
        buckets[bucket] = buckets.get(bucket, 0) + times

    def merge(self, other: "Distribution") -> None:
        """Count all values of another one in."""
        self.count += other.count
        self.total += other.total
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    def since(self, earlier: "Distribution") -> "Distribution":
        """The values that came after those of an earlier state of this one; its extremes are to within `ACCURACY`."""
        made = Distribution()
        for bucket, count in self.buckets.items():
            if count > earlier.buckets.get(bucket, 0):
                made.buckets[bucket] = count - earlier.buckets.get(bucket, 0)
        made.count = self.count - earlier.count
        made.total = max(0.0, self.total - earlier.total)  # sums of fractions are exact to their last digits only
        if made.count:
            within = (self.minimum, self.maximum)
            made.minimum, made.maximum = (
                min(max(_middle(bucket), within[0]), within[1]) for bucket in (min(made.buckets), max(made.buckets))
            )
        return made

    def average(self) -> float:
        """The mean; there has to be a value."""
        return self.total / self.count

    def percentile(self, percent: float) -> float:
        """The value that `percent` (0 to 100) of all values do not exceed, to within `ACCURACY`.

        The nearest rank: no value is made up between two of them. There has to be a value.
        """
        # AWS: undocumented how its percentiles interpolate; we chose the nearest rank.
        rank = max(1, ceil(self.count * percent / 100))
        if rank == self.count:
            return self.maximum
        numbers = sorted(self.buckets)
        reached = list(accumulate(self.buckets[number] for number in numbers))
        return min(max(_middle(numbers[bisect_left(reached, rank)]), self.minimum), self.maximum)

    def counts_up_to(self, bounds: Sequence[float]) -> list[int]:
        """How many values do not exceed each bound; one within twice `ACCURACY` above a bound may count."""
        numbers = sorted(self.buckets)
        reached = [0, *accumulate(self.buckets[number] for number in numbers)]
        return [reached[bisect_left(numbers, _bucket(bound) + 1)] for bound in bounds]

    def encoded(self) -> bytes:
        """Write it for `decoded`."""
        parts = (self.count, self.total, self.minimum, self.maximum, self.buckets)
        return msgspec.msgpack.encode(parts)

    @classmethod
    def decoded(cls, data: bytes) -> "Distribution":
        """Read what `encoded` has written."""
        made = cls()
        parts = msgspec.msgpack.decode(data, type=tuple[int, float, float, float, dict[int, int]])
        made.count, made.total, made.minimum, made.maximum, made.buckets = parts
        return made


def _bucket(value: float) -> int:
    if value < VALUE_MIN:
        return _ZERO
    return ceil(log(value) * _PER_LOG) if value < VALUE_MAX else _LARGEST


def _middle(bucket: int) -> float:
    """The value that is within `ACCURACY` of all of a bucket's."""
    return 0.0 if bucket == _ZERO else float(2 * _GROWTH**bucket / (_GROWTH + 1))
