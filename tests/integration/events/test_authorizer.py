"""Tokens of connections, when many events want one at once."""

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.fakes.webhook import Reply, Webhook, webhook
from workshape.clock import Clock
from workshape.delivery import Undelivered
from workshape.events.api_destinations.authorizer import Authorizer
from workshape.events.api_destinations.connection import AuthorizationType, Connection, OAuth, Secret
from workshape.events.api_destinations.connections import Connections
from workshape.events.api_destinations.request import Credentials
from workshape.events.api_destinations.sender import HttpSender
from workshape.store.documents import Documents

MANY = 20


@pytest.fixture
def server() -> Iterator[Webhook]:
    with webhook() as made:
        yield made


def opened(folder: Path, server: Webhook) -> tuple[Authorizer, Connections, Connection]:
    store, clock = Documents(folder / "store.sqlite"), Clock()
    connections = Connections(store, clock, region="us-east-1", account="123456789012")
    auth = OAuth("client", Secret("s"), f"{server.url}/token", "POST")
    connection = connections.create(Connection(name="c", type=AuthorizationType.OAUTH, auth=auth))
    return Authorizer(connections, HttpSender(), clock), connections, connection


async def ask(authorizer: Authorizer, connection: Connection) -> list[Credentials | Undelivered]:
    return await asyncio.gather(*(authorizer.credentials(connection) for _ in range(MANY)))


async def test_all_who_want_a_token_at_once_get_the_same_one(tmp_path: Path, server: Webhook) -> None:
    server.give_tokens("/token", (f"token-{number}" for number in count(1)), expires_in="never")
    authorizer, _, connection = opened(tmp_path, server)

    got = await ask(authorizer, connection)

    assert got == [Credentials("Authorization", "Bearer token-1")] * MANY
    assert len(server.at("/token")) == 1


async def test_all_who_waited_for_a_fetch_that_failed_fail_with_it_and_the_next_asks_again(
    tmp_path: Path, server: Webhook
) -> None:
    authorizer, connections, connection = opened(tmp_path, server)
    connections.accepted(connection.arn, connection.auth or pytest.fail("it has one"))
    authorized = connections.connection("c")
    server.replies["/token"] = [Reply(503, after_s=0.2)]
    server.give_tokens("/token", iter(["late"]))

    failed = await ask(authorizer, authorized)
    asked = len(server.at("/token"))
    (then, *_) = await ask(authorizer, authorized)

    assert all(isinstance(one, Undelivered) and one.retryable for one in failed)
    assert asked == 1
    assert then == Credentials("Authorization", "Bearer late")


async def test_a_connection_that_was_authorizing_when_the_engine_ended_is_authorized_at_the_next_start(
    tmp_path: Path, server: Webhook
) -> None:
    opened(tmp_path, server)
    server.give_tokens("/token", iter(["first"]))
    clock = Clock()
    connections = Connections(Documents(tmp_path / "store.sqlite"), clock, region="us-east-1", account="123456789012")
    changed = asyncio.Event()
    connections.subscribe(lambda _old, _new: changed.set())

    running = asyncio.create_task(Authorizer(connections, HttpSender(), clock).run())
    async with asyncio.timeout(30):
        await changed.wait()
    running.cancel()

    assert connections.connection("c").state == "AUTHORIZED"
