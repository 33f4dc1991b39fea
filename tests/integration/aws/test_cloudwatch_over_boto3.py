"""Metrics over real clients: ours from the engine, everybody else's from moto."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cbor2
import httpx
import pytest
from botocore.exceptions import ClientError

from tests.fakes.live_door import LiveDoor
from workshape.metrics.book import MetricBook
from workshape.metrics.metric import MINUTE_S, Metric, Point, Unit, minute_of

AWS = Path(sys.executable).with_name("aws")
NOW = datetime.now(UTC).timestamp()
BEGIN = datetime.fromtimestamp((minute_of(NOW) - 10) * MINUTE_S, UTC)
END = datetime.fromtimestamp(NOW, UTC)
OF_F = [{"Name": "FunctionName", "Value": "f"}]
DURATION = Metric("AWS/Lambda", "Duration", (("FunctionName", "f"),), Unit.MILLISECONDS)
INVOCATIONS = Metric("AWS/Lambda", "Invocations", (("FunctionName", "f"),))
ERRORS = Metric("AWS/Lambda", "Errors", (("FunctionName", "f"),))


def measure(door: LiveDoor) -> None:
    """Three minutes of a function: 100 invocations of 1 to 100 ms, then 50 that all fail, then none."""
    book = MetricBook()
    for number in range(1, 101):
        book.record(DURATION, float(number), BEGIN.timestamp())
        book.record(INVOCATIONS, 1.0, BEGIN.timestamp())
        book.record(ERRORS, 0.0, BEGIN.timestamp())
    for metric in (INVOCATIONS, ERRORS):
        book.record(metric, 1.0, BEGIN.timestamp() + MINUTE_S, 50)
    points: list[Point] = book.take()

    def source(_now: float) -> list[Point]:
        taken, points[:] = list(points), []
        return taken

    door.call(door.metrics.add_source, source)


def statistics(door: LiveDoor, **changed: Any) -> dict[str, Any]:
    asked = {
        "Namespace": "AWS/Lambda",
        "MetricName": "Duration",
        "Dimensions": OF_F,
        "StartTime": BEGIN,
        "EndTime": END,
        "Period": 60,
        "Statistics": ["SampleCount", "Average", "Sum", "Minimum", "Maximum"],
    }
    given = {name: value for name, value in {**asked, **changed}.items() if value is not None}
    found: dict[str, Any] = door.client("cloudwatch").get_metric_statistics(**given)
    return found


def query(name: str, metric: str, period: int = 60, stat: str = "Sum", namespace: str = "AWS/Lambda") -> dict[str, Any]:
    measured = {"Namespace": namespace, "MetricName": metric, "Dimensions": OF_F}
    return {"Id": name, "MetricStat": {"Metric": measured, "Period": period, "Stat": stat}}


def data(door: LiveDoor, *queries: dict[str, Any], **more: Any) -> dict[str, Any]:
    asked = {"MetricDataQueries": list(queries), "StartTime": BEGIN, "EndTime": END, "ScanBy": "TimestampAscending"}
    found: dict[str, Any] = door.client("cloudwatch").get_metric_data(**{**asked, **more})
    return found


def test_statistics_of_a_metric(door: LiveDoor) -> None:
    measure(door)

    simple = statistics(door)
    extended = statistics(door, Statistics=None, ExtendedStatistics=["p50", "p99.9"])

    assert simple["Label"] == "Duration"
    assert simple["Datapoints"] == [
        {
            "Timestamp": BEGIN,
            "SampleCount": 100.0,
            "Average": 50.5,
            "Sum": 5_050.0,
            "Minimum": 1.0,
            "Maximum": 100.0,
            "Unit": "Milliseconds",
        }
    ]
    (percentiles,) = extended["Datapoints"]
    assert percentiles["ExtendedStatistics"] == pytest.approx({"p50": 50, "p99.9": 100}, rel=0.01)
    assert statistics(door, Unit="Count")["Datapoints"] == []
    assert statistics(door, Dimensions=[])["Datapoints"] == []


def test_series_and_what_is_worked_out_from_them(door: LiveDoor) -> None:
    measure(door)
    hidden = {**query("invocations", "Invocations"), "ReturnData": False}
    rate = {"Id": "rate", "Expression": "100 * errors / invocations", "Label": "error rate"}

    found = data(door, hidden, query("errors", "Errors"), rate, query("all", "Invocations", period=300))

    minute = timedelta(seconds=MINUTE_S)
    assert [(each["Id"], each["Label"], each["Timestamps"], each["Values"]) for each in found["MetricDataResults"]] == [
        ("errors", "Errors", [BEGIN, BEGIN + minute], [0.0, 50.0]),
        ("rate", "error rate", [BEGIN, BEGIN + minute], [0.0, 100.0]),
        ("all", "Invocations", [BEGIN], [150.0]),
    ]
    assert {each["StatusCode"] for each in found["MetricDataResults"]} == {"Complete"}


def test_series_come_in_pages_when_they_are_asked_for_so(door: LiveDoor) -> None:
    measure(door)
    queries = [query("a", "Invocations"), query("b", "Errors")]
    pages = door.client("cloudwatch").get_paginator("get_metric_data")
    asked = {"MetricDataQueries": queries, "StartTime": BEGIN, "EndTime": END, "MaxDatapoints": 1}

    found = [each for page in pages.paginate(**asked) for each in page["MetricDataResults"] if each["Values"]]

    assert [(each["Id"], each["Values"], each["StatusCode"]) for each in found] == [
        ("a", [50.0], "PartialData"),
        ("a", [100.0], "Complete"),
        ("b", [50.0], "PartialData"),
        ("b", [0.0], "Complete"),
    ]


def test_the_cli_lists_metrics_and_reads_them(door: LiveDoor) -> None:
    measure(door)
    asked = ["--start-time", BEGIN.isoformat(), "--end-time", END.isoformat(), "--period", "60"]
    dimension = ["--dimensions", "Name=FunctionName,Value=f"]

    listed = aws(door, "list-metrics", "--namespace", "AWS/Lambda", "--metric-name", "Errors")
    metric = ["--namespace", "AWS/Lambda", "--metric-name", "Duration"]
    told = aws(door, "get-metric-statistics", *metric, *dimension, *asked, "--statistics", "Maximum")

    assert listed["Metrics"] == [{"Namespace": "AWS/Lambda", "MetricName": "Errors", "Dimensions": OF_F}]
    assert [point["Maximum"] for point in told["Datapoints"]] == [100.0]


def test_older_clients_speak_the_query_protocol(door: LiveDoor) -> None:
    measure(door)
    form = {
        "Action": "ListMetrics",
        "Version": "2010-08-01",
        "Namespace": "AWS/Lambda",
        "Dimensions.member.1.Name": "FunctionName",
        "Dimensions.member.1.Value": "f",
    }
    scope = "AWS4-HMAC-SHA256 Credential=AK/20261124/us-east-1/monitoring/aws4_request, SignedHeaders=host"

    answer = httpx.post(door.url, data=form, headers={"authorization": scope})

    assert answer.status_code == 200
    assert answer.text.count("<MetricName>") == 3
    assert "<ListMetricsResponse xmlns=" in answer.text


def test_the_youngest_clients_speak_cbor(door: LiveDoor) -> None:
    measure(door)
    headers = {"smithy-protocol": "rpc-v2-cbor", "content-type": "application/cbor", "accept": "application/cbor"}
    service = f"{door.url}/service/GraniteServiceVersion20100801/operation"
    asked = {"MetricDataQueries": [query("m", "Invocations")], "StartTime": BEGIN, "EndTime": END}

    def ask(operation: str, body: dict[str, Any]) -> httpx.Response:
        encoded = cbor2.dumps(body, datetime_as_timestamp=True)
        return httpx.post(f"{service}/{operation}", content=encoded, headers=headers)

    answer, refused = ask("GetMetricData", asked), ask("GetMetricData", {**asked, "EndTime": BEGIN})

    (result,) = cbor2.loads(answer.content)["MetricDataResults"]
    assert (answer.status_code, answer.headers["smithy-protocol"]) == (200, "rpc-v2-cbor")
    assert (result["Timestamps"][-1], result["Values"]) == (BEGIN, [50.0, 100.0])
    assert (refused.status_code, refused.headers["x-amzn-query-error"]) == (400, "ValidationError;Sender")
    assert "StartTime must be less" in cbor2.loads(refused.content)["message"]


def test_other_namespaces_are_the_upstreams_and_a_list_has_both(door_to_moto: LiveDoor) -> None:
    measure(door_to_moto)
    client = door_to_moto.client("cloudwatch")
    client.put_metric_data(Namespace="Mine", MetricData=[{"MetricName": "Depth", "Value": 7.0, "Timestamp": BEGIN}])

    theirs = statistics(door_to_moto, Namespace="Mine", MetricName="Depth", Dimensions=[], Statistics=["Sum"])
    series = data(door_to_moto, query("m", "Depth", namespace="Mine"))
    listed = [metric for page in client.get_paginator("list_metrics").paginate() for metric in page["Metrics"]]

    assert [point["Sum"] for point in theirs["Datapoints"]] == [7.0]
    assert [each["Id"] for each in series["MetricDataResults"]] == ["m"]
    names = [(metric["Namespace"], metric["MetricName"]) for metric in listed]
    ours = [("AWS/Lambda", name) for name in ("Duration", "Errors", "Invocations")]
    assert names == [("Mine", "Depth"), *ours]
    alarm = {"MetricName": "Depth", "Namespace": "Mine", "Period": 60, "Statistic": "Sum", "EvaluationPeriods": 1}
    client.put_metric_alarm(AlarmName="a", Threshold=1.0, ComparisonOperator="GreaterThanThreshold", **alarm)
    assert [alarm["AlarmName"] for alarm in client.describe_alarms()["MetricAlarms"]] == ["a"]


def test_without_an_upstream_the_list_is_ours_and_other_operations_are_refused_by_name(door: LiveDoor) -> None:
    measure(door)
    client = door.client("cloudwatch")

    assert len(client.list_metrics()["Metrics"]) == 3
    with pytest.raises(ClientError, match="Nobody answers for monitoring"):
        client.describe_alarms()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"Period": 30}, "not a multiple of 60"),
        ({"StartTime": END, "EndTime": BEGIN}, "must be less than the parameter EndTime"),
        ({"Statistics": None}, "either Statistics or ExtendedStatistics"),
        ({"Statistics": None, "ExtendedStatistics": ["p101"]}, "p101"),
        ({"Statistics": None, "ExtendedStatistics": ["tm99"]}, "trimmed"),
        ({"StartTime": BEGIN - timedelta(days=2)}, "exceeds the limit of 1,440"),
    ],
)
def test_statistics_that_cannot_be_are_refused(door: LiveDoor, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        statistics(door, **changed)


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ([query("A", "Errors")], "lowercase"),
        ([query("a", "Errors"), query("a", "Errors")], "twice"),
        ([query("a", "Errors"), {"Id": "b"}], "either MetricStat or Expression"),
        ([query("a", "Errors"), {"Id": "b", "Expression": "c"}], "no query has it"),
        ([query("a", "Errors"), {"Id": "b", "Expression": "b + 1"}], "circle"),
        ([query("a", "Errors"), {"Id": "b", "Expression": "RATE(a)"}], "RATE"),
        ([query("a", "Errors", stat="Mean")], "Mean"),
        ([query("a", "Errors"), query("b", "Depth", namespace="Mine")], "Mine beside AWS/Lambda"),
    ],
)
def test_queries_that_cannot_be_are_refused(door: LiveDoor, queries: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        data(door, *queries)


def aws(door: LiveDoor, *arguments: str) -> Any:
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    command = [str(AWS), "--endpoint-url", door.url, "cloudwatch", *arguments]
    ran = subprocess.run(command, env={**os.environ, **keys, "AWS_PAGER": ""}, capture_output=True, timeout=60)
    assert ran.returncode == 0, ran.stderr.decode()
    return json.loads(ran.stdout)
