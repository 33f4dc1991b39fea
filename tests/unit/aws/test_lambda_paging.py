"""Lambda's lists are cut into pages by the keys of their items."""

from collections.abc import Iterator

import pytest

from workshape.aws.lambda_.paging import cut_page


def test_pages_follow_each_other_without_a_gap() -> None:
    items, page, more = [f"{number:03}" for number in range(7)], list[str](), dict[str, str]()
    pages: list[list[str]] = []
    while not pages or more:
        page, more = cut_page({"MaxItems": 3, **({"Marker": more["NextMarker"]} if more else {})}, items, str)
        pages.append(page)

    assert pages == [["000", "001", "002"], ["003", "004", "005"], ["006"]]


@pytest.mark.parametrize(("count", "last"), [(3, True), (4, False)])
def test_a_page_that_is_just_full_is_the_last_if_nothing_comes_after_it(count: int, *, last: bool) -> None:
    page, more = cut_page({"MaxItems": 3}, list(map(str, range(count))), str)

    assert (page, more == {}) == (["0", "1", "2"], last)


def test_what_comes_after_a_page_is_not_looked_at() -> None:
    seen = []

    def items() -> Iterator[str]:
        for number in range(1_000):
            seen.append(number)
            yield f"{number:04}"

    cut_page({"MaxItems": 10}, items(), str)

    assert seen == list(range(11))
