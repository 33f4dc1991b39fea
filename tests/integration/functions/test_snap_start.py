"""SnapStart with real Python environments, over boto3: states, hooks, errors, reports."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fakes.live_functions import LiveFunctions, live_functions

CODE = """
import os
from snapshot_restore_py import register_after_restore, register_before_snapshot

HAPPENED = ["init"]

@register_before_snapshot
def second():
    HAPPENED.append("before: registered first")

@register_before_snapshot
def first():
    HAPPENED.append("before: registered last")
    if "FAILS_BEFORE" in os.environ:
        raise ValueError("not now")

@register_after_restore
def third():
    HAPPENED.append("after: registered first")
    if "FAILS_AFTER" in os.environ:
        raise ValueError("not like this")

def handler(event, context):
    return {
        "happened": HAPPENED,
        "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"],
        "logs": [name for name in os.environ if name.startswith("AWS_LAMBDA_LOG_")],
    }
"""
IN_ORDER = ["init", "before: registered last", "before: registered first", "after: registered first"]


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[LiveFunctions]:
    async with live_functions(tmp_path) as live:
        yield live


async def publish(live: LiveFunctions, name: str, **variables: str) -> dict[str, Any]:
    """Publish a version with SnapStart; return what is told of it once its snapshot is there, or is not."""
    settings = {"Runtime": "python3.12", "SnapStart": {"ApplyOn": "PublishedVersions"}, "Timeout": 30}
    await live.create(name, {"index.py": CODE}, **settings, Environment={"Variables": variables})
    published = await live.client("publish_version", FunctionName=name)
    assert published["State"] == "Pending"
    return await live.until_snapshot(name)


async def invoke(live: LiveFunctions, name: str) -> Any:
    answer = await live.client("invoke", FunctionName=name, Qualifier="1")
    return json.loads(answer["Payload"].read())


@pytest.mark.parametrize("variables", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["aws-client", "own-client"])
async def test_a_version_is_restored_with_its_hooks(live: LiveFunctions, variables: dict[str, str]) -> None:
    version = await publish(live, "f", **variables)

    answer = await invoke(live, "f")

    assert (version["State"], version["SnapStart"]["OptimizationStatus"]) == ("Active", "On")
    assert answer == {"happened": IN_ORDER, "type": "snap-start", "logs": []}
    messages = live.messages()
    assert messages[0].startswith("INIT_START Runtime Version: ")
    assert messages[1].startswith("INIT_REPORT Init Duration: ")
    assert messages[2].startswith("RESTORE_REPORT Restore Duration: ")
    assert "\tRestore Duration: " in messages[-1]
    assert "\tInit Duration: " not in messages[-1]


async def test_hooks_that_fail_are_told_of_where_they_do(live: LiveFunctions) -> None:
    failed = await publish(live, "before", FAILS_BEFORE="yes")
    restored = await publish(live, "after", FAILS_AFTER="yes")

    with pytest.raises(ClientError) as not_active:
        await invoke(live, "before")
    with pytest.raises(ClientError) as not_restored:
        await invoke(live, "after")

    assert (failed["State"], failed["StateReasonCode"]) == ("Failed", "FunctionError.RuntimeInitError")
    assert "Runtime.BeforeSnapshotError" in failed["StateReason"]
    assert not_active.value.response["Error"]["Code"] == "ResourceConflictException"
    assert restored["State"] == "Active"
    assert not_restored.value.response["Error"]["Code"] == "SnapStartException"
    assert not_restored.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert any("[ERROR] ValueError: not like this" in line for line in live.messages("after"))
    assert any("Error Type: Runtime.AfterRestoreError" in line for line in live.messages("after"))
