"""Provisioned concurrency over a real boto3 client: configured, shown, moved with its alias, taken away, refused."""

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.functions import ARN, Archive, create, refusal
from tests.fakes.live_door import LiveDoor

NOT_FOUND = "ProvisionedConcurrencyConfigNotFoundException"


def publish(client: Any, archive: Archive, versions: int = 1) -> None:
    create(client, archive())
    for number in range(versions):
        client.update_function_configuration(FunctionName="f", Timeout=3 + number)
        client.publish_version(FunctionName="f")


def put(client: Any, qualifier: str, count: int, name: str = "f") -> Any:
    return client.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=count
    )


def get(client: Any, qualifier: str) -> Any:
    return client.get_provisioned_concurrency_config(FunctionName="f", Qualifier=qualifier)


def counts(shown: Any) -> tuple[int, int, int]:
    kinds = ("Requested", "Allocated", "Available")
    requested, allocated, available = (shown[f"{kind}ProvisionedConcurrentExecutions"] for kind in kinds)
    return requested, allocated, available


def test_a_versions_configuration_is_in_progress_until_all_environments_are_there(
    door: LiveDoor, archive: Archive
) -> None:
    client = door.client("lambda")
    publish(client, archive)

    made = put(client, "1", 3)
    door.call(door.provisioner.make_ready)
    ready = get(client, "1")

    assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert (counts(made), made["Status"]) == ((3, 0, 0), "IN_PROGRESS")
    assert (counts(ready), ready["Status"]) == ((3, 3, 3), "READY")
    assert "StatusReason" not in ready
    assert ready["LastModified"] == made["LastModified"]
    assert ready["LastModified"].endswith("+0000")


def test_a_failed_one_gives_the_reason_and_begins_afresh_when_it_is_put_again(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    publish(client, archive)
    put(client, "1", 5)

    door.call(door.provisioner.make_fail)
    failed = get(client, "1")
    again = put(client, "1", 5)

    assert (failed["Status"], failed["StatusReason"]) == ("FAILED", "FUNCTION_ERROR_INIT_FAILURE")
    assert again["Status"] == "IN_PROGRESS"


def test_an_aliass_moves_with_it_and_is_split_by_its_weights(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    publish(client, archive, versions=2)
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    put(client, "live", 10)

    client.update_alias(FunctionName="f", Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 0.25}})
    refused = refusal(lambda: put(client, "live", 11))
    client.update_alias(FunctionName="f", Name="live", FunctionVersion="2", RoutingConfig={})
    door.call(door.provisioner.make_ready)

    weighted = [("1", 8, False), ("2", 2, False)]
    assert door.provisioner.asked == [("1", 10, False), *weighted, ("1", 0, False), ("2", 10, False)]
    assert refused == (
        "InvalidParameterValueException",
        400,
        "Alias with weights can not be used with Provisioned Concurrency",
    )
    assert counts(get(client, "live")) == (10, 10, 10)


def test_configurations_are_listed_in_pages(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    publish(client, archive, versions=3)
    for number in (1, 2, 3):
        put(client, str(number), number)

    paginator = client.get_paginator("list_provisioned_concurrency_configs")
    pages = list(paginator.paginate(FunctionName="f", PaginationConfig={"PageSize": 2}))

    listed = [[config["FunctionArn"] for config in page["ProvisionedConcurrencyConfigs"]] for page in pages]
    assert listed == [[f"{ARN}:1", f"{ARN}:2"], [f"{ARN}:3"]]


def test_what_is_taken_away_ends_and_is_not_found_any_more(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    publish(client, archive)
    put(client, "1", 2)

    deleted = client.delete_provisioned_concurrency_config(FunctionName="f", Qualifier="1")
    again = client.delete_provisioned_concurrency_config(FunctionName="f", Qualifier="1")

    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == again["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert door.provisioner.asked == [("1", 2, False), ("1", 0, False)]
    assert refusal(lambda: get(client, "1"))[:2] == (NOT_FOUND, 404)


def test_it_is_allocated_again_after_a_restart_until_its_alias_goes(tmp_path: Path, archive: Archive) -> None:
    first = LiveDoor(tmp_path)
    publish(first.client("lambda"), archive)
    first.client("lambda").create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    put(first.client("lambda"), "live", 4)
    first.close()

    second = LiveDoor(tmp_path)
    found = get(second.client("lambda"), "live")
    second.client("lambda").delete_alias(FunctionName="f", Name="live")
    second.client("lambda").create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    gone = refusal(lambda: get(second.client("lambda"), "live"))
    second.close()

    assert counts(found) == (4, 0, 0)
    assert second.provisioner.asked == [("1", 4, False), ("1", 0, False)]
    assert gone[0] == NOT_FOUND


@pytest.mark.parametrize("qualifier", ["$LATEST", "latest"])
def test_the_unpublished_version_can_have_none(door: LiveDoor, archive: Archive, qualifier: str) -> None:
    client = door.client("lambda")
    publish(client, archive)
    client.create_alias(FunctionName="f", Name="latest", FunctionVersion="$LATEST")

    assert refusal(lambda: put(client, qualifier, 1)) == (
        "InvalidParameterValueException",
        400,
        "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
    )


def test_a_version_that_is_not_there_is_not_found(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    publish(client, archive)

    assert refusal(lambda: put(client, "7", 1)) == ("ResourceNotFoundException", 404, f"Function not found: {ARN}:7")
    assert refusal(lambda: get(client, "7"))[0] == "ResourceNotFoundException"


def test_a_version_has_one_configuration_of_its_own_or_of_one_alias(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    publish(client, archive)
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    put(client, "live", 1)

    code, status, message = refusal(lambda: put(client, "1", 1))

    assert (code, status) == ("InvalidParameterValueException", 400)
    assert message == "Version 1 already has a Provisioned Concurrency config, through live."


def test_no_more_is_provisioned_than_is_reserved_and_no_less_reserved_than_is_provisioned(
    door: LiveDoor, archive: Archive
) -> None:
    client = door.client("lambda")
    publish(client, archive, versions=2)
    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=10)
    put(client, "1", 6)

    too_much = refusal(lambda: put(client, "2", 5))
    too_little = refusal(lambda: client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=5))
    put(client, "2", 4)

    assert door.provisioner.asked == [("1", 6, True), ("2", 4, True)]
    assert too_much[2] == ("More provisioned concurrency is asked for than the 10 that are reserved for the function.")
    assert too_little[2] == (
        "ReservedConcurrentExecutions 5 is less than the function's Provisioned Concurrency of 6: lower that first."
    )


def test_a_hundred_are_left_to_everyone_else(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    publish(client, archive)
    create(client, archive(), "g")
    client.put_function_concurrency(FunctionName="g", ReservedConcurrentExecutions=500)

    too_much = refusal(lambda: put(client, "1", 401))
    put(client, "1", 400)
    reserved_too = refusal(lambda: client.put_function_concurrency(FunctionName="g", ReservedConcurrentExecutions=501))

    assert too_much[2] == (
        "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
        "minimum value of [100]."
    )
    assert "below its minimum value of [100]" in reserved_too[2]


def test_a_reservation_made_later_takes_what_is_provisioned_into_itself(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    publish(client, archive)
    put(client, "1", 2)

    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=2)
    client.delete_function_concurrency(FunctionName="f")

    assert door.provisioner.asked == [("1", 2, False), ("1", 2, True), ("1", 2, False)]


def test_a_version_with_snap_start_has_none(door: LiveDoor, archive: Archive) -> None:
    client = door.client("lambda")
    create(client, archive(), SnapStart={"ApplyOn": "PublishedVersions"}, Publish=True)

    code, status, message = refusal(lambda: put(client, "1", 1))

    assert (code, status) == ("InvalidParameterValueException", 400)
    assert "SnapStart" in message
