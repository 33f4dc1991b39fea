"""AWS's own clients on one running platform: each creates and invokes a function and uses a queue."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.running import ROLE, RUNTIME, Running, archive
from tests.fakes.javascript import javascript_project, javascript_tool

AWS = Path(sys.executable).with_name("aws")
CLIENT_S_MAX = 60
ECHO = """
import os


def handle(event, context):
    print("echo of", event)
    return {"echo": event, "name": context.function_name, "setting": os.environ.get("SETTING")}
"""
ECHO_JAVASCRIPT = "export const handler = async (event) => { console.log('an echo'); return event; };"


def variables(running: Running) -> Mapping[str, str]:
    """All that a client is told."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}
    return {**ours, **keys, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": running.run.endpoint}


def test_boto3_creates_and_invokes_a_function(platform: Running) -> None:
    functions = platform.client("lambda")
    name = {"FunctionName": "from-boto3"}
    code = {"ZipFile": archive(app__py=ECHO)}
    setting = {"Variables": {"SETTING": "first"}}

    functions.create_function(
        **name, Runtime=RUNTIME, Handler="app.handle", Role=ROLE, Code=code, Environment=setting, Timeout=5
    )
    functions.get_waiter("function_active_v2").wait(**name)
    answer = functions.invoke(**name, Payload=b'{"n": 1}', LogType="Tail")
    first = json.loads(answer["Payload"].read())
    functions.update_function_configuration(**name, Environment={"Variables": {"SETTING": "second"}})
    functions.get_waiter("function_updated_v2").wait(**name)
    second = json.loads(functions.invoke(**name, Payload=b"{}")["Payload"].read())
    functions.delete_function(**name)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        functions.invoke(**name)

    assert first == {"echo": {"n": 1}, "name": "from-boto3", "setting": "first"}
    assert answer["LogResult"]
    assert second["setting"] == "second"


def test_boto3_uses_a_queue(platform: Running) -> None:
    sqs = platform.client("sqs")

    url = sqs.create_queue(QueueName="from-boto3")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="hello ü")
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    sqs.delete_queue(QueueUrl=url)
    with pytest.raises(ClientError) as gone:
        sqs.send_message(QueueUrl=url, MessageBody="too late")

    assert message["Body"] == "hello ü"
    assert (left["ApproximateNumberOfMessages"], left["ApproximateNumberOfMessagesNotVisible"]) == ("0", "0")
    assert gone.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"


def test_boto3_makes_a_queue_call_a_function(platform: Running) -> None:
    functions, sqs = platform.client("lambda"), platform.client("sqs")
    queue = sqs.create_queue(QueueName="calls")["QueueUrl"]
    heard = sqs.create_queue(QueueName="heard")["QueueUrl"]
    forward = (
        "import os, boto3\n"
        "def handle(batch, context):\n"
        "    for record in batch['Records']:\n"
        "        boto3.client('sqs').send_message(QueueUrl=os.environ['HEARD'], MessageBody=record['body'])\n"
    )
    functions.create_function(
        FunctionName="forward",
        Runtime=RUNTIME,
        Handler="app.handle",
        Role=ROLE,
        Code={"ZipFile": archive(app__py=forward)},
        Environment={"Variables": {"HEARD": heard}},
        Timeout=10,
        MemorySize=256,
    )

    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    mapping = functions.create_event_source_mapping(EventSourceArn=arn, FunctionName="forward")
    sqs.send_message(QueueUrl=queue, MessageBody="pass it on")
    received = sqs.receive_message(QueueUrl=heard, WaitTimeSeconds=20)["Messages"]
    functions.delete_event_source_mapping(UUID=mapping["UUID"])

    assert [message["Body"] for message in received] == ["pass it on"]


def test_the_aws_cli_creates_and_invokes_a_function_and_uses_a_queue(platform: Running, tmp_path: Path) -> None:
    (tmp_path / "code.zip").write_bytes(archive(app__py=ECHO))
    handler = ["--runtime", RUNTIME, "--handler", "app.handle", "--role", ROLE, "--timeout", "5"]
    name = ["--function-name", "from-cli"]
    (tmp_path / "event.json").write_text('{"n": 1}')
    payload = ["--payload", f"fileb://{tmp_path}/event.json"]

    made = aws(platform, "lambda", "create-function", *name, *handler, "--zip-file", f"fileb://{tmp_path}/code.zip")
    told = aws(platform, "lambda", "invoke", *name, *payload, f"{tmp_path}/answer")
    queue = aws(platform, "sqs", "create-queue", "--queue-name", "from-cli")["QueueUrl"]
    aws(platform, "sqs", "send-message", "--queue-url", queue, "--message-body", "hello ü")
    (message,) = aws(platform, "sqs", "receive-message", "--queue-url", queue, "--wait-time-seconds", "5")["Messages"]
    aws(platform, "sqs", "delete-message", "--queue-url", queue, "--receipt-handle", message["ReceiptHandle"])
    aws(platform, "sqs", "delete-queue", "--queue-url", queue)
    queues = aws(platform, "sqs", "list-queues", "--queue-name-prefix", "from-cli")

    assert made["State"] in ("Pending", "Active")
    assert told == {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
    assert json.loads((tmp_path / "answer").read_text())["echo"] == {"n": 1}
    assert message["Body"] == "hello ü"
    assert not (queues or {}).get("QueueUrls")


def test_the_sdk_for_javascript_creates_and_invokes_a_function_and_uses_a_queue(
    platform: Running, javascript: Path, tmp_path: Path
) -> None:
    (tmp_path / "code.zip").write_bytes(archive(index__mjs=ECHO_JAVASCRIPT))
    command = [javascript_tool("node"), "use_aws.mjs", str(tmp_path / "code.zip")]

    ran = subprocess.run(
        command, cwd=javascript, env=variables(platform), capture_output=True, text=True, timeout=CLIENT_S_MAX
    )

    assert ran.returncode == 0, ran.stderr
    saw = json.loads(ran.stdout)
    assert "an echo" in saw.pop("log")
    assert saw == {
        "state": "Active",
        "payload": '{"n":1}',
        "missing": ["ResourceNotFoundException", 404],
        "sent": ["a", "b"],
        "bodies": ["body a ü", "body b ü"],
        "attribute": [0, 255],
        "deleted": 2,
        "left": "0",
        "gone": "QueueDoesNotExist",
    }


@pytest.fixture(scope="session")
def javascript() -> Path:
    return javascript_project()


def aws(running: Running, *arguments: str) -> Any:
    """Run the AWS CLI; return its answer."""
    # The CLI's version 1 heeds AWS_ENDPOINT_URL for every service but SQS; the option holds for all.
    command = [sys.executable, str(AWS), "--endpoint-url", running.run.endpoint, *arguments]
    environment = {**variables(running), "AWS_PAGER": ""}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=CLIENT_S_MAX)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout) if ran.stdout.strip() else None
