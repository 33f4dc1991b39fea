"""A function that sets itself off, through its own bucket, its own queue or by a call, is stopped."""

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


CALLS_ITSELF = """
import json
import os
import urllib.error
import urllib.request

URL = os.environ["AWS_ENDPOINT_URL"] + "/2015-03-31/functions/calls-itself/invocations"


def handler(event, context):
    number = event["number"]
    print(f"EVENT {number}")
    headers = {"X-Amzn-Trace-Id": os.environ["_X_AMZN_TRACE_ID"]}
    body = json.dumps({"number": number + 1}).encode()
    try:
        return json.load(urllib.request.urlopen(urllib.request.Request(URL, body, headers), timeout=50))
    except urllib.error.HTTPError as error:
        return [error.code, error.headers["x-amzn-errortype"], json.load(error)["Message"]]
"""


def test_a_function_that_waits_for_itself_is_refused_after_sixteen_rounds(engine: LiveEngine) -> None:
    engine.create_function("calls-itself", CALLS_ITSELF, Timeout=60)
    client = engine.client("lambda", read_timeout=90)

    answer = client.invoke(FunctionName="calls-itself", Payload=json.dumps({"number": 1}))

    told = json.loads(answer["Payload"].read())
    said = "The function calls-itself was invoked in a recursive loop, 16 times by one event, and is stopped."
    assert told == [400, "RecursiveInvocationException", said]
    assert max(engine.events("calls-itself", 16)) <= 17, "who is outside has no trace, and begins no round"
    engine.wait_until(lambda: engine.metric_sum("RecursiveInvocationsDropped", "calls-itself") == 1.0)


QUEUE_LOOP = """
import json
import os
import urllib.request


def handler(event, context):
    for record in event["Records"]:
        number = int(record["body"])
        print(f"EVENT {number}")
        # What every SDK of AWS sends along from a function.
        headers = {
            "X-Amzn-Trace-Id": os.environ["_X_AMZN_TRACE_ID"],
            "X-Amz-Target": "AmazonSQS.SendMessage",
            "Content-Type": "application/x-amz-json-1.0",
        }
        message = json.dumps({"QueueUrl": os.environ["QUEUE"], "MessageBody": str(number + 1)}).encode()
        request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], message, headers)
        urllib.request.urlopen(request, timeout=10).close()
"""


def test_a_loop_through_a_queue_ends_after_sixteen_rounds_in_the_dead_letter_queue(engine: LiveEngine) -> None:
    dead_url, dead = engine.create_queue("round-dead")
    client, queues = engine.client("lambda"), engine.client("sqs")
    redrive = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 1})
    attributes = {"RedrivePolicy": redrive, "VisibilityTimeout": "4"}
    url = queues.create_queue(QueueName="round", Attributes=attributes)["QueueUrl"]
    engine.create_function("round", QUEUE_LOOP, Timeout=4, Environment={"Variables": {"QUEUE": url}})
    client.create_event_source_mapping(
        FunctionName="round", EventSourceArn=dead.replace("round-dead", "round"), BatchSize=1
    )

    queues.send_message(QueueUrl=url, MessageBody="1")
    (message,) = engine.receive(dead_url)

    assert message["Body"] == "17"
    assert sorted(engine.events("round", 16)) == list(range(1, 17))
    engine.wait_until(lambda: engine.metric_sum("RecursiveInvocationsDropped", "round") >= 1.0)
