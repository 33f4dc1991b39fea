"""Aliases over a real boto3 client: made, shown, moved, weighed, invoked, removed."""

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.functions import ARN, Archive, create, refusal
from tests.fakes.live_door import LiveDoor


@pytest.fixture
def client(door: LiveDoor, archive: Archive) -> Any:
    """A client, and a function of two versions."""
    client = door.client("lambda")
    create(client, archive(), Publish=True)
    client.update_function_configuration(FunctionName="f", Timeout=30)
    client.publish_version(FunctionName="f")
    return client


def test_an_alias_is_shown_as_it_was_made(client: Any) -> None:
    made = client.create_alias(FunctionName="f", Name="live", FunctionVersion="1", Description="it")

    shown = client.get_alias(FunctionName=ARN, Name="live")
    function = client.get_function(FunctionName="f", Qualifier="live")["Configuration"]
    assert made.pop("ResponseMetadata")["HTTPStatusCode"] == 201
    shown.pop("ResponseMetadata")
    assert shown == made
    assert (made["AliasArn"], made["FunctionVersion"], made["Description"]) == (f"{ARN}:live", "1", "it")
    assert (function["Version"], function["Timeout"], function["FunctionArn"]) == ("1", 3, f"{ARN}:live")


def test_an_alias_moves_and_takes_its_callers_along(client: Any, door: LiveDoor) -> None:
    made = client.create_alias(FunctionName="f", Name="live", FunctionVersion="1", Description="it")
    before = door.call(door.catalog.resolve, "f", "live").version

    moved = client.update_alias(FunctionName="f", Name="live", FunctionVersion="2", RevisionId=made["RevisionId"])

    assert (before, door.call(door.catalog.resolve, f"{ARN}:live", None).version) == ("1", "2")
    assert (moved["FunctionVersion"], moved["Description"]) == ("2", "it")
    assert moved["RevisionId"] != made["RevisionId"]
    stale = refusal(lambda: client.update_alias(FunctionName="f", Name="live", RevisionId=made["RevisionId"]))
    assert stale[:2] == ("PreconditionFailedException", 412)


def test_a_weighted_alias_is_drawn_for_every_invocation(client: Any, door: LiveDoor) -> None:
    draws = iter([0.1, 0.9, 0.25, 0.24])
    door.catalog._draw = lambda: next(draws)

    made = client.create_alias(
        FunctionName="f",
        Name="live",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.25}},
    )

    versions = [door.call(door.catalog.resolve, "f", "live").version for _ in range(4)]
    assert made["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.25}}
    assert versions == ["2", "1", "1", "2"]
    whole = client.update_alias(FunctionName="f", Name="live", RoutingConfig={"AdditionalVersionWeights": {}})
    assert "RoutingConfig" not in whole
    assert door.call(door.catalog.resolve, "f", "live").version == "1"


def test_aliases_are_listed_in_pages_and_by_version(client: Any) -> None:
    for name, version in (("c", "2"), ("a", "$LATEST"), ("b", "1")):
        client.create_alias(FunctionName="f", Name=name, FunctionVersion=version)
    client.update_alias(FunctionName="f", Name="b", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})

    pages = list(client.get_paginator("list_aliases").paginate(FunctionName="f", PaginationConfig={"PageSize": 2}))
    of_two = client.list_aliases(FunctionName="f", FunctionVersion="2")["Aliases"]

    assert [[alias["Name"] for alias in page["Aliases"]] for page in pages] == [["a", "b"], ["c"]]
    assert [alias["Name"] for alias in of_two] == ["b", "c"]


def test_an_alias_keeps_its_versions_and_goes_with_its_function(client: Any, archive: Archive) -> None:
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    client.update_alias(FunctionName="f", Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
    in_use = (
        "ResourceConflictException",
        409,
        "Unable to delete version because the following aliases reference it: [live]",
    )

    assert refusal(lambda: client.delete_function(FunctionName="f", Qualifier="1")) == in_use
    assert refusal(lambda: client.delete_function(FunctionName="f", Qualifier="2")) == in_use
    assert refusal(lambda: client.delete_function(FunctionName="f", Qualifier="live"))[2].startswith("live is an alias")
    client.delete_function(FunctionName="f")
    create(client, archive())
    assert client.list_aliases(FunctionName="f")["Aliases"] == []


def test_an_alias_is_deleted_and_its_version_stays(client: Any) -> None:
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")

    client.delete_alias(FunctionName="f", Name="live")

    missing = ("ResourceNotFoundException", 404)
    assert refusal(lambda: client.get_alias(FunctionName="f", Name="live")) == (
        *missing,
        f"Cannot find alias arn: {ARN}:live",
    )
    assert refusal(lambda: client.invoke(FunctionName="f:live")) == (*missing, f"Function not found: {ARN}:live")
    assert refusal(lambda: client.delete_alias(FunctionName="f", Name="live"))[:2] == missing
    assert client.invoke(FunctionName="f", Qualifier="1")["StatusCode"] == 200


def test_what_lambda_refuses_of_aliases_is_refused_in_its_words(client: Any) -> None:
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")

    assert refusal(lambda: client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")) == (
        "ResourceConflictException",
        409,
        f"Alias already exists: {ARN}:live",
    )
    assert refusal(lambda: client.create_alias(FunctionName="f", Name="next", FunctionVersion="7")) == (
        "ResourceNotFoundException",
        404,
        f"Function not found: {ARN}:7",
    )
    assert refusal(lambda: client.create_alias(FunctionName="f", Name="1", FunctionVersion="1"))[:2] == (
        "ValidationException",
        400,
    )
    routed = {"AdditionalVersionWeights": {"2": 0.5}}
    assert refusal(
        lambda: client.create_alias(FunctionName="f", Name="next", FunctionVersion="$LATEST", RoutingConfig=routed)
    )[:2] == ("InvalidParameterValueException", 400)
    client.update_function_configuration(FunctionName="f", Role="arn:aws:iam::123456789012:role/other")
    client.publish_version(FunctionName="f")
    assert refusal(
        lambda: client.update_alias(
            FunctionName="f", Name="live", RoutingConfig={"AdditionalVersionWeights": {"3": 0.5}}
        )
    )[2].endswith("both versions must have the same execution role.")


def test_aliases_are_found_again(tmp_path: Path, archive: Archive) -> None:
    first = LiveDoor(tmp_path)
    create(first.client("lambda"), archive(), Publish=True)
    made = first.client("lambda").create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    first.close()

    second = LiveDoor(tmp_path)

    found = second.client("lambda").get_alias(FunctionName="f", Name="live")
    second.close()
    assert found["RevisionId"] == made["RevisionId"]
