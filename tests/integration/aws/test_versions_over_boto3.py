"""Versions over a real boto3 client: published, shown, listed, invoked, removed."""

from typing import Any

import pytest

from tests.fakes.functions import ARN, Archive, create, refusal
from tests.fakes.live_door import LiveDoor


def test_a_published_version_is_shown_beside_what_is_unpublished(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    made = create(client, archive(), Description="it")

    version = client.publish_version(FunctionName="f", CodeSha256=made["CodeSha256"], Description="first")
    changed = client.update_function_configuration(FunctionName="f", Timeout=30)

    shown = client.get_function(FunctionName="f", Qualifier="1")
    latest = client.get_function_configuration(FunctionName=f"{ARN}:$LATEST")
    assert version["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (version["Version"], version["FunctionArn"], version["Description"]) == ("1", f"{ARN}:1", "first")
    assert shown["Configuration"] == {name: version[name] for name in version if name != "ResponseMetadata"}
    assert shown["Code"]["Location"].startswith("file:///")
    assert (shown["Configuration"]["Timeout"], latest["Timeout"], latest["Description"]) == (3, 30, "it")
    assert latest["RevisionId"] == changed["RevisionId"] != version["RevisionId"]
    client.get_waiter("published_version_active").wait(FunctionName="f", Qualifier="1")


def test_a_function_is_published_as_it_is_made_and_changed(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")

    made = create(client, archive(), Publish=True)
    changed = client.update_function_code(FunctionName="f", ZipFile=archive(app="x = 1"), Publish=True)
    same = client.update_function_code(FunctionName="f", ZipFile=archive(app="x = 1"), Publish=True)

    assert [answer["Version"] for answer in (made, changed, same)] == ["1", "2", "2"]
    assert changed["FunctionArn"] == f"{ARN}:2"
    assert client.get_function_configuration(FunctionName="f")["Version"] == "$LATEST"
    assert client.invoke(FunctionName=f"{ARN}:1", Payload=b"1")["Payload"].read() == b"1"


def test_versions_are_listed_in_pages(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    create(client, archive(), "a")
    create(client, archive())
    for timeout_s in range(1, 12):
        client.update_function_configuration(FunctionName="f", Timeout=timeout_s)
        client.publish_version(FunctionName="f")

    paginator = client.get_paginator("list_versions_by_function")
    pages = list(paginator.paginate(FunctionName="f", PaginationConfig={"PageSize": 5}))
    everything = client.get_paginator("list_functions").paginate(
        FunctionVersion="ALL", PaginationConfig={"PageSize": 5}
    )

    assert [len(page["Versions"]) for page in pages] == [5, 5, 2]
    numbers = ["$LATEST", *(str(number) for number in range(1, 12))]
    assert [version["Version"] for page in pages for version in page["Versions"]] == numbers
    assert pages[0]["Versions"][0]["FunctionArn"] == f"{ARN}:$LATEST"
    assert [(each["FunctionName"], each["Version"]) for page in everything for each in page["Functions"]] == [
        ("a", "$LATEST"),
        *(("f", number) for number in numbers),
    ]


def test_a_version_is_deleted_alone(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    create(client, archive(), Publish=True)

    client.delete_function(FunctionName="f", Qualifier="1")

    missing = ("ResourceNotFoundException", 404, f"Function not found: {ARN}:1")
    assert refusal(lambda: client.get_function(FunctionName="f", Qualifier="1")) == missing
    assert refusal(lambda: client.invoke(FunctionName="f:1")) == missing
    assert refusal(lambda: client.delete_function(FunctionName="f", Qualifier="1")) == missing
    assert client.get_function(FunctionName="f")["Configuration"]["Version"] == "$LATEST"


def test_what_lambda_refuses_of_versions_is_refused_in_its_words(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    made = create(client, archive())

    assert refusal(lambda: client.publish_version(FunctionName="f", CodeSha256="x")) == (
        "InvalidParameterValueException",
        400,
        f"CodeSHA256 (x) is different from current CodeSHA256 in $LATEST ({made['CodeSha256']}). "
        "Please try again with the CodeSHA256 in $LATEST.",
    )
    assert refusal(lambda: client.publish_version(FunctionName="f", RevisionId="x"))[:2] == (
        "PreconditionFailedException",
        412,
    )
    assert refusal(lambda: client.publish_version(FunctionName="none"))[:2] == ("ResourceNotFoundException", 404)
    assert refusal(lambda: client.delete_function(FunctionName="f", Qualifier="$LATEST")) == (
        "InvalidParameterValueException",
        400,
        "$LATEST version cannot be deleted without deleting the function.",
    )
    assert refusal(lambda: client.update_function_code(FunctionName="f:1", ZipFile=archive()))[2].startswith(
        "This operation takes a function's unqualified name"
    )


def test_snap_start_is_for_versions_published_from_then_on(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    create(client, archive(), Publish=True)

    changed = client.update_function_configuration(FunctionName="f", SnapStart={"ApplyOn": "PublishedVersions"})
    version = client.publish_version(FunctionName="f")

    before = client.get_function_configuration(FunctionName="f", Qualifier="1")
    assert before["SnapStart"] == {"ApplyOn": "None", "OptimizationStatus": "Off"}
    assert changed["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    assert version["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}
    assert [door.call(door.catalog.resolve, "f", name).snap_start for name in ("$LATEST", "1", "2")] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"Runtime": "nodejs22.x"}, "the runtime nodejs22.x"),
        ({"Runtime": "python3.11"}, "the runtime python3.11"),
        ({"EphemeralStorage": {"Size": 513}}, "more than 512 MB of ephemeral storage (513 MB)"),
    ],
)
def test_snap_start_is_refused_where_lambda_has_none(
    door: LiveDoor, archive: Archive, change: dict[str, Any], what: str
) -> None:
    client = door.client("lambda")
    create(client, archive(), SnapStart={"ApplyOn": "PublishedVersions"})

    assert refusal(lambda: client.update_function_configuration(FunctionName="f", **change)) == (
        "InvalidParameterValueException",
        400,
        f"SnapStart is not supported for {what}.",
    )
