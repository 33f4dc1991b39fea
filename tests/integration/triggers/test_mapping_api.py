"""The operations on event source mappings, as boto3 speaks them to a real front door."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.integration.triggers.conftest import ACCOUNT, REGION, Stage
from workshape.aws.door import Door
from workshape.aws.lambda_.errors import ERRORS
from workshape.aws.lambda_.mappings import mapping_operations
from workshape.aws.lambda_.tags import tag_operations
from workshape.aws.operation import Service
from workshape.aws.upstream import Upstream
from workshape.clock import Clock
from workshape.functions.catalog import Catalog
from workshape.functions.code import CodeStore
from workshape.http1.message import Request, Response
from workshape.settings import Settings
from workshape.triggers.supervisor import MappingSupervisor

EVENTS_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:events"
FUNCTION_ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:events"

Lambda = Callable[..., Any]


async def _no_admin(request: Request) -> Response:
    return Response(404)


@pytest.fixture
async def lambda_(stage: Stage, running: MappingSupervisor) -> AsyncIterator[Lambda]:
    """Call an operation by boto3's name for it; boto3 blocks, so it has a thread."""
    settings = Settings(account=ACCOUNT, region=REGION)
    upstream = Upstream({})
    catalog = Catalog(
        stage.documents, CodeStore(stage.folder), region=REGION, account=ACCOUNT, account_concurrency=1, clock=Clock()
    )
    operations = {**mapping_operations(running), **tag_operations(catalog, running)}
    services = [Service("lambda", operations, ERRORS)]
    door = Door(services, upstream, settings=settings, admin=_no_admin, clock=Clock())
    server = await door.start("127.0.0.1", 0)
    client = boto3.client(
        "lambda",
        endpoint_url=f"http://127.0.0.1:{server.port}",
        region_name=REGION,
        aws_access_key_id="anybody",
        aws_secret_access_key="anything",
        config=Config(retries={"max_attempts": 0}),
    )

    async def call(operation: str, **parameters: Any) -> Any:
        return await asyncio.to_thread(getattr(client, operation), **parameters)

    yield call
    client.close()
    await server.close()
    await upstream.close()


async def refusal(call: Any) -> tuple[str, str, int]:
    """The code, message and status of what a call is refused with."""
    with pytest.raises(ClientError) as refused:
        await call
    response = refused.value.response
    return response["Error"]["Code"], response["Error"]["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


async def test_a_mapping_is_created_read_listed_changed_and_deleted(stage: Stage, lambda_: Lambda) -> None:
    created = await lambda_(
        "create_event_source_mapping",
        EventSourceArn=EVENTS_ARN,
        FunctionName="events",
        BatchSize=100,
        MaximumBatchingWindowInSeconds=1,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        ScalingConfig={"MaximumConcurrency": 4},
    )
    name = created["UUID"]
    await stage.send("one")
    await stage.settled(lambda: stage.left() == 0)
    read = await lambda_("get_event_source_mapping", UUID=name)
    changed = await lambda_(
        "update_event_source_mapping", UUID=name, BatchSize=5, FunctionResponseTypes=[], ScalingConfig={}, Enabled=False
    )
    deleted = await lambda_("delete_event_source_mapping", UUID=name)
    await stage.settled(lambda: not stage.supervisor().list())

    assert created["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert (created["State"], created["BatchSize"], created["MaximumBatchingWindowInSeconds"]) == ("Creating", 100, 1)
    assert (created["EventSourceArn"], created["FunctionArn"]) == (EVENTS_ARN, FUNCTION_ARN)
    assert created["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert created["ScalingConfig"] == {"MaximumConcurrency": 4}
    assert created["EventSourceMappingArn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:event-source-mapping:{name}"
    assert created["LastModified"].year >= 2024
    assert (read["State"], read["LastProcessingResult"]) == ("Enabled", "OK")
    assert (changed["State"], changed["BatchSize"], changed["FunctionResponseTypes"]) == ("Disabling", 5, [])
    assert "ScalingConfig" not in changed
    assert deleted["State"] == "Deleting"


async def test_listing_goes_by_queue_and_function_page_by_page(lambda_: Lambda) -> None:
    for function in ("events", "other", "third"):
        await lambda_("create_event_source_mapping", EventSourceArn=EVENTS_ARN, FunctionName=function)

    first = await lambda_("list_event_source_mappings", EventSourceArn=EVENTS_ARN, MaxItems=2)
    second = await lambda_("list_event_source_mappings", EventSourceArn=EVENTS_ARN, Marker=first["NextMarker"])
    of_function = await lambda_("list_event_source_mappings", FunctionName=FUNCTION_ARN)
    of_alias = await lambda_("list_event_source_mappings", FunctionName=f"{FUNCTION_ARN}:live")
    elsewhere = await lambda_("list_event_source_mappings", EventSourceArn=f"{EVENTS_ARN}-dlq")

    pages = [mapping["UUID"] for mapping in first["EventSourceMappings"] + second["EventSourceMappings"]]
    assert len(first["EventSourceMappings"]) == 2
    assert len(set(pages)) == len(pages) == 3
    assert "NextMarker" not in second
    assert [mapping["FunctionArn"] for mapping in of_function["EventSourceMappings"]] == [FUNCTION_ARN]
    assert of_alias["EventSourceMappings"] == elsewhere["EventSourceMappings"] == []


async def test_the_functions_name_may_be_an_arn_with_a_qualifier(lambda_: Lambda) -> None:
    created = await lambda_("create_event_source_mapping", EventSourceArn=EVENTS_ARN, FunctionName=f"{FUNCTION_ARN}:v")

    assert created["FunctionArn"] == f"{FUNCTION_ARN}:v"


async def test_an_equal_pair_is_a_conflict(lambda_: Lambda) -> None:
    created = await lambda_("create_event_source_mapping", EventSourceArn=EVENTS_ARN, FunctionName="events")

    code, message, status = await refusal(
        lambda_("create_event_source_mapping", EventSourceArn=EVENTS_ARN, FunctionName="events")
    )

    assert (code, status) == ("ResourceConflictException", 409)
    assert message.endswith(f"Please update or delete the existing mapping with UUID {created['UUID']}")


async def test_a_mapping_being_deleted_is_in_use(stage: Stage, lambda_: Lambda) -> None:
    stage.function.held = asyncio.Event()
    created = await lambda_("create_event_source_mapping", EventSourceArn=EVENTS_ARN, FunctionName="events")
    await stage.send("one")
    await stage.settled(lambda: stage.function.running == 1)

    await lambda_("delete_event_source_mapping", UUID=created["UUID"])
    code, _, status = await refusal(lambda_("update_event_source_mapping", UUID=created["UUID"], BatchSize=2))
    stage.function.held.set()

    assert (code, status) == ("ResourceInUseException", 400)


async def test_an_unknown_mapping_is_not_found(lambda_: Lambda) -> None:
    name = "00000000-0000-0000-0000-000000000000"

    for operation in ("get_event_source_mapping", "delete_event_source_mapping", "update_event_source_mapping"):
        code, message, status = await refusal(lambda_(operation, UUID=name))
        assert (code, message, status) == (
            "ResourceNotFoundException",
            "The resource you requested does not exist.",
            404,
        )


async def test_a_missing_queue_is_an_invalid_parameter(lambda_: Lambda) -> None:
    code, message, status = await refusal(
        lambda_("create_event_source_mapping", EventSourceArn=f"{EVENTS_ARN}-not-there", FunctionName="events")
    )

    assert (code, status) == ("InvalidParameterValueException", 400)
    assert f"{EVENTS_ARN}-not-there" in message


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"BatchSize": 11}, "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater"),
        ({"StartingPosition": "LATEST"}, "StartingPosition"),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{}"}]}}, "Invalid filter pattern definition"),
        ({"ProvisionedPollerConfig": {"MinimumPollers": 1}}, "ProvisionedPollerConfig"),
        ({"EventSourceArn": "arn:aws:kafka:us-east-1:123456789012:cluster/c/1"}, "no Amazon MSK here"),
        ({"EventSourceArn": "arn:aws:kinesis:us-east-1:123456789012:stream/s"}, "Unrecognized event source"),
    ],
)
async def test_what_lambda_or_workshape_cannot_do_is_refused(
    lambda_: Lambda, parameters: dict[str, Any], words: str
) -> None:
    given = {"EventSourceArn": EVENTS_ARN, "FunctionName": "events", **parameters}

    code, message, status = await refusal(lambda_("create_event_source_mapping", **given))

    assert (code, status) == ("InvalidParameterValueException", 400)
    assert words in message


async def test_a_visibility_timeout_below_the_functions_is_refused_in_lambdas_words(
    stage: Stage, lambda_: Lambda
) -> None:
    stage.timeout_s = 60

    code, message, _ = await refusal(
        lambda_("create_event_source_mapping", EventSourceArn=EVENTS_ARN, FunctionName="events")
    )

    assert code == "InvalidParameterValueException"
    assert message == "Queue visibility timeout: 3 seconds is less than Function timeout: 60 seconds"


async def test_an_event_source_is_needed(lambda_: Lambda) -> None:
    code, message, _ = await refusal(lambda_("create_event_source_mapping", FunctionName="events"))

    assert code == "InvalidParameterValueException"
    assert "EventSourceArn" in message


async def test_a_mapping_has_tags(lambda_: Lambda) -> None:
    created = await lambda_(
        "create_event_source_mapping", EventSourceArn=EVENTS_ARN, FunctionName="events", Tags={"team": "a", "env": "x"}
    )
    arn = created["EventSourceMappingArn"]

    await lambda_("tag_resource", Resource=arn, Tags={"team": "b"})
    await lambda_("untag_resource", Resource=arn, TagKeys=["env", "not there"])
    tags = await lambda_("list_tags", Resource=arn)
    code, _, _ = await refusal(lambda_("tag_resource", Resource=arn, Tags={str(key): "" for key in range(51)}))
    missing, _, _ = await refusal(lambda_("list_tags", Resource=f"{arn[:-12]}000000000000"))

    assert tags["Tags"] == {"team": "b"}
    assert (code, missing) == ("InvalidParameterValueException", "ResourceNotFoundException")


async def test_the_date_of_a_mapping_moves_with_its_state(stage: Stage, lambda_: Lambda) -> None:
    created = await lambda_("create_event_source_mapping", EventSourceArn=EVENTS_ARN, FunctionName="events")

    async def read() -> Any:
        return await lambda_("get_event_source_mapping", UUID=created["UUID"])

    enabled = await read()
    await lambda_("update_event_source_mapping", UUID=created["UUID"], Enabled=False)
    while (disabled := await read())["State"] != "Disabled":
        await asyncio.sleep(0.01)

    assert created["LastModified"] <= enabled["LastModified"] < disabled["LastModified"]
    assert disabled["StateTransitionReason"] == "USER_INITIATED"
