"""What conversations are made of: messages and phrases, and what makes up a turn."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, pairwise
from typing import Final, TypeVar

from hypothesis import strategies as st

from tests.conversations import texts
from tests.conversations.said import (
    Bind,
    Close,
    Conversation,
    CopyData,
    CopyDone,
    CopyFail,
    Describe,
    Execute,
    Flush,
    FunctionCall,
    Parse,
    Query,
    Said,
    Sync,
    Terminate,
    Turn,
)

ABS_INT4, DIV_INT4, LENGTH_TEXT, NO_FUNCTION = 1397, 154, 1317, 1
NAMES = st.sampled_from(["a", "a", "b", "", "missing"])
NAMES_GIVEN = st.sampled_from(["a", "a", "b", ""])
PORTALS = st.sampled_from(["", "", "", "c", "r"])

TYPES = st.sampled_from([(), (), (), (23,), (0, 23), (4_000_000_000,)])
VALUES = st.sampled_from([(), (), (), ("1",), ("2",), ("3", "4"), (None,), ("no number",)])
FORMATS = st.sampled_from([(), (), (), (1,), (0, 1)])
ROW_LIMITS = st.sampled_from([0, 0, 1, 2])

HEARS: Final = None
"""Where a client waits for what the server has to say, before it goes on."""
T = TypeVar("T")
Phrase = tuple[Said | None, ...]
EXECUTES: st.SearchStrategy[Said] = st.builds(Execute, PORTALS, ROW_LIMITS)
BINDS: st.SearchStrategy[Said] = st.builds(Bind, NAMES, PORTALS, VALUES, FORMATS)
CALLS: st.SearchStrategy[Phrase] = st.builds(
    FunctionCall, st.sampled_from([ABS_INT4, DIV_INT4, LENGTH_TEXT, NO_FUNCTION]), VALUES
).map(lambda call: (call,))


@st.composite
def batches(draw: st.DrawFn, said_of: st.SearchStrategy[str]) -> Phrase:
    """One statement by the extended protocol, as drivers say it."""
    name, portal = draw(NAMES_GIVEN), draw(PORTALS)
    sql = draw(said_of)
    values = tuple(str(at + 1) for at in range(2) if f"${at + 1}" in sql)
    said: list[Said | None] = [Parse(name, sql)]
    said += draw(st.sampled_from([[], [], [Describe("S", name)], [Sync()], [Sync(), HEARS], [Flush(), HEARS]]))
    said += [Bind(name, portal, values)]
    said += draw(st.sampled_from([[], [], [Describe("P", portal)], [Flush()], [Flush(), HEARS]]))
    said += [Execute(portal, limit) for limit in draw(st.lists(ROW_LIMITS, min_size=1, max_size=3))]
    said += draw(st.sampled_from([[], [], [Close("S", name)], [Close("P", portal)]]))
    said += draw(st.sampled_from([[Sync()], [Sync()], [Sync(), HEARS], [Flush(), HEARS], []]))
    return tuple(said)


@st.composite
def copies(draw: st.DrawFn) -> Phrase:
    """COPY data to the server, by either protocol.

    No Sync stands among the data: whether it is answered depends on whether the data was good until there. No client
    could tell; and the proxy hangs up where it is.
    """
    sql = draw(st.sampled_from(texts.COPIES_IN))
    is_simple = draw(st.booleans())
    said: list[Said | None] = [Query(sql)] if is_simple else [Parse("", sql), Bind(), Execute()]
    if not is_simple:
        said += draw(st.sampled_from([[], [Sync()], [Flush()]]))
    said += draw(st.sampled_from([[], [HEARS]]))
    said += draw(st.lists(st.builds(CopyData, st.sampled_from(texts.ROWS)), max_size=3))
    said += draw(st.sampled_from([[], [], [Flush()], [HEARS]]))
    said += draw(st.sampled_from([[CopyDone()], [CopyDone()], [CopyFail()]]))
    return (*said, Sync()) if not is_simple or draw(st.booleans()) else tuple(said)


def loose(said_of: st.SearchStrategy[str]) -> st.SearchStrategy[Phrase]:
    """Messages of the extended protocol as they come."""
    one: st.SearchStrategy[Said] = st.one_of(
        st.builds(Parse, NAMES_GIVEN, said_of, TYPES),
        BINDS,
        EXECUTES,
        st.builds(Describe, st.just("S"), NAMES),
        st.builds(Describe, st.just("P"), PORTALS),
        st.builds(Close, st.just("S"), NAMES),
        st.builds(Close, st.just("P"), PORTALS),
        st.just(Flush()),
        st.just(Sync()),
    )
    return st.lists(one, min_size=1, max_size=5).map(tuple)


OUTS: st.SearchStrategy[Phrase] = st.sampled_from(texts.COPIES_OUT).map(lambda sql: (Query(sql),))
ODD: st.SearchStrategy[Phrase] = st.sampled_from(
    [(CopyData("7\n"),), (CopyDone(),), (CopyFail(),), (Flush(),), (Sync(),), (Sync(), Flush(), Sync()), (HEARS,)]
)


def phrases(simple: st.SearchStrategy[str], prepared: st.SearchStrategy[str]) -> st.SearchStrategy[Phrase]:
    """What belongs together, of these texts."""
    query: st.SearchStrategy[Phrase] = st.builds(Query, simple).map(lambda query: (query,))
    batch, some = batches(prepared), loose(prepared)
    return _by_weight((8, query), (6, batch), (4, some), (2, copies()), (1, OUTS), (1, CALLS), (1, ODD))


def _by_weight(*weighted: tuple[int, st.SearchStrategy[T]]) -> st.SearchStrategy[T]:
    """Draw some more often than others, which `one_of` does not do."""
    return st.sampled_from([one for weight, one in weighted for _ in range(weight)]).flatmap(lambda one: one)


CUTS: st.SearchStrategy[tuple[int, ...]] = st.one_of(st.just(()), st.lists(st.integers(1, 40), max_size=12).map(tuple))


@st.composite
def turns(draw: st.DrawFn, of: st.SearchStrategy[Phrase]) -> list[Turn]:
    """What a client says before another speaks."""
    client = draw(st.integers(0, 2))
    said: list[Said | None] = [one for phrase in draw(st.lists(of, min_size=1, max_size=4)) for one in phrase]
    heard = [at for at, one in enumerate(said) if one is HEARS]
    parts = [said[begins:ends] for begins, ends in pairwise([0, *heard, len(said)])]
    found = [Turn(tuple(one for one in part if one is not None), client, True, draw(CUTS)) for part in parts]
    if draw(st.integers(0, 4)) == 0:
        found[-1] = replace(found[-1], waits=False)
    if draw(st.integers(0, 11)) == 0:
        found[-1] = draw(_leaving(found[-1]))
    return found


def _leaving(turn: Turn) -> st.SearchStrategy[Turn]:
    """Have the client leave, in the middle of it."""
    return st.builds(
        lambda upto, vanishes: replace(
            turn, said=turn.said[:upto] if vanishes else (*turn.said[:upto], Terminate()), vanishes=vanishes
        ),
        st.integers(0, len(turn.said)),
        st.booleans(),
    )


def _synced(spoken: Iterable[Turn]) -> Iterator[Turn]:
    """End a batch by a Sync, not by a query.

    PostgreSQL 18.6 itself stumbles over that: a Sync behind the query leaves it in an "unexpected state STARTED", which
    the next statement is told; and the proxy, which answers some messages itself, changes which one that is.
    """
    begun: set[int] = set()
    for turn in spoken:
        said: list[Said] = []
        for one in turn.said:
            if isinstance(one, Query | FunctionCall) and turn.client in begun:
                said.append(Sync())
            if isinstance(one, Query | FunctionCall | Sync):
                begun.discard(turn.client)
            elif isinstance(one, Execute):
                begun.add(turn.client)
            said.append(one)
        yield replace(turn, said=tuple(said))


def _heard_between(spoken: Iterable[Turn]) -> Iterator[Turn]:
    """Have a client hear what became of a name before it speaks of it again: in a pipeline the proxy cannot know."""
    for turn in spoken:
        made = [one.name for one in turn.said if isinstance(one, Parse) and one.name]
        if not made and not any(map(_ends_names, turn.said)):
            yield turn
            continue
        ends: list[int] = []
        if len(made) > len(set(made)) or any(map(_ends_names, turn.said)):
            ends = [at + 1 for at, one in enumerate(turn.said) if isinstance(one, Sync | Query)]
        parts = [turn.said[begins:ends] for begins, ends in pairwise([0, *ends, len(turn.said)])]
        for part in parts[:-1]:
            yield replace(turn, said=part, waits=True, vanishes=False)
        yield replace(turn, said=parts[-1], waits=True)


def _ends_names(said: Said) -> bool:
    """Whether it ends a prepared statement, or asks for one by SQL."""
    match said:
        case Close("S", name):
            return bool(name)
        case Query(sql):
            return "DEALLOCATE" in sql or "EXECUTE" in sql or "DISCARD" in sql
    return False


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    """About a few things each: of all at once, what belongs together would seldom meet."""
    topics = draw(st.lists(st.sampled_from(texts.TOPICS), min_size=1, max_size=3))
    single = st.one_of(st.sampled_from(texts.PLAIN), *(st.sampled_from(topic) for topic in topics))
    several = st.lists(single, min_size=2, max_size=4).map("; ".join)
    simple = _by_weight((5, single), (1, st.sampled_from(texts.SEVERAL)), (1, several))
    preparable = _by_weight(
        (3, single.filter(_may_be_prepared)),
        (3, st.sampled_from(texts.WITH_PARAMETERS)),
        (1, st.sampled_from(texts.SEVERAL + texts.COPIES_OUT)),
    )
    prepared = st.sampled_from(draw(st.lists(preparable, min_size=1, max_size=4)))
    spoken = draw(st.lists(turns(phrases(simple, prepared)), min_size=2, max_size=6))
    return Conversation(
        tuple(_heard_between(_synced(chain.from_iterable(spoken)))),
        draw(st.integers(1, 3)),
        draw(st.sampled_from(["transaction", "transaction", "transaction", "session"])),
    )


def _may_be_prepared(sql: str) -> bool:
    """Whether it does not ask by SQL for what the protocol has prepared: that finds what was there before it."""
    return sql not in texts.PREPARED_BY_PROTOCOL


CONVERSATIONS: st.SearchStrategy[Conversation] = conversations()
