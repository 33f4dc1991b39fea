"""An event to a rule to an API destination: over restarts of the engine, and to the dead-letter queue when it fails."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.running import ROLE, Running, bring_up, eventually
from tests.fakes.webhook import Received, Reply, webhook

SECRET = "hunter2-of-the-shop"

APP = """
[platform]
upstream = { dynamodb = "moto" }

[queues.undelivered]
"""


def make_path(running: Running, endpoint: str) -> None:
    """Lead orders to an endpoint, with one retry."""
    events = running.client("events")
    connection = events.create_connection(
        Name="shop",
        AuthorizationType="API_KEY",
        AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "X-Api-Key", "ApiKeyValue": SECRET}},
    )
    destination = events.create_api_destination(
        Name="shop", ConnectionArn=connection["ConnectionArn"], InvocationEndpoint=endpoint, HttpMethod="POST"
    )
    events.put_rule(Name="orders", EventPattern='{"source": ["shop"]}')
    target = {
        "Id": "shop",
        "Arn": destination["ApiDestinationArn"],
        "RoleArn": ROLE,
        "HttpParameters": {"PathParameterValues": ["$.detail.id"]},
        "RetryPolicy": {"MaximumRetryAttempts": 1},
        "DeadLetterConfig": {"Arn": "arn:aws:sqs:us-east-1:123456789012:undelivered"},
    }
    assert events.put_targets(Rule="orders", Targets=[target])["FailedEntryCount"] == 0


def put(running: Running, order: str) -> None:
    entry = {"Source": "shop", "DetailType": "Order", "Detail": json.dumps({"id": order})}
    assert running.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


def letter(running: Running) -> dict[str, Any]:
    """Receive what could not be delivered."""
    sqs = running.client("sqs")
    url = sqs.get_queue_url(QueueName="undelivered")["QueueUrl"]
    eventually(lambda: running.depth("undelivered") == 1)
    (message,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], WaitTimeSeconds=10)["Messages"]
    return dict(message)


def answer(request: Received) -> Reply:
    """Take every order but the one that is lost."""
    return Reply(503 if request.target == "/orders/lost" else 200)


def test_orders_reach_the_endpoint_also_after_the_engine_was_killed_and_lost_ones_the_dead_letter_queue(
    make_app: Callable[..., Path],
) -> None:
    app_folder = make_app(APP)
    with webhook() as server, bring_up(app_folder, "--no-follow") as running:
        server.answer = answer
        make_path(running, f"{server.url}/orders/*")

        put(running, "first")
        eventually(lambda: len(server.at("/orders/first")) == 1)
        os.kill(running.part("engine").pid, signal.SIGKILL)
        running.wait_until_said("again  process")
        put(running, "second")
        eventually(lambda: len(server.at("/orders/second")) == 1)
        put(running, "lost")
        lost = letter(running)
        described = running.client("events").describe_connection(Name="shop")
        said = "".join(path.read_text(errors="replace") for path in app_folder.glob(".workshape/logs/**/*.log"))

    keys = {request.header("X-Api-Key") for request in server.received}
    attributes = {name: value["StringValue"] for name, value in lost["MessageAttributes"].items()}
    assert keys == {SECRET}
    assert json.loads(lost["Body"])["detail"] == {"id": "lost"}
    assert len(server.at("/orders/lost")) == 2
    assert attributes["ERROR_MESSAGE"] == "The API destination returned HTTP status 503."
    assert (attributes["RETRY_ATTEMPTS"], attributes["EXHAUSTED_RETRY_CONDITION"]) == ("1", "MaximumRetryAttempts")
    assert SECRET not in str(described)
    assert "target_given_up" in said
    assert SECRET not in said + running.said
