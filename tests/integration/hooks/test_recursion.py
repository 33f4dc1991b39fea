"""A function that sets itself off through its own bucket is stopped."""

import json

from tests.fakes.live_engine import LiveEngine

LOOP = """
import os
import urllib.request

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]


def handler(event, context):
    number = int(event["Records"][0]["s3"]["object"]["key"])
    print(f"EVENT {number}")
    # What every SDK of AWS sends along from a function.
    headers = {"X-Amzn-Trace-Id": os.environ["_X_AMZN_TRACE_ID"]}
    request = urllib.request.Request(f"{ENDPOINT}/loop/{number + 1}", b"x", headers, method="PUT")
    urllib.request.urlopen(request, timeout=10).close()
"""


def test_a_loop_through_a_bucket_ends_after_sixteen_rounds_and_is_told(engine: LiveEngine) -> None:
    url, queue = engine.create_queue("loops")
    arn = engine.create_function("loops", LOOP)
    client, storage = engine.client("lambda"), engine.client("s3")
    client.put_function_event_invoke_config(
        FunctionName="loops", DestinationConfig={"OnFailure": {"Destination": queue}}
    )
    storage.create_bucket(Bucket="loop")
    function = {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
    storage.put_bucket_notification_configuration(
        Bucket="loop", NotificationConfiguration={"LambdaFunctionConfigurations": [function]}
    )

    storage.put_object(Bucket="loop", Key="1", Body=b"x")
    (message,) = engine.receive(url)

    record = json.loads(message["Body"])
    assert record["requestContext"]["condition"] == "RecursiveInvocation"
    assert record["requestPayload"]["Records"][0]["s3"]["object"]["key"] == "17"
    assert sorted(engine.events("loops", 16)) == list(range(1, 17))
    engine.wait_until(lambda: engine.metric_sum("RecursiveInvocationsDropped", "loops") == 1.0)
    assert client.get_function_recursion_config(FunctionName="loops")["RecursiveLoop"] == "Terminate"
    allowed = client.put_function_recursion_config(FunctionName="loops", RecursiveLoop="Allow")
    assert allowed["RecursiveLoop"] == "Allow"
    assert client.get_function_recursion_config(FunctionName="loops")["RecursiveLoop"] == "Allow"
