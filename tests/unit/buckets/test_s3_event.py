"""What S3 tells of an object, in AWS's shapes."""

import json

from hypothesis import given
from hypothesis import strategies as st

from workshape.buckets.event import Sequencer, arrival_test, bus_event, record_of
from workshape.buckets.notification import Cause, ObjectChange, ObjectEvent

CAUSE = Cause("127.0.0.1", "C3D13FE58DE4C810", "FMyUVURIY8", 1_700_000_000.25)
PUT = ObjectChange(ObjectEvent.PUT, "red flower/ä+b.jpg", 1_024, "d41d8c", "v1")


def record(change: ObjectChange) -> dict[str, object]:
    delivery = record_of(
        change, CAUSE, "0F", bucket="pictures", target_id="rule", region="us-east-1", account="123456789012"
    )
    (found,) = json.loads(delivery.body)["Records"]
    assert isinstance(found, dict)
    return found


def test_a_record_is_awss() -> None:
    assert record(PUT) == {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2023-11-14T22:13:20.250Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:123456789012"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "rule",
            "bucket": {
                "name": "pictures",
                "ownerIdentity": {"principalId": "123456789012"},
                "arn": "arn:aws:s3:::pictures",
            },
            "object": {
                "key": "red+flower/%C3%A4%2Bb.jpg",
                "size": 1024,
                "eTag": "d41d8c",
                "versionId": "v1",
                "sequencer": "0F",
            },
        },
    }


def test_a_record_of_tags_has_the_later_version_and_no_sequencer() -> None:
    found = record(ObjectChange(ObjectEvent.TAGGED, "k", etag="e"))

    assert found["eventVersion"] == "2.3"
    assert found["s3"]["object"] == {"key": "k", "eTag": "e"}  # type: ignore[index]


def test_a_bus_gets_the_detail_with_the_key_as_it_is() -> None:
    created = bus_event(PUT, CAUSE, "0F", bucket="pictures", account="123456789012")
    marker = ObjectChange(ObjectEvent.DELETE_MARKER, "k", etag="d41d8c", version_id="v2")
    deleted = bus_event(marker, CAUSE, "10", bucket="pictures", account="123456789012")

    assert created.envelope is not None
    assert (created.envelope.source, created.envelope.detail_type) == ("aws.s3", "Object Created")
    assert created.envelope.resources == ("arn:aws:s3:::pictures",)
    detail = json.loads(created.body)
    assert detail["object"]["key"] == "red flower/ä+b.jpg"
    assert (detail["reason"], detail["source-ip-address"]) == ("PutObject", "127.0.0.1")
    assert json.loads(deleted.body)["deletion-type"] == "Delete Marker Created"


def test_the_test_event_is_awss() -> None:
    told = json.loads(arrival_test("pictures", CAUSE).body)

    assert told == {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": "2023-11-14T22:13:20.250Z",
        "Bucket": "pictures",
        "RequestId": "C3D13FE58DE4C810",
        "HostId": "FMyUVURIY8",
    }


@given(st.lists(st.floats(0, 4e9), min_size=2))
def test_sequencers_only_grow_even_when_the_clock_is_set_back(times: list[float]) -> None:
    sequencer = Sequencer()

    given_out = [sequencer.next(now) for now in times]

    assert given_out == sorted(set(given_out))
    assert len({len(each) for each in given_out}) == 1
