"""What a request to S3 is for, however it names its bucket."""

import pytest

from workshape.aws.s3.request import Action, StorageRequest, read_request
from workshape.http1.message import Request


def read(method: str, target: str, host: str = "127.0.0.1:4566", **headers: str) -> StorageRequest:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return read_request(Request(method, target, (("host", host), *pairs)))


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("127.0.0.1:4566", "/pictures/a%20b/c%2B.jpg"),
        ("localhost", "/pictures/a%20b/c%2B.jpg"),
        ("s3.us-east-1.amazonaws.com", "/pictures/a%20b/c%2B.jpg"),
        ("pictures.s3.amazonaws.com", "/a%20b/c%2B.jpg"),
        ("pictures.s3.eu-west-1.amazonaws.com", "/a%20b/c%2B.jpg"),
        ("pictures.s3.dualstack.eu-west-1.amazonaws.com", "/a%20b/c%2B.jpg"),
        ("pictures.s3-eu-west-1.amazonaws.com", "/a%20b/c%2B.jpg"),
        ("pictures.localhost:4566", "/a%20b/c%2B.jpg"),
        ("pictures.s3.localhost:4566", "/a%20b/c%2B.jpg"),
    ],
)
def test_the_bucket_is_in_the_path_or_in_the_host(host: str, target: str) -> None:
    asked = read("PUT", target, host)

    assert (asked.action, asked.bucket, asked.key) == (Action.PUT, "pictures", "a b/c+.jpg")


def test_a_signature_in_the_query_changes_nothing() -> None:
    signed = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0&x-id=PutObject"

    assert read("PUT", f"/b/k?{signed}").action is Action.PUT
    assert read("PUT", "/b/k?AWSAccessKeyId=a&Signature=s&Expires=1").action is Action.PUT
    assert read("DELETE", f"/b?{signed}").action is Action.DELETE_BUCKET


@pytest.mark.parametrize(
    ("method", "target", "action"),
    [
        ("PUT", "/b/k?tagging", Action.PUT_TAGS),
        ("DELETE", "/b/k?tagging&versionId=7", Action.DELETE_TAGS),
        ("PUT", "/b/k?acl", Action.PUT_ACL),
        ("POST", "/b/k?uploadId=u", Action.COMPLETE_MULTIPART),
        ("DELETE", "/b/k?versionId=7", Action.DELETE),
        ("POST", "/b?delete", Action.DELETE_MANY),
        ("PUT", "/b?notification", Action.PUT_NOTIFICATION),
        ("GET", "/b/?notification", Action.GET_NOTIFICATION),
        ("PUT", "/b/k?partNumber=1&uploadId=u", Action.OTHER),
        ("DELETE", "/b/k?uploadId=u", Action.OTHER),
        ("POST", "/b/k?uploads", Action.OTHER),
        ("POST", "/b/k?restore", Action.OTHER),
        ("PUT", "/b/k?retention", Action.OTHER),
        ("GET", "/b/k", Action.OTHER),
        ("GET", "/b/k?tagging", Action.OTHER),
        ("PUT", "/b", Action.OTHER),
        ("DELETE", "/b?policy", Action.OTHER),
        ("GET", "/", Action.OTHER),
    ],
)
def test_an_action_is_told_by_method_path_and_query(method: str, target: str, action: Action) -> None:
    assert read(method, target).action is action


def test_a_copy_is_told_by_its_source_and_a_form_by_its_type() -> None:
    assert read("PUT", "/b/k", x_amz_copy_source="/b/other").action is Action.COPY
    assert read("POST", "/b", content_type="multipart/form-data; boundary=x").action is Action.POST_FORM
    assert read("PUT", "/b/k?partNumber=1&uploadId=u", x_amz_copy_source="/b/other").action is Action.OTHER
