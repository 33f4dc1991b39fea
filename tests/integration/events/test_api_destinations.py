"""From PutEvents to a real HTTP server by an API destination: what is sent, how often, and what becomes of errors."""

import json
import time
from base64 import b64encode
from collections.abc import Iterator
from itertools import count
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.fakes.live_engine import ACCOUNT, REGION, ROLE, LiveEngine
from tests.fakes.webhook import Received, Reply, Webhook, webhook

SECRET = "hunter2"
BASIC = {"BasicAuthParameters": {"Username": "me", "Password": SECRET}}
KEY = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Api-Key", "ApiKeyValue": SECRET}}


@pytest.fixture
def server() -> Iterator[Webhook]:
    with webhook() as made:
        yield made


class Path:
    """A rule, an API destination and a dead-letter queue of one name."""

    def __init__(self, engine: LiveEngine, name: str, connection: dict[str, Any], **destination: Any) -> None:
        self.engine = engine
        self.name = name
        self.client = engine.client("events")
        self.connection_arn = self.client.create_connection(Name=name, **connection)["ConnectionArn"]
        self.arn = self.client.create_api_destination(
            Name=name, ConnectionArn=self.connection_arn, **{"HttpMethod": "POST", **destination}
        )["ApiDestinationArn"]
        self.dead_url, self.dead_arn = engine.create_queue(f"{name}-dead")
        self.client.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))

    def target(self, **more: Any) -> None:
        """Make it the rule's target."""
        target = {"Id": "d", "Arn": self.arn, "RoleArn": ROLE, "DeadLetterConfig": {"Arn": self.dead_arn}, **more}
        assert self.client.put_targets(Rule=self.name, Targets=[target])["FailedEntryCount"] == 0

    def put(self, *details: dict[str, Any]) -> None:
        """Put events on the bus."""
        entries = [{"Source": self.name, "DetailType": "Order", "Detail": json.dumps(detail)} for detail in details]
        assert self.client.put_events(Entries=entries)["FailedEntryCount"] == 0

    def letter(self) -> dict[str, str]:
        """The attributes of the message in the dead-letter queue."""
        (message,) = self.engine.receive(self.dead_url)
        return {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}

    def state(self) -> str:
        """The connection's state."""
        return str(self.client.describe_connection(Name=self.name)["ConnectionState"])


def api_key(name: str = "X-Api-Key", value: str = SECRET, **more: Any) -> dict[str, Any]:
    parameters = {"ApiKeyAuthParameters": {"ApiKeyName": name, "ApiKeyValue": value}, **more}
    return {"AuthorizationType": "API_KEY", "AuthParameters": parameters}


def oauth(server: Webhook, **more: Any) -> dict[str, Any]:
    client = {"ClientID": "client", "ClientSecret": SECRET}
    parameters = {
        "ClientParameters": client,
        "AuthorizationEndpoint": f"{server.url}/token",
        "HttpMethod": "POST",
        **more,
    }
    return {"AuthorizationType": "OAUTH_CLIENT_CREDENTIALS", "AuthParameters": {"OAuthParameters": parameters}}


def arrived(engine: LiveEngine, server: Webhook, path: str, many: int = 1) -> list[Received]:
    engine.wait_until(lambda: len(server.at(path)) >= many)
    return server.at(path)


def test_an_event_arrives_with_all_that_connection_target_and_aws_add(engine: LiveEngine, server: Webhook) -> None:
    invocation = {
        "HeaderParameters": [{"Key": "X-Conn", "Value": "c"}],
        "QueryStringParameters": [{"Key": "both", "Value": "connection", "IsValueSecret": True}],
        "BodyParameters": [{"Key": "team", "Value": "a"}],
    }
    path = Path(
        engine,
        "whole",
        {"AuthorizationType": "BASIC", "AuthParameters": {**BASIC, "InvocationHttpParameters": invocation}},
        InvocationEndpoint=f"{server.url}/orders/*",
        HttpMethod="PUT",
    )
    path.target(
        InputTransformer={"InputPathsMap": {"id": "$.detail.id"}, "InputTemplate": '{"order": <id>}'},
        HttpParameters={
            "PathParameterValues": ["$.detail.id"],
            "QueryStringParameters": {"both": "target", "kind": "$.detail-type"},
            "HeaderParameters": {"X-Target": "t", "User-Agent": "mine"},
        },
    )

    path.put({"id": "7 8"})
    (request,) = arrived(engine, server, "/orders/7%208")

    assert (request.method, request.target) == ("PUT", "/orders/7%208?kind=Order&both=connection")
    assert request.header("Authorization") == "Basic " + b64encode(f"me:{SECRET}".encode()).decode()
    assert json.loads(request.body) == {"order": "7 8", "team": "a"}
    sent = {name.lower(): value for name, value in request.headers}
    assert sent == {
        "host": server.url.removeprefix("http://"),
        "user-agent": "Amazon/EventBridge/ApiDestinations",
        "range": "bytes=0-1048575",
        "accept-encoding": "gzip,deflate",
        "connection": "close",
        "content-type": "application/json; charset=utf-8",
        "content-length": str(len(request.body)),
        "authorization": request.header("Authorization"),
        "x-conn": "c",
        "x-target": "t",
    }


def test_a_busy_endpoint_is_called_again_when_it_says(engine: LiveEngine, server: Webhook) -> None:
    path = Path(engine, "busy", api_key(), InvocationEndpoint=f"{server.url}/busy")
    path.target()
    server.replies["/busy"] = [Reply(429, {"Retry-After": "2"})]

    path.put({})
    first, second = arrived(engine, server, "/busy", 2)

    assert second.at - first.at >= 1.9
    assert second.body == first.body
    assert second.header("X-Api-Key") == SECRET


def test_what_is_refused_for_good_goes_to_the_dead_letter_queue_at_once(engine: LiveEngine, server: Webhook) -> None:
    path = Path(engine, "unwanted", api_key(), InvocationEndpoint=f"{server.url}/unwanted")
    path.target()
    server.replies["/unwanted"] = [Reply(400, body=b"no")]

    path.put({})
    letter = path.letter()

    assert letter == {
        "RULE_ARN": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/unwanted",
        "TARGET_ARN": path.arn,
        "ERROR_CODE": "ERROR_FROM_TARGET",
        "ERROR_MESSAGE": "The API destination returned HTTP status 400.",
        "RETRY_ATTEMPTS": "0",
    }
    assert len(server.at("/unwanted")) == 1


def test_failures_are_retried_as_the_policy_says(engine: LiveEngine, server: Webhook) -> None:
    path = Path(engine, "failing", api_key(), InvocationEndpoint=f"{server.url}/failing")
    path.target(RetryPolicy={"MaximumRetryAttempts": 1})
    server.replies["/failing"] = [Reply(500), Reply(503)]

    path.put({})
    letter = path.letter()

    assert (letter["RETRY_ATTEMPTS"], letter["EXHAUSTED_RETRY_CONDITION"]) == ("1", "MaximumRetryAttempts")
    assert len(server.at("/failing")) == 2


def test_an_answer_is_waited_for_five_seconds(engine: LiveEngine, server: Webhook) -> None:
    path = Path(engine, "slow", api_key(), InvocationEndpoint=f"{server.url}/slow")
    path.target(RetryPolicy={"MaximumRetryAttempts": 0})
    server.replies["/slow"] = [Reply(200, after_s=60.0)]

    began_at = time.monotonic()
    path.put({})
    arrived(engine, server, "/slow")
    letter = path.letter()

    assert letter["ERROR_CODE"] == "TIMEOUT"
    assert time.monotonic() - began_at >= 5.0


def test_nobody_there_is_a_failure_of_the_connection(engine: LiveEngine) -> None:
    with webhook() as gone:
        url = gone.url
    path = Path(engine, "nobody", api_key(), InvocationEndpoint=f"{url}/x")
    path.target(RetryPolicy={"MaximumRetryAttempts": 0})

    path.put({})
    letter = path.letter()

    assert letter["ERROR_CODE"] == "CONNECTION_FAILURE"
    assert letter["ERROR_MESSAGE"].startswith("The API destination endpoint cannot be reached: ")


def test_a_destination_is_called_no_more_a_second_than_it_takes(engine: LiveEngine, server: Webhook) -> None:
    path = Path(engine, "rated", api_key(), InvocationEndpoint=f"{server.url}/rated", InvocationRateLimitPerSecond=10)
    path.target()

    began_at = time.monotonic()
    path.put(*({"n": number} for number in range(10)))
    path.put(*({"n": number} for number in range(10, 16)))
    requests = arrived(engine, server, "/rated", 16)

    assert requests[-1].at - began_at >= 15 / 10
    assert sorted(json.loads(request.body)["detail"]["n"] for request in requests) == list(range(16))


def test_a_refused_key_deauthorizes_the_connection_and_a_new_one_lets_the_event_through(
    engine: LiveEngine, server: Webhook
) -> None:
    path = Path(engine, "refused", api_key(), InvocationEndpoint=f"{server.url}/refused")
    path.target()
    server.answer = lambda request: Reply(200 if request.header("X-Api-Key") == "right" else 401)

    path.put({})
    engine.wait_until(lambda: path.state() == "DEAUTHORIZED")
    described = path.client.describe_connection(Name="refused")
    destination = path.client.describe_api_destination(Name="refused")
    path.client.update_connection(
        Name="refused",
        AuthorizationType="API_KEY",
        AuthParameters={"ApiKeyAuthParameters": {"ApiKeyValue": "right"}},
    )
    engine.wait_until(lambda: any(one.header("X-Api-Key") == "right" for one in server.at("/refused")))

    assert described["StateReason"] == "The API destination returned HTTP status 401."
    assert destination["ApiDestinationState"] == "INACTIVE"
    assert path.state() == "AUTHORIZED"


def test_a_token_is_fetched_once_and_used_until_it_is_refused(engine: LiveEngine, server: Webhook) -> None:
    server.give_tokens("/token", (f"token-{number}" for number in count(1)))
    path = Path(engine, "tokens", oauth(server), InvocationEndpoint=f"{server.url}/hook")
    path.target()
    engine.wait_until(lambda: path.state() == "AUTHORIZED")

    path.put({"n": 1}, {"n": 2})
    arrived(engine, server, "/hook", 2)
    server.replies["/hook"] = [Reply(401)]
    path.put({"n": 3})
    requests = arrived(engine, server, "/hook", 4)

    asked = server.at("/token")
    assert [request.header("Authorization") for request in requests] == [
        "Bearer token-1",
        "Bearer token-1",
        "Bearer token-1",
        "Bearer token-2",
    ]
    assert len(asked) == 2
    assert dict(parse_qsl(asked[0].body.decode())) == {
        "grant_type": "client_credentials",
        "client_id": "client",
        "client_secret": SECRET,
    }
    assert path.state() == "AUTHORIZED"


def test_a_token_that_is_about_to_expire_is_replaced_before_it_is_refused(engine: LiveEngine, server: Webhook) -> None:
    server.give_tokens("/token", (f"token-{number}" for number in count(1)), expires_in=1)
    path = Path(engine, "short", oauth(server), InvocationEndpoint=f"{server.url}/hook")
    path.target()
    engine.wait_until(lambda: path.state() == "AUTHORIZED")

    time.sleep(0.6)
    path.put({})
    (request,) = arrived(engine, server, "/hook")

    assert request.header("Authorization") == "Bearer token-2"


def test_a_client_that_is_refused_leaves_its_connection_deauthorized_and_events_waiting(
    engine: LiveEngine, server: Webhook
) -> None:
    server.replies["/token"] = [Reply(400, body=f'{{"error": "{SECRET} is unknown"}}'.encode())]
    path = Path(engine, "unknown", oauth(server), InvocationEndpoint=f"{server.url}/hook")
    path.target(RetryPolicy={"MaximumRetryAttempts": 0})
    engine.wait_until(lambda: path.state() == "DEAUTHORIZED")

    path.put({})
    letter = path.letter()
    reason = path.client.describe_connection(Name="unknown")["StateReason"]

    assert letter["ERROR_CODE"] == "NO_PERMISSIONS"
    assert reason == "The authorization endpoint returned HTTP status 400."
    assert SECRET not in letter["ERROR_MESSAGE"]
    assert server.at("/hook") == []


def test_an_authorization_endpoint_with_troubles_is_asked_again_for_the_event(
    engine: LiveEngine, server: Webhook
) -> None:
    server.give_tokens("/token", iter(["old", "new"]))
    path = Path(engine, "troubles", oauth(server), InvocationEndpoint=f"{server.url}/hook")
    path.target()
    engine.wait_until(lambda: path.state() == "AUTHORIZED")
    server.replies["/hook"], server.replies["/token"] = [Reply(407)], [Reply(503)]

    path.put({})
    engine.wait_until(lambda: len(server.at("/hook")) == 2)

    assert server.at("/hook")[1].header("Authorization") == "Bearer new"
    assert len(server.at("/token")) == 3
    assert path.state() == "AUTHORIZED"


def test_a_name_below_localhost_is_this_machine_whatever_the_resolver_says(engine: LiveEngine, server: Webhook) -> None:
    authority = server.url.removeprefix("http://").replace("127.0.0.1", "api.hooks.localhost")
    path = Path(engine, "below", api_key(), InvocationEndpoint=f"http://{authority}/below")
    path.target(RetryPolicy={"MaximumRetryAttempts": 0})

    path.put({})
    (request,) = arrived(engine, server, "/below")

    assert request.header("Host") == authority


def test_a_redirect_is_not_followed(engine: LiveEngine, server: Webhook) -> None:
    path = Path(engine, "moved", api_key(), InvocationEndpoint=f"{server.url}/moved")
    path.target()
    server.replies["/moved"] = [Reply(302, {"Location": f"{server.url}/elsewhere"})]

    path.put({})

    assert path.letter()["ERROR_MESSAGE"] == "The API destination returned HTTP status 302."
    assert server.at("/elsewhere") == []


def test_what_cannot_be_written_as_http_is_given_up_without_a_word_of_it(engine: LiveEngine, server: Webhook) -> None:
    path = Path(engine, "broken", api_key(), InvocationEndpoint=f"{server.url}/broken")
    path.target(HttpParameters={"HeaderParameters": {"X-Line": "$.detail.line"}})

    path.put({"line": f"{SECRET}\r\nX-Forged: yes"})
    letter = path.letter()

    assert letter["ERROR_CODE"] == "INVALID_PARAMETER"
    assert SECRET not in letter["ERROR_MESSAGE"]
    assert server.at("/broken") == []


def test_a_destination_or_a_connection_that_is_gone_is_no_resource(engine: LiveEngine, server: Webhook) -> None:
    no_destination = Path(engine, "no-destination", api_key(), InvocationEndpoint=f"{server.url}/x")
    no_connection = Path(engine, "no-connection", api_key(), InvocationEndpoint=f"{server.url}/x")
    for path in (no_destination, no_connection):
        path.target()
    no_destination.client.delete_api_destination(Name="no-destination")
    no_connection.client.delete_connection(Name="no-connection")

    for path in (no_destination, no_connection):
        path.put({})

    assert no_destination.letter()["ERROR_MESSAGE"] == f"ApiDestination {no_destination.arn} does not exist."
    assert no_connection.letter()["ERROR_CODE"] == "NO_RESOURCE"
    assert server.received == []


def test_nothing_secret_is_logged(engine: LiveEngine, server: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="workshape")
    path = Path(engine, "quiet-logs", api_key(), InvocationEndpoint=f"{server.url}/quiet-logs/{SECRET}")
    path.target(RetryPolicy={"MaximumRetryAttempts": 0})
    server.answer = lambda _: Reply(401, {"WWW-Authenticate": SECRET}, SECRET.encode())

    path.put({})
    path.letter()

    logged = [repr(vars(record)) for record in caplog.records if record.name.startswith("workshape")]
    assert any("connection_deauthorized" in line for line in logged)
    assert any("target_given_up" in line for line in logged)
    assert not any(SECRET in line for line in logged)


def test_the_default_bus_is_told_when_a_connection_is_deauthorized(engine: LiveEngine, server: Webhook) -> None:
    path = Path(engine, "told", api_key(), InvocationEndpoint=f"{server.url}/told")
    url, queue = engine.create_queue("told-states")
    pattern = {
        "source": ["aws.events"],
        "detail-type": ["Connection Deauthorized", "API Destination Deactivated"],
        "resources": [path.arn, path.connection_arn],
    }
    path.client.put_rule(Name="told-states", EventPattern=json.dumps(pattern))
    path.client.put_targets(Rule="told-states", Targets=[{"Id": "q", "Arn": queue}])
    path.target(RetryPolicy={"MaximumRetryAttempts": 0})
    server.answer = lambda _: Reply(401)

    path.put({})
    events = {event["detail-type"]: event for event in (json.loads(one["Body"]) for one in engine.receive(url, 2))}

    connection, destination = events["Connection Deauthorized"], events["API Destination Deactivated"]
    assert time.strptime(connection["detail"].pop("Timestamp"), "%Y-%m-%d %H:%M:%S +0000 UTC")
    assert connection["resources"] == [path.connection_arn]
    assert connection["detail"] == {
        "ConnectionName": "told",
        "StateReason": "The API destination returned HTTP status 401.",
    }
    assert destination["resources"] == [path.arn]
    assert set(destination["detail"]) == {"ApiDestinationName", "Timestamp"}
