"""What waits to become environments. The processes are stood in for by their sockets' ends."""

import socket
from collections.abc import Iterator

import pytest

from workshape.functions.launch import wire
from workshape.functions.launch.shelf import FORGOTTEN_S
from workshape.functions.launch.stem import Stem
from workshape.functions.launch.stock import KINDS_MAX, SEEDS_MAX, STEMS_MAX, Kind, Stock

NODE = Kind(("/node",))
PROGRAM = Kind()
MB = 1024 * 1024


class Nursery:
    """Forks and discards; each stem's other end tells what it was told."""

    def __init__(self) -> None:
        self.others: dict[int, socket.socket] = {}
        self.discarded: list[int] = []
        self.refuses = False

    def fork(self) -> Stem:
        if self.refuses:
            raise OSError("no process is left")
        ours, theirs = socket.socketpair()
        pid = len(self.others) + 1
        self.others[pid] = theirs
        return Stem(pid, ours, -1, -1, -1, None, None, 0)

    def discard(self, stem: Stem) -> None:
        self.discarded.append(stem.pid)
        stem.close()

    def told(self, stem: Stem) -> object:
        self.others[stem.pid].setblocking(False)
        try:
            return wire.receive(self.others[stem.pid])
        except BlockingIOError:
            return None


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    for other in nursery.others.values():
        other.close()


def make(nursery: Nursery, stems: int = 2) -> Stock:
    return Stock(nursery.fork, nursery.discard, lambda kind: '{"grow":1}' if kind.boot else "", stems=stems, now=0.0)


def fill(stock: Stock, now: float) -> None:
    while stock.lacks(now):
        stock.add(now)


def test_stems_of_each_kind_in_use_are_kept_and_seeds_for_all_of_them(nursery: Nursery) -> None:
    stock = make(nursery)

    stock.keep(NODE, 0.0)
    fill(stock, 0.0)

    told = [nursery.told(each) for each in stock]
    assert told.count({"grow": 1}) == 2
    assert told.count(None) == 2


def test_who_wants_an_environment_gets_a_stem_then_a_seed_that_is_told_its_kind_then_a_fork(nursery: Nursery) -> None:
    stock = make(nursery)
    stock.keep(NODE, 0.0)
    fill(stock, 0.0)
    forked = len(nursery.others)

    taken = [stock.take(NODE, MB, 0, 1.0) for _ in range(forked + 1)]

    assert len({each.pid for each in taken}) == forked + 1
    assert all(nursery.told(each) == {"grow": 1} for each in taken)
    assert taken[-1].pid == forked + 1


def test_what_only_executes_programs_is_made_of_seeds(nursery: Nursery) -> None:
    stock = make(nursery)
    stock.keep(PROGRAM, 0.0)
    fill(stock, 0.0)

    taken = stock.take(PROGRAM, MB, 0, 1.0)

    assert nursery.told(taken) is None
    assert len(nursery.others) == 2


def test_a_burst_finds_more_the_next_time_and_no_more_than_the_most(nursery: Nursery) -> None:
    stock = make(nursery)

    for _ in range(2 * SEEDS_MAX):
        stock.take(NODE, MB, 0, 1.0)
    fill(stock, 1.0)

    assert len(list(stock)) == STEMS_MAX + SEEDS_MAX


def test_what_is_about_to_be_wanted_is_forked_without_waiting_for_quiet(nursery: Nursery) -> None:
    stock = make(nursery)
    stock.take(NODE, MB, 12, 1.0)

    awaited = stock.is_awaited
    fill(stock, 1.0)

    assert awaited
    assert not stock.is_awaited
    assert len(list(stock)) >= 12


def test_one_that_was_killed_as_it_waited_is_not_given_out(nursery: Nursery) -> None:
    stock = make(nursery)
    stock.keep(NODE, 0.0)
    fill(stock, 0.0)
    [dead] = [each.pid for each in stock if nursery.told(each) is not None][:1]
    nursery.others[dead].close()

    taken = [stock.take(NODE, MB, 0, 1.0).pid for _ in range(3)]

    assert dead not in taken
    assert nursery.discarded == [dead]


def test_what_is_heard_to_have_ended_is_gone(nursery: Nursery) -> None:
    stock = make(nursery)
    stock.keep(NODE, 0.0)
    fill(stock, 0.0)
    first, *rest = stock

    assert stock.ended(first.pid) is first
    assert stock.ended(first.pid) is None
    assert list(stock) == rest


def test_what_nobody_wants_for_long_is_let_go(nursery: Nursery) -> None:
    stock = make(nursery)
    stock.keep(NODE, 0.0)
    fill(stock, 0.0)

    again_at = stock.shrink(1.0)
    stock.shrink(again_at)

    assert again_at == FORGOTTEN_S
    assert list(stock) == []
    assert not stock.lacks(again_at)


def test_the_kind_asked_for_longest_ago_makes_room(nursery: Nursery) -> None:
    stock = make(nursery)
    stock.keep(NODE, 0.0)
    fill(stock, 0.0)
    of_node = [each.pid for each in stock if nursery.told(each) is not None]

    for number in range(KINDS_MAX):
        stock.keep(Kind((f"/node{number}",)), 1.0)

    assert nursery.discarded == of_node


def test_a_machine_that_refuses_is_left_alone_until_the_next_start(nursery: Nursery) -> None:
    stock = make(nursery)
    stock.keep(NODE, 0.0)
    nursery.refuses = True

    stock.add(0.0)

    assert not stock.lacks(0.0)
    with pytest.raises(OSError, match="no process is left"):
        stock.take(NODE, MB, 0, 1.0)
    assert stock.lacks(1.0)


def test_without_stems_nothing_is_kept(nursery: Nursery) -> None:
    stock = make(nursery, stems=0)

    stock.take(NODE, MB, 5, 0.0)

    assert not stock.lacks(0.0)
    assert not stock.is_awaited
