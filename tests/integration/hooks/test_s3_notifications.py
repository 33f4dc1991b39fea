"""Buckets that tell queues and functions of their objects: boto3, moto and real environments."""

import json
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fakes.live_engine import LiveEngine


def to_queue(arn: str, *events: str, **filters: str) -> dict[str, Any]:
    """A notification configuration with one queue."""
    rules = [{"Name": name, "Value": value} for name, value in filters.items()]
    filtered = {"Filter": {"Key": {"FilterRules": rules}}} if rules else {}
    return {"QueueConfigurations": [{"Id": "rule", "QueueArn": arn, "Events": list(events), **filtered}]}


def listening_bucket(engine: LiveEngine, name: str, *events: str, **filters: str) -> tuple[Any, str]:
    """Make a bucket that tells a queue of its name; return a client of S3 and the queue's URL."""
    url, arn = engine.create_queue(name)
    client = engine.client("s3")
    client.create_bucket(Bucket=name)
    client.put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration=to_queue(arn, *(events or ("s3:ObjectCreated:*",)), **filters)
    )
    (test,) = engine.receive(url)
    assert json.loads(test["Body"])["Event"] == "s3:TestEvent"
    return client, url


def told(engine: LiveEngine, url: str, count: int = 1) -> list[dict[str, Any]]:
    """So many records, in the order of the changes they tell of."""
    records = [json.loads(message["Body"])["Records"][0] for message in engine.receive(url, count)]
    return sorted(records, key=lambda record: record["s3"]["object"].get("sequencer", record["eventTime"]))


def test_an_upload_invokes_the_function_its_bucket_names(engine: LiveEngine) -> None:
    arn = engine.create_function("thumbnails")
    client = engine.client("s3")
    client.create_bucket(Bucket="pictures")
    function = {"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
    client.put_bucket_notification_configuration(
        Bucket="pictures", NotificationConfiguration={"LambdaFunctionConfigurations": [function]}
    )

    put = client.put_object(Bucket="pictures", Key="red flower/ü.jpg", Body=b"12345")
    (event,) = engine.events("thumbnails")

    (record,) = event["Records"]
    assert (record["eventName"], record["eventSource"]) == ("ObjectCreated:Put", "aws:s3")
    assert record["s3"]["bucket"]["arn"] == "arn:aws:s3:::pictures"
    described = record["s3"]["object"]
    assert (described["key"], described["size"]) == ("red+flower/%C3%BC.jpg", 5)
    assert described["eTag"] == put["ETag"].strip('"')
    assert record["requestParameters"]["sourceIPAddress"] == "127.0.0.1"
    assert record["responseElements"]["x-amz-request-id"] == put["ResponseMetadata"]["RequestId"]


def test_every_way_to_make_an_object_is_told(engine: LiveEngine) -> None:
    client, url = listening_bucket(engine, "makes", prefix="in/", suffix=".txt")

    client.put_object(Bucket="makes", Key="in/plain.txt", Body=b"1234")
    client.put_object(Bucket="makes", Key="out/plain.txt", Body=b"1234")
    client.put_object(Bucket="makes", Key="in/plain.jpg", Body=b"1234")
    client.copy_object(Bucket="makes", Key="in/copy.txt", CopySource={"Bucket": "makes", "Key": "in/plain.txt"})
    upload = client.create_multipart_upload(Bucket="makes", Key="in/large.txt")["UploadId"]
    part = client.upload_part(Bucket="makes", Key="in/large.txt", UploadId=upload, PartNumber=1, Body=b"123456")
    client.complete_multipart_upload(
        Bucket="makes",
        Key="in/large.txt",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    form = client.generate_presigned_post("makes", "in/${filename}")
    _post_form(form["url"], form["fields"], "form.txt", b"12345678")
    link = client.generate_presigned_url("put_object", Params={"Bucket": "makes", "Key": "in/link.txt"})
    urllib.request.urlopen(urllib.request.Request(link, b"12", method="PUT"), timeout=30).close()
    records = told(engine, url, 5)

    assert [
        (record["eventName"], record["s3"]["object"]["key"], record["s3"]["object"]["size"]) for record in records
    ] == [
        ("ObjectCreated:Put", "in/plain.txt", 4),
        ("ObjectCreated:Copy", "in/copy.txt", 4),
        ("ObjectCreated:CompleteMultipartUpload", "in/large.txt", 6),
        ("ObjectCreated:Post", "in/form.txt", 8),
        ("ObjectCreated:Put", "in/link.txt", 2),
    ]
    for record in records:
        found = client.head_object(Bucket="makes", Key=record["s3"]["object"]["key"])
        assert found["ETag"].strip('"') == record["s3"]["object"]["eTag"], record


def test_removals_tell_markers_from_deletions(engine: LiveEngine) -> None:
    client, url = listening_bucket(engine, "removes", "s3:ObjectRemoved:*")
    client.put_bucket_versioning(Bucket="removes", VersioningConfiguration={"Status": "Enabled"})
    first = client.put_object(Bucket="removes", Key="a", Body=b"1")["VersionId"]
    for key in ("b", "c"):
        client.put_object(Bucket="removes", Key=key, Body=b"1")

    marker = client.delete_object(Bucket="removes", Key="a")["VersionId"]
    client.delete_object(Bucket="removes", Key="a", VersionId=first)
    client.delete_objects(Bucket="removes", Delete={"Objects": [{"Key": "b"}]})
    client.delete_objects(Bucket="removes", Delete={"Objects": [{"Key": "c"}], "Quiet": True})
    records = told(engine, url, 4)

    objects = [record["s3"]["object"] for record in records]
    assert [(record["eventName"], found["key"]) for record, found in zip(records, objects, strict=True)] == [
        ("ObjectRemoved:DeleteMarkerCreated", "a"),
        ("ObjectRemoved:Delete", "a"),
        ("ObjectRemoved:DeleteMarkerCreated", "b"),
        ("ObjectRemoved:DeleteMarkerCreated", "c"),
    ]
    assert [found.get("versionId") for found in objects[:2]] == [marker, first]
    assert objects[2]["versionId"]


def test_tags_and_access_control_lists_are_told(engine: LiveEngine) -> None:
    client, url = listening_bucket(engine, "tags", "s3:ObjectTagging:*", "s3:ObjectAcl:Put")
    etag = client.put_object(Bucket="tags", Key="k", Body=b"1")["ETag"].strip('"')

    client.put_object_tagging(Bucket="tags", Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})
    client.delete_object_tagging(Bucket="tags", Key="k")
    client.put_object_acl(Bucket="tags", Key="k", ACL="public-read")
    records = told(engine, url, 3)

    assert {record["eventName"] for record in records} == {
        "ObjectTagging:Put",
        "ObjectTagging:Delete",
        "ObjectAcl:Put",
    }
    assert all(record["s3"]["object"] == {"key": "k", "eTag": etag} for record in records)


def test_a_bucket_tells_the_default_bus_of_everything(engine: LiveEngine) -> None:
    url, arn = engine.create_queue("bus-of-bucket")
    rules, client = engine.client("events"), engine.client("s3")
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": ["on-bus"]}}}
    rules.put_rule(Name="on-bus", EventPattern=json.dumps(pattern))
    rules.put_targets(Rule="on-bus", Targets=[{"Id": "1", "Arn": arn}])
    client.create_bucket(Bucket="on-bus")

    client.put_bucket_notification_configuration(
        Bucket="on-bus", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    client.put_object(Bucket="on-bus", Key="a b.txt", Body=b"123")
    client.delete_object(Bucket="on-bus", Key="a b.txt")
    events = [json.loads(message["Body"]) for message in engine.receive(url, 2)]

    created, deleted = sorted(events, key=lambda event: str(event["detail-type"]))
    assert created["detail-type"] == "Object Created"
    assert created["resources"] == ["arn:aws:s3:::on-bus"]
    assert created["detail"]["object"]["key"] == "a b.txt"
    assert (created["detail"]["object"]["size"], created["detail"]["reason"]) == (3, "PutObject")
    assert deleted["detail"]["deletion-type"] == "Permanently Deleted"
    shown = client.get_bucket_notification_configuration(Bucket="on-bus")
    assert "EventBridgeConfiguration" in shown


def test_a_configuration_is_shown_replaced_and_goes_with_its_bucket(engine: LiveEngine) -> None:
    client, url = listening_bucket(engine, "shown", prefix="a/")
    _, arn = engine.create_queue("shown")

    shown = client.get_bucket_notification_configuration(Bucket="shown")
    client.put_bucket_notification_configuration(Bucket="shown", NotificationConfiguration={})
    emptied = client.get_bucket_notification_configuration(Bucket="shown")
    client.put_object(Bucket="shown", Key="a/b")
    client.put_bucket_notification_configuration(
        Bucket="shown", NotificationConfiguration=to_queue(arn, "s3:ObjectCreated:*")
    )
    engine.receive(url)
    client.delete_object(Bucket="shown", Key="a/b")
    client.delete_bucket(Bucket="shown")
    client.create_bucket(Bucket="shown")
    anew = client.get_bucket_notification_configuration(Bucket="shown")

    (queue,) = shown["QueueConfigurations"]
    assert queue["QueueArn"] == arn
    assert queue["Filter"]["Key"]["FilterRules"] == [{"Name": "Prefix", "Value": "a/"}]
    for nothing in (emptied, anew):
        assert nothing.keys() == {"ResponseMetadata"}


def test_what_s3_would_refuse_is_refused(engine: LiveEngine) -> None:
    client, _ = listening_bucket(engine, "refuses")
    _, arn = engine.create_queue("refuses")

    def refused(bucket: str, **configuration: Any) -> tuple[str, str]:
        with pytest.raises(ClientError) as error:
            client.put_bucket_notification_configuration(Bucket=bucket, **configuration)
        found = error.value.response["Error"]
        return found["Code"], found["Message"]

    gone = to_queue(f"{arn}-gone", "s3:ObjectCreated:*")
    twice = {"QueueConfigurations": 2 * to_queue(arn, "s3:ObjectCreated:*")["QueueConfigurations"]}
    fifo = to_queue(f"{arn}.fifo", "s3:ObjectCreated:*")

    assert refused("refuses", NotificationConfiguration=gone) == (
        "InvalidArgument",
        f"Unable to validate the following destination configurations: {arn}-gone: the SQS queue does not exist",
    )
    assert refused("refuses", NotificationConfiguration=twice)[0] == "InvalidArgument"
    assert "FIFO" in refused("refuses", NotificationConfiguration=fifo)[1]
    assert refused("never-made", NotificationConfiguration={})[0] == "NoSuchBucket"
    client.put_bucket_notification_configuration(
        Bucket="refuses", NotificationConfiguration=gone, SkipDestinationValidation=True
    )
    assert client.get_bucket_notification_configuration(Bucket="refuses")["QueueConfigurations"][0]["QueueArn"] == (
        f"{arn}-gone"
    )


def _post_form(url: str, fields: dict[str, str], filename: str, content: bytes) -> None:
    parts = [
        f'--form\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--form\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
    body = b"".join([*parts, head.encode(), content, b"\r\n--form--\r\n"])
    headers = {"content-type": "multipart/form-data; boundary=form"}
    urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30).close()
