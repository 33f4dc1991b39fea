"""Functions of package type Image over a real boto3 client: made, shown, waited for, changed, refused, removed."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fakes.images import BuiltImage, file, index_of, layer, write_layout
from tests.fakes.live_door import LiveDoor
from tests.fakes.registry import FakeRegistry
from workshape.functions.images.model import ImageProcess

ANSWER_S_MAX = 20.0
ROLE = "arn:aws:iam::123456789012:role/r"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"


def built(text: str = "hello", **more: Any) -> BuiltImage:
    config = {"Entrypoint": ["/run"], "Cmd": ["one"], "Env": ["A=image"], "WorkingDir": "/work"}
    return BuiltImage([layer(file("text", text))], config, **more)


def create(client: Any, uri: str, **more: Any) -> Any:
    return client.create_function(FunctionName="f", PackageType="Image", Role=ROLE, Code={"ImageUri": uri}, **more)


def refusal(call: Callable[[], Any]) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as refused:
        call()
    response = refused.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]


def wait_for(client: Any, member: str, value: str) -> None:
    """Until a function of that name is there and shows it."""
    deadline = time.monotonic() + ANSWER_S_MAX
    while time.monotonic() < deadline:
        with suppress(client.exceptions.ResourceNotFoundException):
            if client.get_function_configuration(FunctionName="f").get(member) == value:
                return
        time.sleep(0.05)
    pytest.fail(f"{member} was never {value}")


def executed(door: LiveDoor) -> ImageProcess:
    image = door.call(door.catalog.resolve, "f", None).image
    assert image is not None
    return image


@pytest.fixture
def door(tmp_path: Path) -> Iterator[LiveDoor]:
    door = LiveDoor(tmp_path / "door")
    yield door
    door.close()


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    registry = FakeRegistry()
    yield registry
    registry.close()


@pytest.fixture
def layout(tmp_path: Path) -> str:
    images = {"v1": built("one"), "v2": built("two"), "v3": built("three")}
    return f"oci:{write_layout(tmp_path / 'layout', **images)}"


def test_a_function_of_an_image_is_shown_as_it_was_made(door: LiveDoor, layout: str) -> None:
    client = door.client("lambda")

    made = create(client, f"{layout}:v1", ImageConfig={"Command": ["a", "b"], "WorkingDirectory": "/"})
    client.get_waiter("function_active_v2").wait(FunctionName="f")

    shown = client.get_function(FunctionName="f")
    found = shown["Configuration"]
    assert (made["PackageType"], made["CodeSize"], made["CodeSha256"]) == ("Image", 0, built("one").digest[7:])
    assert made["ImageConfigResponse"] == {"ImageConfig": {"Command": ["a", "b"], "WorkingDirectory": "/"}}
    assert "Runtime" not in made
    assert "Handler" not in made
    assert (found["State"], found["LastUpdateStatus"], found["PackageType"]) == ("Active", "Successful", "Image")
    assert shown["Code"] == {
        "RepositoryType": "ECR",
        "ImageUri": f"{layout}:v1",
        "ResolvedImageUri": f"{layout}@{built('one').digest}",
    }


def test_what_is_executed_is_the_images_with_the_functions_settings_before_it(door: LiveDoor, layout: str) -> None:
    client = door.client("lambda")

    create(client, f"{layout}:v1", ImageConfig={"Command": ["a", "b"]})
    own = executed(door)
    client.get_waiter("function_active_v2").wait(FunctionName="f")
    client.update_function_configuration(FunctionName="f", ImageConfig={"EntryPoint": ["/other"]})
    other = executed(door)
    client.update_function_configuration(FunctionName="f", ImageConfig={})
    none = executed(door)

    assert own == ImageProcess(("/run", "a", "b"), "/work", {"A": "image"}, "amd64")
    assert (other.arguments, none.arguments) == (("/other", "one"), ("/run", "one"))
    assert Path(door.call(door.catalog.resolve, "f", None).code_folder, "text").read_text() == "one"


def test_a_function_is_pending_until_its_image_is_here(door: LiveDoor, registry: FakeRegistry) -> None:
    client = door.client("lambda")
    image = built()
    registry.push("v1", image)
    registry.held = {json.loads(image.manifest)["layers"][0]["digest"]}

    made = create(client, f"{registry.host}/app:v1")
    shown = client.get_function_configuration(FunctionName="f")
    refusals = [
        refusal(lambda: client.invoke(FunctionName="f")),
        refusal(lambda: client.invoke(FunctionName="f", InvocationType="Event")),
        refusal(lambda: client.update_function_configuration(FunctionName="f", Timeout=9)),
        refusal(lambda: client.update_function_code(FunctionName="f", ImageUri=f"{registry.host}/app:v1")),
    ]
    registry.release.set()
    client.get_waiter("function_active").wait(FunctionName="f", WaiterConfig={"Delay": 1})

    for answer in (made, shown):
        assert (answer["State"], answer["StateReasonCode"]) == ("Pending", "Creating")
        assert answer["StateReason"] == "The function is being created."
        assert "LastUpdateStatus" not in answer
    words = "The operation cannot be performed at this time. The function is currently in the following state: Pending"
    assert refusals == [("ResourceConflictException", 409, words)] * 4
    assert client.invoke(FunctionName="f", Payload=b"1")["Payload"].read() == b"1"


def test_an_update_leaves_the_function_as_it_was_until_its_image_is_here(
    door: LiveDoor, registry: FakeRegistry, layout: str
) -> None:
    client = door.client("lambda")
    image = built("new")
    registry.push("v1", image)
    registry.held = {json.loads(image.manifest)["layers"][0]["digest"]}
    create(client, f"{layout}:v1")
    client.get_waiter("function_active_v2").wait(FunctionName="f")

    changed = client.update_function_code(FunctionName="f", ImageUri=f"{registry.host}/app:v1")
    meanwhile = client.get_function_configuration(FunctionName="f")
    refused = refusal(lambda: client.update_function_configuration(FunctionName="f", Timeout=9))
    invoked = client.invoke(FunctionName="f", Payload=b"1")["Payload"].read()
    before = Path(door.call(door.catalog.resolve, "f", None).code_folder, "text").read_text()
    registry.release.set()
    client.get_waiter("function_updated_v2").wait(FunctionName="f")

    assert (changed["State"], changed["LastUpdateStatus"]) == ("Active", "InProgress")
    assert changed["CodeSha256"] == image.digest[7:]
    assert meanwhile["LastUpdateStatus"] == "InProgress"
    words = f"The operation cannot be performed at this time. An update is in progress for resource: {ARN}"
    assert refused == ("ResourceConflictException", 409, words)
    assert (invoked, before) == (b"1", "one")
    assert Path(door.call(door.catalog.resolve, "f", None).code_folder, "text").read_text() == "new"
    assert client.get_function_configuration(FunctionName="f")["CodeSha256"] == image.digest[7:]


def test_what_was_under_way_is_gone_on_with_in_the_next_run(
    tmp_path: Path, registry: FakeRegistry, layout: str
) -> None:
    first, second = built("first"), built("second")
    registry.push("first", first)
    registry.push("second", second)
    registry.held = {json.loads(image.manifest)["layers"][0]["digest"] for image in (first, second)}
    door = LiveDoor(tmp_path / "door")
    client = door.client("lambda")
    create(client, f"{registry.host}/app:first")
    client.create_function(FunctionName="g", PackageType="Image", Role=ROLE, Code={"ImageUri": f"{layout}:v1"})
    client.get_waiter("function_active_v2").wait(FunctionName="g")
    client.update_function_code(FunctionName="g", ImageUri=f"{registry.host}/app:second")
    door.close()

    again = LiveDoor(tmp_path / "door")
    client = again.client("lambda")
    states = [client.get_function_configuration(FunctionName=name) for name in ("f", "g")]
    registry.release.set()
    client.get_waiter("function_active_v2").wait(FunctionName="f")
    client.get_waiter("function_updated_v2").wait(FunctionName="g")
    texts = [Path(again.call(again.catalog.resolve, name, None).code_folder, "text").read_text() for name in "fg"]
    again.close()

    assert (states[0]["State"], states[1]["LastUpdateStatus"]) == ("Pending", "InProgress")
    assert texts == ["first", "second"]


def test_a_function_whose_image_cannot_be_unpacked_has_failed_and_says_why(door: LiveDoor, tmp_path: Path) -> None:
    client = door.client("lambda")
    climbing = BuiltImage([layer(file("../out"))])
    layout = write_layout(tmp_path / "bad", latest=climbing, good=built())

    create(client, f"oci:{layout}")
    with pytest.raises(Exception, match="terminal failure"):
        client.get_waiter("function_active_v2").wait(FunctionName="f")
    shown = client.get_function_configuration(FunctionName="f")
    refused = refusal(lambda: client.invoke(FunctionName="f"))
    client.update_function_code(FunctionName="f", ImageUri=f"oci:{layout}:good")
    client.get_waiter("function_active_v2").wait(FunctionName="f")

    assert (shown["State"], shown["StateReasonCode"]) == ("Failed", "InvalidImage")
    assert shown["StateReason"].startswith("InvalidImage: '../out' of layer sha256:")
    assert refused[2].endswith("The function is currently in the following state: Failed")
    assert client.get_function_configuration(FunctionName="f")["LastUpdateStatus"] == "Successful"


def test_an_update_that_fails_leaves_the_function_and_says_why(door: LiveDoor, tmp_path: Path, layout: str) -> None:
    client = door.client("lambda")
    create(client, f"{layout}:v1")
    client.get_waiter("function_active_v2").wait(FunctionName="f")
    bad = write_layout(tmp_path / "bad", latest=BuiltImage([layer(file("../out"))]))

    client.update_function_code(FunctionName="f", ImageUri=f"oci:{bad}")
    with pytest.raises(Exception, match="terminal failure"):
        client.get_waiter("function_updated_v2").wait(FunctionName="f")

    shown = client.get_function_configuration(FunctionName="f")
    assert (shown["State"], shown["LastUpdateStatusReasonCode"]) == ("Active", "InvalidImage")
    assert shown["CodeSha256"] == built("one").digest[7:]
    assert client.invoke(FunctionName="f", Payload=b"1")["Payload"].read() == b"1"


def test_a_function_that_is_deleted_while_its_image_comes_is_gone(door: LiveDoor, registry: FakeRegistry) -> None:
    client = door.client("lambda")
    image = built()
    registry.push("v1", image)
    registry.held = {json.loads(image.manifest)["layers"][0]["digest"]}
    create(client, f"{registry.host}/app:v1")

    client.delete_function(FunctionName="f")
    registry.release.set()
    made = create(client, f"{registry.host}/app:v1")
    client.get_waiter("function_active_v2").wait(FunctionName="f")

    assert made["FunctionName"] == "f"


def test_a_version_is_published_once_its_image_is_here(door: LiveDoor, registry: FakeRegistry) -> None:
    client = door.client("lambda")
    first, second = built("first"), built("second")
    registry.push("first", first)
    registry.push("second", second)
    registry.held = {json.loads(image.manifest)["layers"][0]["digest"] for image in (first, second)}
    with ThreadPoolExecutor() as pool:
        creation = pool.submit(create, client, f"{registry.host}/app:first", Publish=True)
        wait_for(client, "State", "Pending")
        too_early = refusal(lambda: client.publish_version(FunctionName="f"))
        registry.release.set()
        made = creation.result(ANSWER_S_MAX)
        registry.release.clear()

        update = pool.submit(
            client.update_function_code, FunctionName="f", ImageUri=f"{registry.host}/app:second", Publish=True
        )
        wait_for(client, "LastUpdateStatus", "InProgress")
        meanwhile = refusal(lambda: client.publish_version(FunctionName="f"))
        registry.release.set()
        changed = update.result(ANSWER_S_MAX)

    versions = client.list_versions_by_function(FunctionName="f")["Versions"]
    assert too_early[:2] == meanwhile[:2] == ("ResourceConflictException", 409)
    assert (made["Version"], made["CodeSha256"]) == ("1", first.digest[7:])
    assert (changed["Version"], changed["CodeSha256"]) == ("2", second.digest[7:])
    assert [version["Version"] for version in versions] == ["$LATEST", "1", "2"]
    texts = [Path(door.call(door.catalog.resolve, "f", one).code_folder, "text").read_text() for one in "12"]
    assert texts == ["first", "second"]


def test_nothing_is_published_of_an_image_that_cannot_be_deployed(door: LiveDoor, tmp_path: Path, layout: str) -> None:
    client = door.client("lambda")
    bad = write_layout(tmp_path / "bad", latest=BuiltImage([layer(file("../out"))]))

    creation = refusal(lambda: create(client, f"oci:{bad}", Publish=True))
    client.delete_function(FunctionName="f")
    create(client, f"{layout}:v1")
    client.get_waiter("function_active_v2").wait(FunctionName="f")
    update = refusal(lambda: client.update_function_code(FunctionName="f", ImageUri=f"oci:{bad}", Publish=True))

    words = "The operation cannot be performed: the image of f could not be deployed. InvalidImage: '../out' of layer"
    for code, status, message in (creation, update):
        assert (code, status) == ("ResourceConflictException", 409)
        assert message.startswith(words)
    versions = client.list_versions_by_function(FunctionName="f")["Versions"]
    assert [version["Version"] for version in versions] == ["$LATEST"]


def test_a_published_versions_image_outlives_the_functions_next_one(tmp_path: Path, layout: str) -> None:
    door = LiveDoor(tmp_path / "door")
    client = door.client("lambda")
    create(client, f"{layout}:v1", Publish=True)
    for tag in ("v2", "v3"):
        client.update_function_code(FunctionName="f", ImageUri=f"{layout}:{tag}")
        client.get_waiter("function_updated_v2").wait(FunctionName="f")
    door.close()

    again = LiveDoor(tmp_path / "door")
    roots = [Path(again.call(again.catalog.resolve, "f", one).code_folder) for one in ("1", None)]
    again.close()

    assert [root.joinpath("text").read_text() for root in roots] == ["one", "three"]
    assert set(roots[0].parents[1].iterdir()) == {root.parent for root in roots}  # not the one in between


def test_images_that_the_disk_has_lost_are_brought_again_those_of_versions_too(tmp_path: Path, layout: str) -> None:
    door = LiveDoor(tmp_path / "door")
    client = door.client("lambda")
    create(client, f"{layout}:v1", Publish=True)
    client.update_function_code(FunctionName="f", ImageUri=f"{layout}:v2")
    client.get_waiter("function_updated_v2").wait(FunctionName="f")
    door.close()
    shutil.rmtree(tmp_path / "door" / "images")

    again = LiveDoor(tmp_path / "door")
    texts = [Path(again.call(again.catalog.resolve, "f", one).code_folder, "text") for one in ("1", None)]
    deadline = time.monotonic() + ANSWER_S_MAX
    while not all(text.exists() for text in texts) and time.monotonic() < deadline:
        time.sleep(0.05)
    again.close()

    assert [text.read_text() for text in texts] == ["one", "two"]


def test_an_index_is_resolved_for_the_functions_architectures(door: LiveDoor, registry: FakeRegistry) -> None:
    client = door.client("lambda")
    arm, intel = built("arm", architecture="arm64"), built("intel")
    registry.push("v1", arm, intel, index=index_of([arm, intel]))

    made = create(client, f"{registry.host}/app:v1", Architectures=["arm64"])
    client.get_waiter("function_active_v2").wait(FunctionName="f")
    changed = client.update_function_code(
        FunctionName="f", ImageUri=f"{registry.host}/app:v1", Architectures=["x86_64"]
    )

    assert (made["CodeSha256"], made["Architectures"]) == (arm.digest[7:], ["arm64"])
    assert (changed["CodeSha256"], changed["Architectures"]) == (intel.digest[7:], ["x86_64"])


def test_a_dry_run_changes_nothing(door: LiveDoor, layout: str) -> None:
    client = door.client("lambda")
    create(client, f"{layout}:v1")
    client.get_waiter("function_active_v2").wait(FunctionName="f")

    dry = client.update_function_code(FunctionName="f", ImageUri=f"{layout}:v2", DryRun=True)

    assert dry["CodeSha256"] == built("two").digest[7:]
    assert client.get_function_configuration(FunctionName="f")["CodeSha256"] == built("one").digest[7:]


def test_a_wrong_revision_changes_nothing(door: LiveDoor, layout: str) -> None:
    client = door.client("lambda")
    create(client, f"{layout}:v1")
    client.get_waiter("function_active_v2").wait(FunctionName="f")

    refused = refusal(
        lambda: client.update_function_code(FunctionName="f", ImageUri=f"{layout}:v2", RevisionId="another")
    )

    assert refused[:2] == ("PreconditionFailedException", 412)
    assert client.get_function_configuration(FunctionName="f")["CodeSha256"] == built("one").digest[7:]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"Runtime": "python3.12"}, "Please don't provide Handler or Runtime or Layer when the intended function"),
        ({"Handler": "a.b"}, "Please don't provide Handler or Runtime or Layer when the intended function"),
        (
            {"Layers": ["arn:aws:lambda:us-east-1:123456789012:layer:l:1"]},
            "Please don't provide Handler or Runtime or Layer when the intended",
        ),
        ({"Code": {"ZipFile": b"x"}}, "Please provide ImageUri when creating a function with packageType Image."),
        ({"Code": {"ImageUri": "oci:/nowhere"}}, "Source image oci:/nowhere does not exist. Provide a valid source"),
        ({"Code": {"ImageUri": "oci:layout:v1"}}, "Source image oci:layout:v1 is not valid. Provide a valid source"),
        ({"Code": {"ImageUri": "app:v1"}}, "Source image app:v1 is not valid. Provide a valid source image."),
        ({"PackageType": "Zip"}, "Runtime and Handler are mandatory parameters for functions created with deployment"),
        (
            {"PackageType": "Zip", "Runtime": "python3.12", "Handler": "a.b"},
            "Please don't provide ImageUri when creating a function with packageType Zip.",
        ),
        (
            {"PackageType": "Zip", "Runtime": "python3.12", "Handler": "a.b", "ImageConfig": {"Command": ["x"]}},
            "Please don't provide ImageConfig when the intended function PackageType is Zip.",
        ),
        ({"ImageConfig": {"Command": ["x" * 20_000]}}, "The container image settings exceed the limit of 16384 bytes"),
    ],
)
def test_what_lambda_would_refuse_is_refused(
    door: LiveDoor, layout: str, parameters: dict[str, Any], words: str
) -> None:
    client = door.client("lambda")
    given = {"FunctionName": "f", "PackageType": "Image", "Role": ROLE, "Code": {"ImageUri": f"{layout}:v1"}}

    code, status, message = refusal(lambda: client.create_function(**{**given, **parameters}))

    assert (code, status) == ("InvalidParameterValueException", 400)
    assert message.startswith(words)


def test_a_package_type_stays(door: LiveDoor, layout: str, tmp_path: Path) -> None:
    client = door.client("lambda")
    create(client, f"{layout}:v1")
    client.get_waiter("function_active_v2").wait(FunctionName="f")

    no_image = refusal(lambda: client.update_function_code(FunctionName="f", ZipFile=b"x"))
    handler = refusal(lambda: client.update_function_configuration(FunctionName="f", Handler="a.b"))

    assert no_image[2] == "Please provide ImageUri when updating a function with packageType Image."
    assert handler[2].startswith("Please don't provide Handler or Runtime or Layer")


def test_a_registry_that_stands_for_amazon_ecr_is_asked(tmp_path: Path, registry: FakeRegistry) -> None:
    image = built()
    registry.push("v1", image)
    door = LiveDoor(tmp_path / "door", ecr_registry=registry.host)
    uri = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app"

    made = create(door.client("lambda"), f"{uri}:v1")
    door.client("lambda").get_waiter("function_active_v2").wait(FunctionName="f")
    shown = door.client("lambda").get_function(FunctionName="f")["Code"]
    door.close()

    assert made["CodeSha256"] == image.digest[7:]
    assert shown["ResolvedImageUri"] == f"{uri}@{image.digest}"
