"""What becomes of asynchronous invocations: records at destinations, events in dead-letter queues."""

import json

from tests.fakes.live_engine import LiveEngine

FAIL = "def handler(event, context):\n    raise KeyError('no such order')\n"
NO_RETRIES = {"MaximumRetryAttempts": 0}


def test_a_success_is_recorded_at_a_queue_and_at_another_function(engine: LiveEngine) -> None:
    url, queue = engine.create_queue("successes")
    listener = engine.create_function("listens")
    arn = engine.create_function("works")
    client = engine.client("lambda")

    client.put_function_event_invoke_config(
        FunctionName="works", DestinationConfig={"OnSuccess": {"Destination": queue}}
    )
    asked = client.invoke(FunctionName="works", InvocationType="Event", Payload=b'{"order": 7}')
    (message,) = engine.receive(url)
    client.put_function_event_invoke_config(
        FunctionName="works", DestinationConfig={"OnSuccess": {"Destination": listener}}
    )
    client.invoke(FunctionName="works", InvocationType="Event", Payload=b'{"order": 8}')
    (event,) = engine.events("listens")

    record = json.loads(message["Body"])
    assert asked["StatusCode"] == 202
    assert record["requestContext"]["functionArn"] == f"{arn}:$LATEST"
    assert record["requestContext"]["condition"] == "Success"
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert record["requestContext"]["requestId"] == asked["ResponseMetadata"]["RequestId"]
    assert (record["requestPayload"], record["responsePayload"]) == ({"order": 7}, {"order": 7})
    assert event["requestPayload"] == {"order": 8}


def test_a_failure_goes_to_a_bucket_and_to_the_dead_letter_queue(engine: LiveEngine) -> None:
    url, queue = engine.create_queue("dead-events")
    storage, client = engine.client("s3"), engine.client("lambda")
    storage.create_bucket(Bucket="failures")
    engine.create_function("fails", FAIL, DeadLetterConfig={"TargetArn": queue})
    client.put_function_event_invoke_config(
        FunctionName="fails", DestinationConfig={"OnFailure": {"Destination": "arn:aws:s3:::failures"}}, **NO_RETRIES
    )

    asked = client.invoke(FunctionName="fails", InvocationType="Event", Payload=b'{"order": 7}')
    (message,) = engine.receive(url)

    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert message["Body"] == '{"order": 7}'
    assert attributes == {
        "RequestID": asked["ResponseMetadata"]["RequestId"],
        "ErrorCode": "200",
        "ErrorMessage": "'no such order'",
    }
    of_function = {"Bucket": "failures", "Prefix": "aws/lambda/async/fails/"}
    engine.wait_until(lambda: storage.list_objects_v2(**of_function)["KeyCount"] == 1)
    (stored,) = storage.list_objects_v2(**of_function)["Contents"]
    record = json.loads(storage.get_object(Bucket="failures", Key=stored["Key"])["Body"].read())
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["responseContext"]["functionError"] == "Unhandled"
    assert record["responsePayload"]["errorType"] == "KeyError"


def test_an_error_with_characters_that_no_queue_takes_is_told_all_the_same(engine: LiveEngine) -> None:
    url, queue = engine.create_queue("coloured-events")
    source = "def handler(event, context):\n    raise ValueError('\\x1b[31mred\\x00')\n"
    engine.create_function("fails-in-colour", source, DeadLetterConfig={"TargetArn": queue})
    client = engine.client("lambda")
    client.put_function_event_invoke_config(FunctionName="fails-in-colour", **NO_RETRIES)

    client.invoke(FunctionName="fails-in-colour", InvocationType="Event", Payload=b'{"order": 7}')
    (message,) = engine.receive(url)

    assert message["Body"] == '{"order": 7}'
    assert message["MessageAttributes"]["ErrorMessage"]["StringValue"] == "\ufffd[31mred\ufffd"


def test_a_failure_is_an_event_on_a_bus(engine: LiveEngine) -> None:
    url, queue = engine.create_queue("failures-on-bus")
    events, client = engine.client("events"), engine.client("lambda")
    bus = events.create_event_bus(Name="failures")["EventBusArn"]
    pattern = json.dumps({"source": ["lambda"], "detail-type": ["Lambda Function Invocation Result - Failure"]})
    events.put_rule(Name="failures", EventBusName="failures", EventPattern=pattern)
    events.put_targets(Rule="failures", EventBusName="failures", Targets=[{"Id": "1", "Arn": queue}])
    arn = engine.create_function("fails-on-bus", FAIL)
    client.put_function_event_invoke_config(
        FunctionName="fails-on-bus", DestinationConfig={"OnFailure": {"Destination": bus}}, **NO_RETRIES
    )

    client.invoke(FunctionName="fails-on-bus", InvocationType="Event", Payload=b'{"order": 7}')
    (message,) = engine.receive(url)

    event = json.loads(message["Body"])
    assert event["resources"] == [f"{arn}:$LATEST", bus]
    assert event["detail"]["requestPayload"] == {"order": 7}


def test_a_destination_that_is_gone_is_counted(engine: LiveEngine) -> None:
    url, queue = engine.create_queue("goes-away")
    engine.create_function("tells-nobody", FAIL, DeadLetterConfig={"TargetArn": queue})
    client = engine.client("lambda")
    client.put_function_event_invoke_config(
        FunctionName="tells-nobody", DestinationConfig={"OnFailure": {"Destination": queue}}, **NO_RETRIES
    )
    engine.client("sqs").delete_queue(QueueUrl=url)

    client.invoke(FunctionName="tells-nobody", InvocationType="Event")

    names = ("DestinationDeliveryFailures", "DeadLetterErrors", "AsyncEventsDropped")
    engine.wait_until(lambda: [engine.metric_sum(name, "tells-nobody") for name in names] == [1.0, 1.0, 1.0])


def test_a_switched_off_function_sends_its_events_on_untried(engine: LiveEngine) -> None:
    url, queue = engine.create_queue("untried")
    engine.create_function("is-off")
    client = engine.client("lambda")
    client.put_function_concurrency(FunctionName="is-off", ReservedConcurrentExecutions=0)
    client.put_function_event_invoke_config(
        FunctionName="is-off", DestinationConfig={"OnFailure": {"Destination": queue}}
    )

    client.invoke(FunctionName="is-off", InvocationType="Event", Payload=b"[1]")
    (message,) = engine.receive(url)

    context = json.loads(message["Body"])["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("ZeroReservedConcurrency", 0)
