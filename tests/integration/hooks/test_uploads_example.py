"""The example `uploads`: a bucket, a function, a topic and queues, from an app file alone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from moto.server import ThreadedMotoServer

from tests.fakes.live_engine import LiveEngine, live_engine
from workshape.app.model import App
from workshape.app.toml import load_app

EXAMPLE = Path(__file__).parents[3] / "examples" / "uploads"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """moto's server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    httpx.post(f"http://{host}:{port}/moto-api/reset", trust_env=False).raise_for_status()
    server.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the engine's state is."""
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def engine(folder: Path, moto: str) -> Iterator[LiveEngine]:
    """The example, running."""
    app, _ = load_app(EXAMPLE)
    with live_engine(folder, {"default": moto}, app) as engine:
        engine.wait_until(lambda: httpx.get(f"{engine.run_file.endpoint}/_workshape/health").status_code == 200)
        yield engine


def queue_url(engine: LiveEngine, name: str) -> str:
    return str(engine.client("sqs").get_queue_url(QueueName=name)["QueueUrl"])


def test_an_upload_is_inspected_and_whoever_cares_hears_of_it(engine: LiveEngine) -> None:
    engine.client("s3").put_object(Bucket="uploads", Key="in/a b.txt", Body=b"12345")
    engine.client("s3").put_object(Bucket="uploads", Key="elsewhere.txt", Body=b"12345")

    (message,) = engine.receive(queue_url(engine, "audit"))
    client = engine.client("logs")

    def told_so() -> list[Any]:
        try:
            page = client.filter_log_events(logGroupName="/aws/lambda/notify", filterPattern="inspected")
        except client.exceptions.ResourceNotFoundException:  # the first line makes the group
            return []
        return list(page["events"])

    engine.wait_until(told_so)

    files = json.loads(message["Body"])["responsePayload"]["files"]
    assert [(file["key"], file["size"]) for file in files] == [("in/a b.txt", 5)]
    assert [event["message"] for event in told_so()] == ["inspected in/a b.txt: 5 bytes"]


def test_what_cannot_be_inspected_is_kept_with_the_reason(engine: LiveEngine) -> None:
    engine.client("lambda").put_function_event_invoke_config(
        FunctionName="inspect",
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:123456789012:failed"}},
    )

    engine.client("s3").put_object(Bucket="uploads", Key="in/virus.exe", Body=b"12345")
    (message,) = engine.receive(queue_url(engine, "failed"))

    record = json.loads(message["Body"])
    assert record["responsePayload"]["errorMessage"] == "in/virus.exe: programs are not taken"
    assert record["requestPayload"]["Records"][0]["s3"]["object"]["key"] == "in/virus.exe"


def test_applied_again_it_changes_nothing_and_an_empty_file_takes_all_of_it_away(
    engine: LiveEngine, folder: Path, moto: str
) -> None:
    engine.close()
    app, _ = load_app(EXAMPLE)
    with live_engine(folder, {"default": moto}, app) as again:
        again.wait_until(lambda: httpx.get(f"{again.run_file.endpoint}/_workshape/health").status_code == 200)
        topic = again.client("sns").list_topics()["Topics"][0]["TopicArn"]
        subscriptions = again.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        config = again.client("lambda").get_function_event_invoke_config(FunctionName="inspect")
    with live_engine(folder, {"default": moto}, App("uploads", buckets=app.buckets)) as without:
        without.wait_until(lambda: httpx.get(f"{without.run_file.endpoint}/_workshape/health").status_code == 200)
        left = without.client("sns").list_topics()["Topics"]
        told = without.client("s3").get_bucket_notification_configuration(Bucket="uploads")

    assert sorted(each["Protocol"] for each in subscriptions) == ["lambda", "sqs"]
    assert config["MaximumRetryAttempts"] == 1, "what the file says goes before what was set over the API"
    assert left == []
    assert told.keys() == {"ResponseMetadata"}
