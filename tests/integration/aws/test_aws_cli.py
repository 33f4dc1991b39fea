"""The AWS CLI with nothing but an endpoint."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fakes.live_door import LiveDoor

AWS = Path(sys.executable).with_name("aws")
ROLE = "arn:aws:iam::123456789012:role/r"
RUN_S_MAX = 60


def aws(door: LiveDoor, *arguments: str) -> Any:
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    environment = {**os.environ, **keys, "AWS_PAGER": ""}
    # The CLI's version 1 heeds AWS_ENDPOINT_URL for every service but SQS; the option holds for all.
    command = [str(AWS), "--endpoint-url", door.url, *arguments]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=RUN_S_MAX)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout) if ran.stdout else None


def test_a_function_is_created_invoked_and_listed(
    door: LiveDoor, archive: Callable[..., bytes], tmp_path: Path
) -> None:
    (tmp_path / "code.zip").write_bytes(archive())
    (tmp_path / "event.json").write_text('{"a": 1}')
    handler = ["--runtime", "python3.12", "--handler", "app.handler", "--role", ROLE]
    code = ["--zip-file", f"fileb://{tmp_path}/code.zip"]
    payload = ["--payload", "fileb://" + str(tmp_path / "event.json"), str(tmp_path / "answer")]

    made = aws(door, "lambda", "create-function", "--function-name", "f", *handler, *code)
    told = aws(door, "lambda", "invoke", "--function-name", "f", *payload)
    listed = aws(door, "lambda", "list-functions")

    assert made["State"] == "Active"
    assert told == {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
    assert (tmp_path / "answer").read_text() == '{"a": 1}'
    assert [function["FunctionName"] for function in listed["Functions"]] == ["f"]


def test_a_queue_is_used(door: LiveDoor) -> None:
    queue = aws(door, "sqs", "create-queue", "--queue-name", "q")["QueueUrl"]

    aws(door, "sqs", "send-message", "--queue-url", queue, "--message-body", "hello ü")

    (message,) = aws(door, "sqs", "receive-message", "--queue-url", queue)["Messages"]
    assert message["Body"] == "hello ü"
    aws(door, "sqs", "delete-message", "--queue-url", queue, "--receipt-handle", message["ReceiptHandle"])


def test_a_database_with_readers_is_found_waited_for_and_given_an_endpoint_for_them(door_of_cluster: LiveDoor) -> None:
    door = door_of_cluster
    secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop-AbCdEf"
    auth = ["--auth", f"AuthScheme=SECRETS,SecretArn={secret},IAMAuth=DISABLED"]
    front, network = ["--db-proxy-name", "front"], ["--vpc-subnet-ids", "subnet-1"]

    aws(door, "rds", "wait", "db-cluster-available", "--db-cluster-identifier", "shop")
    aws(door, "rds", "create-db-proxy", *front, "--engine-family", "POSTGRESQL", *auth, "--role-arn", ROLE, *network)
    aws(door, "rds", "register-db-proxy-targets", *front, "--db-cluster-identifiers", "shop")
    targets = aws(door, "rds", "describe-db-proxy-targets", *front)["Targets"]
    reports = ["--db-proxy-endpoint-name", "reports", "--target-role", "READ_ONLY"]
    endpoint = aws(door, "rds", "create-db-proxy-endpoint", *front, *reports, *network)["DBProxyEndpoint"]

    assert [one["Type"] for one in targets] == ["TRACKED_CLUSTER", *["RDS_INSTANCE"] * 3]
    assert endpoint["TargetRole"] == "READ_ONLY"
