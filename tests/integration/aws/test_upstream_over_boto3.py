"""What is not ours, over real boto3 clients: through the door to moto, and what is said when nobody is there."""

import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.fakes.live_door import LiveDoor
from workshape.settings import EndpointSettings

ROLE = "arn:aws:iam::123456789012:role/r"


def test_objects_go_to_s3_and_back_as_they_are(door_to_moto: LiveDoor) -> None:
    client = door_to_moto.client("s3")
    client.create_bucket(Bucket="uploads-one")
    body = bytes(range(256)) * 4_096

    client.put_object(Bucket="uploads-one", Key="a dir/ü+&?.bin", Body=body, Metadata={"kind": "test"})

    found = client.get_object(Bucket="uploads-one", Key="a dir/ü+&?.bin")
    assert found["Body"].read() == body
    assert (found["ContentLength"], found["Metadata"]) == (len(body), {"kind": "test"})
    assert client.head_object(Bucket="uploads-one", Key="a dir/ü+&?.bin")["ContentLength"] == len(body)
    listed = client.list_objects_v2(Bucket="uploads-one")["Contents"]
    assert [found["Key"] for found in listed] == ["a dir/ü+&?.bin"]
    client.delete_object(Bucket="uploads-one", Key="a dir/ü+&?.bin")


def test_a_bucket_may_be_named_by_the_host(door_to_moto: LiveDoor) -> None:
    client = door_to_moto.client("s3")
    client.create_bucket(Bucket="uploads-two")
    client.put_object(Bucket="uploads-two", Key="k", Body=b"x", ACL="public-read")

    answer = httpx.get(f"{door_to_moto.url}/k", headers={"host": "uploads-two.s3.amazonaws.com"})

    assert (answer.status_code, answer.content) == (200, b"x")


def test_presigned_urls_work(door_to_moto: LiveDoor) -> None:
    client = door_to_moto.client("s3")
    client.create_bucket(Bucket="uploads-three")
    url = client.generate_presigned_url("put_object", Params={"Bucket": "uploads-three", "Key": "k"})

    assert httpx.put(url, content=b"hello").status_code == 200
    assert client.get_object(Bucket="uploads-three", Key="k")["Body"].read() == b"hello"


def test_tables_are_dynamodbs(door_to_moto: LiveDoor) -> None:
    client = door_to_moto.client("dynamodb")
    client.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    item = {"pk": {"S": "1"}, "data": {"B": b"\x00\xff"}}
    new = {"TableName": "t", "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}

    client.put_item(**new)

    assert client.get_item(TableName="t", Key={"pk": {"S": "1"}})["Item"] == item
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        client.put_item(**new)


def test_the_caller_is_the_platforms_account(door_to_moto: LiveDoor) -> None:
    assert door_to_moto.client("sts").get_caller_identity()["Account"] == "123456789012"


def test_code_comes_from_s3(door_to_moto: LiveDoor, archive: Callable[..., bytes]) -> None:
    storage = door_to_moto.client("s3")
    storage.create_bucket(Bucket="code-one")
    storage.put_object(Bucket="code-one", Key="f v1.zip", Body=archive())
    client = door_to_moto.client("lambda")
    asked = {"Runtime": "python3.12", "Role": ROLE, "Handler": "app.handler"}

    made = client.create_function(FunctionName="f", Code={"S3Bucket": "code-one", "S3Key": "f v1.zip"}, **asked)

    assert made["CodeSize"] == len(archive())
    with pytest.raises(ClientError, match="S3 Error Code: NoSuchKey"):
        client.create_function(FunctionName="g", Code={"S3Bucket": "code-one", "S3Key": "none"}, **asked)


@pytest.mark.parametrize("service", ["s3", "dynamodb", "sts"])
def test_an_upstream_that_is_down_is_named(tmp_path: Path, service: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        door = LiveDoor(tmp_path, upstream={"default": address})
        client = door.client(service)
        call = {"s3": "list_buckets", "dynamodb": "list_tables", "sts": "get_caller_identity"}[service]

        with pytest.raises(ClientError) as refused:
            getattr(client, call)()

        door.close()
    response = refused.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert response["Error"]["Code"] == "ServiceUnavailable"
    assert f"the upstream of {service} does not answer at {address}" in response["Error"]["Message"]


def test_without_an_upstream_it_is_said_how_to_get_one(door: LiveDoor) -> None:
    with pytest.raises(ClientError, match="Nobody answers for kinesis here") as refused:
        door.client("kinesis").list_streams()

    assert refused.value.response["Error"]["Code"] == "NotImplemented"


def test_signatures_are_verified_when_that_is_asked_for(tmp_path: Path, moto_url: str) -> None:
    endpoint = EndpointSettings(verify_signatures=True, access_key="AKIDEXAMPLE", secret_key="secret")
    door = LiveDoor(tmp_path, upstream={"default": moto_url}, endpoint=endpoint)
    right = {"access_key": "AKIDEXAMPLE", "secret_key": "secret"}
    wrong = {"access_key": "AKIDEXAMPLE", "secret_key": "other"}

    assert door.client("lambda", **right).list_functions()["Functions"] == []
    assert "QueueUrls" not in door.client("sqs", **right).list_queues()
    storage = door.client("s3", **right)
    storage.create_bucket(Bucket="verified")
    storage.put_object(Bucket="verified", Key="a b", Body=b"x")
    assert storage.get_object(Bucket="verified", Key="a b")["Body"].read() == b"x"
    codes = []
    for client, call in (("lambda", "list_functions"), ("sqs", "list_queues"), ("s3", "list_buckets")):
        with pytest.raises(ClientError) as refused:
            getattr(door.client(client, **wrong), call)()
        codes.append((refused.value.response["Error"]["Code"], refused.value.response["ResponseMetadata"]))
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        door.client("lambda").list_functions()

    door.close()
    assert [code for code, _ in codes] == [
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
    ]
    assert {metadata["HTTPStatusCode"] for _, metadata in codes} == {403}
