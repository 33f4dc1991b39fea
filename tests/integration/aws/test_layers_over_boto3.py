"""Layers over a real boto3 client: published, found, merged for functions, kept while they are used."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.functions import Archive, create, refusal
from tests.fakes.live_door import LiveDoor

LAYER = "arn:aws:lambda:us-east-1:123456789012:layer"
MISSING = ("ResourceNotFoundException", 404, "The resource you requested does not exist.")


def publish(client: Any, name: str, code: bytes, **more: Any) -> Any:
    return client.publish_layer_version(LayerName=name, Content={"ZipFile": code}, **more)


def opt(door: LiveDoor, qualifier: str | None = None) -> Path:
    return Path(door.call(door.catalog.resolve, "f", qualifier).opt_folder)


def test_a_layer_version_is_shown_as_it_was_made(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    publish(client, "l", archive())

    made = publish(
        client,
        f"{LAYER}:l",
        archive(app="x = 1"),
        Description="it",
        CompatibleRuntimes=["python3.12"],
        CompatibleArchitectures=["arm64"],
        LicenseInfo="MIT",
    )

    shown = client.get_layer_version(LayerName="l", VersionNumber=2)
    by_arn = client.get_layer_version_by_arn(Arn=f"{LAYER}:l:2")
    (listed, _) = client.list_layer_versions(LayerName="l")["LayerVersions"]
    assert made.pop("ResponseMetadata")["HTTPStatusCode"] == 201
    assert {**shown, "ResponseMetadata": 0} == {**by_arn, "ResponseMetadata": 0} == {**made, "ResponseMetadata": 0}
    assert (made["LayerArn"], made["LayerVersionArn"], made["Version"]) == (f"{LAYER}:l", f"{LAYER}:l:2", 2)
    assert (made["LicenseInfo"], made["CompatibleRuntimes"]) == ("MIT", ["python3.12"])
    assert Path(made["Content"]["Location"].removeprefix("file://")).read_bytes() == archive(app="x = 1")
    assert listed == {name: value for name, value in made.items() if name not in ("Content", "LayerArn")}


def test_layers_are_listed_by_what_they_are_for(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    publish(client, "b", archive(), CompatibleRuntimes=["python3.12"])
    publish(client, "b", archive(app="x = 1"))
    publish(client, "a", archive())
    publish(client, "c", archive(), CompatibleArchitectures=["arm64"])

    pages = list(client.get_paginator("list_layers").paginate(PaginationConfig={"PageSize": 2}))
    python = client.list_layers(CompatibleRuntime="python3.12")["Layers"]
    versions = client.get_paginator("list_layer_versions").paginate(LayerName="b", PaginationConfig={"PageSize": 1})

    listed = [
        (layer["LayerName"], layer["LatestMatchingVersion"]["Version"]) for page in pages for layer in page["Layers"]
    ]
    assert listed == [("a", 1), ("b", 2), ("c", 1)]
    assert [(layer["LayerName"], layer["LatestMatchingVersion"]["Version"]) for layer in python] == [("b", 1)]
    assert [version["Version"] for page in versions for version in page["LayerVersions"]] == [2, 1]
    assert [layer["LayerName"] for layer in client.list_layers(CompatibleArchitecture="arm64")["Layers"]] == ["c"]


def test_a_functions_layers_are_merged_in_their_order(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    for name, files in (("one", {"both": "1", "first": "1"}), ("two", {"both": "2", "second": "2"})):
        publish(client, name, archive(**files))

    made = create(client, archive(), Layers=[f"{LAYER}:one:1", f"{LAYER}:two:1"])
    merged = opt(door)
    client.update_function_configuration(FunctionName="f", Layers=[f"{LAYER}:two:1", f"{LAYER}:one:1"])
    turned = opt(door)
    client.update_function_configuration(FunctionName="f", Timeout=9)
    kept = opt(door)
    bare = client.update_function_configuration(FunctionName="f", Layers=[])

    assert [layer["Arn"] for layer in made["Layers"]] == [f"{LAYER}:one:1", f"{LAYER}:two:1"]
    assert made["Layers"][0]["CodeSize"] == len(archive(both="1", first="1"))
    assert {path.name: path.read_text() for path in merged.iterdir()} == {
        "both.py": "2",
        "first.py": "1",
        "second.py": "2",
    }
    assert (turned / "both.py").read_text() == "1"
    assert kept == turned != merged
    assert "Layers" not in bare
    assert door.call(door.catalog.resolve, "f", None).opt_folder == ""


def test_a_deleted_layer_stays_where_it_is_used(tmp_path: Path, archive: Archive) -> None:
    first = LiveDoor(tmp_path)
    client = first.client("lambda")
    for name in ("one", "two", "unused"):
        publish(client, name, archive(**{name: "here"}))
    create(client, archive(), Layers=[f"{LAYER}:one:1", f"{LAYER}:two:1"], Publish=True)
    client.update_function_configuration(FunctionName="f", Layers=[f"{LAYER}:one:1"])
    for name in ("one", "two", "unused"):
        client.delete_layer_version(LayerName=name, VersionNumber=1)
    first.close()

    second = LiveDoor(tmp_path)

    client = second.client("lambda")
    found = {
        qualifier: sorted(path.name for path in opt(second, qualifier).iterdir()) for qualifier in ("1", "$LATEST")
    }
    left = {path.name for path in (tmp_path / "code").iterdir() if path.is_dir()}
    again = publish(client, "one", archive())
    second.close()
    assert found == {"1": ["one.py", "two.py"], "$LATEST": ["one.py"]}
    assert len(left) == 3, "the function's code, the merged folder, the one layer"
    assert again["Version"] == 2, "numbers are not used again"


def test_a_layer_versions_policy_is_kept(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    publish(client, "l", archive())
    version = {"LayerName": "l", "VersionNumber": 1}
    allow = {**version, "Action": "lambda:GetLayerVersion"}

    added = client.add_layer_version_permission(**allow, StatementId="a", Principal="111122223333")
    client.add_layer_version_permission(
        **allow, StatementId="b", Principal="*", OrganizationId="o-0123456789", RevisionId=added["RevisionId"]
    )

    shown = client.get_layer_version_policy(**version)
    assert json.loads(shown["Policy"])["Statement"] == [
        json.loads(added["Statement"]),
        {
            "Sid": "b",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "lambda:GetLayerVersion",
            "Resource": f"{LAYER}:l:1",
            "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-0123456789"}},
        },
    ]
    assert json.loads(added["Statement"])["Principal"] == {"AWS": "arn:aws:iam::111122223333:root"}
    assert refusal(lambda: client.add_layer_version_permission(**allow, StatementId="a", Principal="*"))[:2] == (
        "ResourceConflictException",
        409,
    )
    stale = {"RevisionId": added["RevisionId"]}
    assert refusal(lambda: client.remove_layer_version_permission(**version, StatementId="a", **stale))[:2] == (
        "PreconditionFailedException",
        412,
    )
    for statement in ("a", "b"):
        client.remove_layer_version_permission(**version, StatementId=statement)
    assert refusal(lambda: client.get_layer_version_policy(**version)) == MISSING


def test_what_lambda_refuses_of_layers_is_refused_in_its_words(
    door: LiveDoor, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = door.client("lambda")
    publish(client, "l", archive())
    publish(client, "l", archive())
    create(client, archive())

    def layers(*arns: str) -> tuple[str, int, str]:
        return refusal(lambda: client.update_function_configuration(FunctionName="f", Layers=[*arns]))

    refused = ("InvalidParameterValueException", 400)
    assert refusal(lambda: client.get_layer_version(LayerName="l", VersionNumber=7)) == MISSING
    assert refusal(lambda: client.delete_layer_version(LayerName="none", VersionNumber=1)) == MISSING
    assert layers(f"{LAYER}:none:1") == (*refused, f"Layer version {LAYER}:none:1 does not exist.")
    assert layers(*[f"{LAYER}:l:1"] * 6) == (*refused, "Cannot reference more than 5 layers.")
    assert layers(f"{LAYER}:l:1", f"{LAYER}:l:2") == (
        *refused,
        "Two different versions of the same layer are not allowed to be referenced in the same function. "
        f"{LAYER}:l:1 and {LAYER}:l:2 are versions of the same layer.",
    )
    assert layers(f"{LAYER.replace('123456789012', '210987654321')}:l:1")[2].startswith("Layers of 210987654321")
    assert refusal(lambda: publish(client, "l", b"no zip"))[:2] == refused
    monkeypatch.setattr("workshape.functions.function.UNPACKED_BYTES_MAX", 70)
    size = 2 * len("def handler(event, context): return event")
    assert layers(f"{LAYER}:l:1") == (
        *refused,
        "Function code combined with layers exceeds the maximum allowed size of 70 bytes. "
        f"The actual size is {size} bytes.",
    )
