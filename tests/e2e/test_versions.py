"""Versions and aliases of real functions: each runs in environments of its own, a mapping's and a URL's alike."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.e2e.running import RUNTIME, Running, bring_up, eventually

APP = f"""
[platform]
upstream = {{ default = "http://127.0.0.1:9", dynamodb = "moto" }}

[queues.told]

[functions.count]
runtime = "{RUNTIME}"
handler = "count.handle"
code = "code"
"""
COUNT = """
count = 0


def handle(event, context):
    global count
    count += 1
    return [context.function_version, context.invoked_function_arn.rpartition(":")[2], count]
"""


def invoke(client: Any, qualifier: str) -> Any:
    answer = client.invoke(FunctionName="count", Qualifier=qualifier)
    told = json.loads(answer["Payload"].read())
    assert answer["ExecutedVersion"] == told[0]
    return told


def test_versions_run_on_while_what_is_unpublished_changes(make_app: Callable[..., Path]) -> None:
    with bring_up(make_app(APP, count__py=COUNT), "--no-follow") as running:
        client = running.client("lambda")
        client.publish_version(FunctionName="count")
        first = [invoke(client, "1"), invoke(client, "1")]
        client.update_function_configuration(FunctionName="count", Timeout=9)
        client.publish_version(FunctionName="count")
        client.create_alias(FunctionName="count", Name="live", FunctionVersion="1")

        after_change = [invoke(client, "live"), invoke(client, "2"), invoke(client, "$LATEST")]
        client.update_alias(FunctionName="count", Name="live", FunctionVersion="2")
        moved = invoke(client, "live")
        by_url = call_url(running, client)
        empty_the_queue_by_alias(running)

        assert first == [["1", "1", 1], ["1", "1", 2]]
        assert after_change == [["1", "live", 3], ["2", "2", 1], ["$LATEST", "$LATEST", 1]]
        assert moved == ["2", "live", 2]
        assert by_url == ["2", "live", 3]
        assert invoke(client, "live") == ["2", "live", 5], "the mapping's was the fourth"


def call_url(running: Running, client: Any) -> Any:
    """Ask the alias's URL, as a client does whose resolver knows nothing of localhost's subdomains."""
    url = client.create_function_url_config(FunctionName="count", Qualifier="live", AuthType="NONE")["FunctionUrl"]
    answer = httpx.get(running.run.endpoint, headers={"host": urlsplit(url).netloc}, trust_env=False)
    return answer.raise_for_status().json()


def empty_the_queue_by_alias(running: Running) -> None:
    """Have a mapping feed the alias one message."""
    queue = running.client("sqs").get_queue_url(QueueName="told")["QueueUrl"]
    running.client("lambda").create_event_source_mapping(
        FunctionName="count:live", EventSourceArn="arn:aws:sqs:us-east-1:123456789012:told"
    )
    running.client("sqs").send_message(QueueUrl=queue, MessageBody="x")
    eventually(lambda: running.depth("told") == 0)
