"""Connections and API destinations as they are kept: durable, with states, and without a word of their secrets."""

import logging
from pathlib import Path

import pytest

from tests.fakes.shifted_clock import ShiftedClock
from workshape.events.api_destinations.connection import (
    ApiKeyAuth,
    AuthorizationType,
    Connection,
    ConnectionExists,
    ConnectionNotFound,
    ConnectionParameters,
    ConnectionState,
    OAuth,
    Parameter,
    Secret,
)
from workshape.events.api_destinations.connections import Connections
from workshape.events.api_destinations.destination import (
    ApiDestination,
    DestinationExists,
    DestinationNotFound,
    InvalidEndpoint,
)
from workshape.events.api_destinations.destinations import ApiDestinations
from workshape.events.api_destinations.state_change import Change
from workshape.store.documents import Documents

STARTS_AT = 1_800_000_000.0
SECRET = "hunter2"
KEY = ApiKeyAuth("X-Key", Secret(SECRET))
OAUTH = OAuth("client", Secret(SECRET), "https://auth.test/token", "POST")
PARAMETERS = ConnectionParameters(body=(Parameter("pin", Secret(SECRET), is_secret=True),))


class Stage:
    """The connections and destinations of one store."""

    def __init__(self, folder: Path) -> None:
        self.store = Documents(folder / "store.sqlite")
        self.clock = ShiftedClock(STARTS_AT)
        self.connections = Connections(self.store, self.clock, region="us-east-1", account="123456789012")
        self.destinations = ApiDestinations(
            self.store, self.connections, self.clock, region="us-east-1", account="123456789012"
        )


def key_connection(name: str = "c") -> Connection:
    return Connection(name=name, type=AuthorizationType.API_KEY, auth=KEY, invocation=PARAMETERS)


def destination_of(connection: Connection, name: str = "d") -> ApiDestination:
    return ApiDestination(
        name=name, connection_arn=connection.arn, endpoint="https://api.test/", method="POST", rate_per_s=7
    )


def test_what_was_made_is_there_after_a_restart(tmp_path: Path) -> None:
    before = Stage(tmp_path)
    connection = before.connections.create(key_connection())
    destination = before.destinations.create(destination_of(connection))
    before.store.close()

    after = Stage(tmp_path)

    assert after.connections.find(connection.arn) == connection
    assert after.destinations.find(destination.arn) == destination
    assert after.destinations.rate_of(destination.arn) == 7
    assert after.connections.connection("c").auth == KEY


def test_credentials_are_good_as_they_are_and_tokens_have_to_be_fetched(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    key = stage.connections.create(key_connection())
    oauth = stage.connections.create(Connection(name="o", type=AuthorizationType.OAUTH, auth=OAUTH))
    stage.clock.shift(5)
    stage.connections.accepted(oauth.arn, OAUTH)

    assert (key.state, key.authorized_at) == (ConnectionState.AUTHORIZED, key.created_at)
    assert (oauth.state, oauth.authorized_at) == (ConnectionState.AUTHORIZING, 0.0)
    assert stage.connections.connection("o").state is ConnectionState.AUTHORIZED
    assert stage.connections.connection("o").authorized_at >= oauth.created_at + 5


def test_a_refusal_deauthorizes_a_connection_and_its_destinations_until_it_is_updated(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    connection = stage.connections.create(key_connection())
    destination = stage.destinations.create(destination_of(connection))

    stage.connections.refused(connection.arn, KEY, "status 401")
    refused = stage.connections.connection("c")
    was_active = stage.destinations.is_active(destination)
    stage.connections.put(refused, authorize=True)

    assert (refused.state, refused.reason, refused.auth) == (ConnectionState.DEAUTHORIZED, "status 401", KEY)
    assert not was_active
    assert stage.connections.connection("c").state is ConnectionState.AUTHORIZED
    assert stage.destinations.is_active(destination)


def test_a_late_refusal_of_old_credentials_leaves_new_ones_alone(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    connection = stage.connections.create(key_connection())
    new = ApiKeyAuth("X-Key", Secret("new"))
    stage.connections.put(
        Connection(name="c", type=AuthorizationType.API_KEY, auth=new, arn=connection.arn), authorize=True
    )

    stage.connections.refused(connection.arn, KEY, "status 401")

    assert stage.connections.connection("c").state is ConnectionState.AUTHORIZED


def test_deauthorizing_takes_every_secret_off_the_disk(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.connections.create(key_connection())

    gone = stage.connections.deauthorize("c")

    assert gone.state is ConnectionState.DEAUTHORIZED
    assert (gone.auth, gone.invocation, gone.secret_arn) == (None, ConnectionParameters(), "")
    assert SECRET.encode() not in dict(stage.store.all("event-connection"))["c"]


def test_secrets_are_in_no_repr_and_in_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stage = Stage(tmp_path)

    key = stage.connections.create(key_connection())
    oauth = stage.connections.create(Connection(name="o", type=AuthorizationType.OAUTH, auth=OAUTH))
    stage.connections.refused(key.arn, KEY, "status 401")

    assert caplog.records, "the refusal is told"
    logged = "".join(repr(vars(record)) for record in caplog.records)
    assert SECRET not in "".join((repr(key), repr(oauth), repr(stage.connections), logged))


def test_names_are_taken_once_and_a_new_one_of_the_name_is_another(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    first = stage.connections.create(key_connection())
    destination = stage.destinations.create(destination_of(first))

    with pytest.raises(ConnectionExists):
        stage.connections.create(key_connection())
    with pytest.raises(DestinationExists):
        stage.destinations.create(destination_of(first))
    stage.connections.delete("c")
    second = stage.connections.create(key_connection())

    assert first.arn.rpartition("/")[0] == second.arn.rpartition("/")[0]
    assert stage.connections.find(first.arn) is None
    assert not stage.destinations.is_active(destination)


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    connection = stage.connections.create(key_connection())
    destination = stage.destinations.create(destination_of(connection))
    stage.destinations.delete("d")

    with pytest.raises(ConnectionNotFound, match="Connection no does not exist"):
        stage.connections.connection("no")
    with pytest.raises(DestinationNotFound, match="ApiDestination d does not exist"):
        stage.destinations.delete("d")
    assert stage.destinations.rate_of(destination.arn) is None
    assert stage.store.all("api-destination") == []


def test_a_destination_wants_an_endpoint_it_may_have_and_a_connection_there_is(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    connection = stage.connections.create(key_connection())

    with pytest.raises(InvalidEndpoint):
        stage.destinations.create(
            ApiDestination(name="d", connection_arn=connection.arn, endpoint="http://api.test/", method="POST")
        )
    with pytest.raises(ConnectionNotFound):
        stage.destinations.create(
            ApiDestination(name="d", connection_arn=connection.arn + "0", endpoint="https://api.test/", method="POST")
        )


def told(old: Connection | None, new: Connection | None) -> tuple[tuple[str, ...], str]:
    change = Change(old, new)
    return change.steps, change.activation


def test_the_bus_is_told_what_happens_to_connections_and_so_to_their_destinations(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    seen: list[tuple[tuple[str, ...], str]] = []
    stage.connections.subscribe(lambda old, new: seen.append(told(old, new)))

    key = stage.connections.create(key_connection())
    stage.clock.shift(1)
    stage.connections.refused(key.arn, KEY, "status 401")
    stage.connections.put(stage.connections.connection("c"), authorize=True)
    stage.clock.shift(1)
    stage.connections.put(stage.connections.connection("c"), authorize=False)
    stage.connections.deauthorize("c")
    stage.connections.delete("c")
    oauth = stage.connections.create(Connection(name="o", type=AuthorizationType.OAUTH, auth=OAUTH))
    stage.connections.accepted(oauth.arn, OAUTH)
    stage.connections.delete("o")

    assert seen == [
        (("Creation Started", "Authorized"), "Activated"),
        (("Deauthorized",), "Deactivated"),
        (("Update Started", "Authorized"), "Activated"),
        (("Update Started",), ""),
        (("Deauthorization Started", "Deauthorized"), "Deactivated"),
        (("Deletion Started",), ""),
        (("Creation Started", "Authorization Started"), "Activated"),
        (("Authorized",), ""),
        (("Deletion Started",), "Deactivated"),
    ]
