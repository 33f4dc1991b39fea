"""What one sees of functions that run, with the tools people have."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.running import ROLE, RUNTIME, Running, archive, bring_up, workshape

APP = f"""
[platform]
upstream = {{ dynamodb = "moto" }}

[functions.greeter]
runtime = "{RUNTIME}"
handler = "greeter.handle"
code = "code"

[queues.letters]
"""
GREETER = """
def handle(event, context):
    print("greeting", event["name"])
    return "hello " + event["name"]
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A platform whose function has greeted three people and failed once."""
    folder = tmp_path_factory.mktemp("observed")
    (folder / "workshape.toml").write_text(APP)
    (folder / "code").mkdir()
    (folder / "code" / "greeter.py").write_text(GREETER)
    with bring_up(folder, "--no-follow") as running:
        client = running.client("lambda")
        for payload in ('{"name": "Ada"}', '{"name": "Grace"}', '{"name": "Alan"}', "{}"):
            client.invoke(FunctionName="greeter", Payload=payload)
        yield running


def test_cloudwatch_tells_what_a_function_did(platform: Running) -> None:
    client, now = platform.client("cloudwatch"), datetime.now(UTC)
    window = {"StartTime": now - timedelta(minutes=10), "EndTime": now + timedelta(minutes=1), "Period": 3_600}
    of_function = {"Namespace": "AWS/Lambda", "Dimensions": [{"Name": "FunctionName", "Value": "greeter"}], **window}

    def sums(name: str) -> float:
        told = client.get_metric_statistics(MetricName=name, Statistics=["Sum"], **of_function)
        return float(sum(point["Sum"] for point in told["Datapoints"]))

    durations = client.get_metric_statistics(MetricName="Duration", ExtendedStatistics=["p99"], **of_function)

    assert (sums("Invocations"), sums("Errors"), sums("Throttles")) == (4, 1, 0)
    assert durations["Datapoints"][0]["ExtendedStatistics"]["p99"] > 0
    listed = client.list_metrics(Namespace="workshape/Lambda")["Metrics"]
    assert {metric["MetricName"] for metric in listed} == {"InitDuration"}


def test_prometheus_scrapes_the_engine(platform: Running) -> None:
    platform.client("sqs").send_message(QueueUrl=f"{platform.run.endpoint}/123456789012/letters", MessageBody="hi")

    answer = httpx.get(f"{platform.run.endpoint}/_workshape/metrics", trust_env=False)

    found: dict[str, dict[str, Any]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[",".join(sample.labels.values())] = sample.value
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert found["workshape_function_invocations_total"] == {"greeter,$LATEST": 4}
    assert found["workshape_function_errors_total"] == {"greeter,$LATEST": 1}
    assert found["workshape_function_duration_seconds_count"] == {"greeter,$LATEST": 4}
    assert found["workshape_function_init_duration_seconds_count"] == {"greeter,$LATEST": 1}
    assert sum(found["workshape_function_environments"].values()) == 1
    assert found["workshape_queue_messages"]["letters,visible"] == 1


def test_logs_are_searched_by_the_command_and_by_cloudwatch_alike(platform: Running) -> None:
    client, here = platform.client("logs"), ["--folder", str(platform.folder)]

    events = client.filter_log_events(logGroupName="/aws/lambda/greeter", filterPattern="greeting -Alan -ERROR")[
        "events"
    ]
    request = client.filter_log_events(logGroupName="/aws/lambda/greeter", filterPattern='"START RequestId"')["events"][
        1
    ]
    request_id = request["message"].split()[2]
    filtered = workshape("logs", "greeter", "--filter", "greeting -Alan -ERROR", *here)
    of_request = workshape("logs", "--request-id", request_id, "--since", "1h", *here)
    later = workshape("logs", "greeter", "--since", "2999-01-01T00:00:00Z", *here)
    wrong = workshape("logs", "greeter", "--filter", "{ $", *here)

    assert [event["message"] for event in events] == ["greeting Ada", "greeting Grace"]
    assert filtered == (0, "greeting Ada\ngreeting Grace\n")
    lines = [line.split(maxsplit=1)[1] for line in of_request[1].splitlines()]
    assert [line.split()[0] for line in lines] == ["START", "greeting", "END", "REPORT"]
    assert lines[1] == "greeting Grace"
    assert later == (0, "")
    assert (wrong[0], "filter pattern" in wrong[1]) == (1, True)


def test_a_json_log_leaves_out_what_is_below_its_level(platform: Running) -> None:
    code = """
import json

def handle(event, context):
    for level in ("DEBUG", "INFO", "WARN", "ERROR"):
        print(json.dumps({"level": level, "timestamp": "2026-10-08T06:53:49Z"}))
    print("a plain line")
"""
    functions, logs = platform.client("lambda"), platform.client("logs")
    functions.create_function(
        FunctionName="quiet",
        Runtime=RUNTIME,
        Role=ROLE,
        Handler="quiet.handle",
        Code={"ZipFile": archive(quiet__py=code)},
        LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN"},
    )

    answer = functions.invoke(FunctionName="quiet")

    events = logs.filter_log_events(logGroupName="/aws/lambda/quiet")["events"]
    messages = [event["message"] for event in events if "platform." not in event["message"]]
    assert "FunctionError" not in answer
    assert [message.partition(",")[0] for message in messages] == [
        '{"level": "WARN"',
        '{"level": "ERROR"',
        "a plain line",
    ]
