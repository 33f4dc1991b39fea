"""Random conversations, held with the server and through the proxy: what clients are told is the same."""

import os
from collections.abc import Iterator

import pytest

from tests.conversations.said import Bind, Close, Conversation, Execute, Flush, Parse, Query, Sync, Turn
from tests.conversations.search import Search
from tests.integration.pgproxy.conftest import Server

SEED = int(os.environ.get("CONVERSATIONS_SEED", "1"))
CONVERSATIONS = int(os.environ.get("CONVERSATIONS", "120"))


@pytest.fixture(scope="module")
def search(server: Server) -> Iterator[Search]:
    with Search(server) as search:
        yield search


FOUND = {
    "a query in a batch leaves the server unable to run the next client's statement": Conversation(
        (
            Turn((Parse("b", "SELECT generate_series(1, $1::int)"), Sync())),
            Turn((Bind("b", "c", ("1",)), Execute("c"), Close("S", "b"), Flush())),
            Turn((Query("SELECT 1"),)),
        )
    ),
    "a Parse that is skipped takes nothing from another name with the same text": Conversation(
        (
            Turn((Parse("a", "SELECT 1"), Sync())),
            Turn((Query("SELECT 1"), Bind("missing"), Parse("b", "SELECT 1"), Sync(), Bind("a"), Execute(), Sync())),
        )
    ),
}
"""Minimal conversations that went wrong once."""


@pytest.mark.parametrize("found", FOUND.values(), ids=FOUND)
def test_a_conversation_that_went_wrong_once_goes_as_with_the_server(search: Search, found: Conversation) -> None:
    search.play(found)


@pytest.mark.timeout(900)  # to find the shortest takes a while
def test_clients_are_told_the_same_directly_and_through_the_proxy_and_leave_nothing_to_each_other(
    search: Search,
) -> None:
    found = search.look(SEED, CONVERSATIONS)

    assert found is None, f"CONVERSATIONS_SEED={SEED}: {found}"
