"""Rotation by a function of the user's, which speaks to the front door as AWS's templates do."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fakes.live_engine import ACCOUNT, REGION, LiveEngine, live_engine

ROTATES = """
import boto3

secrets = boto3.client("secretsmanager")


def handler(event, context):
    arn, token, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    shown = secrets.describe_secret(SecretId=arn)
    assert shown["RotationEnabled"]
    assert shown["VersionIdsToStages"][token] == ["AWSPENDING"]
    print("STEP", step)
    if step == "createSecret":
        try:
            secrets.get_secret_value(SecretId=arn, VersionId=token, VersionStage="AWSPENDING")
        except secrets.exceptions.ResourceNotFoundException:
            password = secrets.get_random_password(ExcludePunctuation=True)["RandomPassword"]
            secrets.put_secret_value(
                SecretId=arn, ClientRequestToken=token, SecretString=password, VersionStages=["AWSPENDING"]
            )
    if step == "finishSecret":
        (current,) = [one for one, labels in shown["VersionIdsToStages"].items() if "AWSCURRENT" in labels]
        secrets.update_secret_version_stage(
            SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=current
        )
        secrets.update_secret_version_stage(SecretId=arn, VersionStage="AWSPENDING", RemoveFromVersionId=token)
"""
RULES = {"ScheduleExpression": "rate(10 days)", "Duration": "3h"}


def rotating_function(engine: LiveEngine, name: str, source: str = ROTATES) -> str:
    """Make a function that rotates secrets, and may."""
    arn = engine.create_function(name, source)
    engine.client("lambda").add_permission(
        FunctionName=name,
        StatementId="secrets",
        Action="lambda:InvokeFunction",
        Principal="secretsmanager.amazonaws.com",
    )
    return arn


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call(**parameters)
    answer = error.value.response["Error"]
    return answer["Code"], answer["Message"]


def test_a_function_rotates_a_secret_in_four_steps(engine: LiveEngine) -> None:
    secrets, arn = engine.client("secretsmanager"), rotating_function(engine, "rotates")
    made = secrets.create_secret(Name="rotated", SecretString="old")

    begun = secrets.rotate_secret(SecretId="rotated", RotationLambdaARN=arn, RotationRules=RULES)
    engine.wait_until(lambda: "LastRotatedDate" in secrets.describe_secret(SecretId="rotated"))
    shown = secrets.describe_secret(SecretId="rotated")
    events = engine.client("logs").filter_log_events(logGroupName="/aws/lambda/rotates", filterPattern="STEP")["events"]

    steps = ["createSecret", "setSecret", "testSecret", "finishSecret"]
    assert [event["message"].split()[-1] for event in events] == steps
    assert shown["VersionIdsToStages"] == {begun["VersionId"]: ["AWSCURRENT"], made["VersionId"]: ["AWSPREVIOUS"]}
    assert (shown["RotationEnabled"], shown["RotationLambdaARN"], shown["RotationRules"]) == (True, arn, RULES)
    assert (shown["NextRotationDate"] - shown["LastRotatedDate"]).days in (9, 10)
    assert len(secrets.get_secret_value(SecretId="rotated")["SecretString"]) == 32
    assert secrets.get_secret_value(SecretId="rotated", VersionStage="AWSPREVIOUS")["SecretString"] == "old"

    secrets.cancel_rotate_secret(SecretId="rotated")
    off = secrets.describe_secret(SecretId="rotated")
    assert off["RotationEnabled"] is False
    assert off["RotationRules"] == RULES
    assert "NextRotationDate" not in off


def test_a_function_that_fails_leaves_the_current_version_as_it_is(engine: LiveEngine) -> None:
    secrets = engine.client("secretsmanager")
    arn = rotating_function(engine, "fails")
    engine.client("lambda").update_function_configuration(FunctionName="fails", Handler="app.nothing")
    made = secrets.create_secret(Name="failed", SecretString="old")

    begun = secrets.rotate_secret(SecretId="failed", RotationLambdaARN=arn)
    group = {"logGroupName": "/aws/lambda/fails", "filterPattern": "HandlerNotFound"}

    def has_failed() -> bool:
        try:
            return bool(engine.client("logs").filter_log_events(**group)["events"])
        except ClientError:
            return False

    engine.wait_until(has_failed)
    again = refused(secrets.rotate_secret, SecretId="failed")
    cancelled = secrets.cancel_rotate_secret(SecretId="failed")

    assert again[0] == "InvalidRequestException"
    assert cancelled["VersionId"] == begun["VersionId"]
    assert secrets.get_secret_value(SecretId="failed")["VersionId"] == made["VersionId"]
    assert secrets.describe_secret(SecretId="failed")["VersionIdsToStages"][begun["VersionId"]] == ["AWSPENDING"]


def test_rotation_is_refused_where_it_cannot_be(engine: LiveEngine) -> None:
    secrets = engine.client("secretsmanager")
    secrets.create_secret(Name="refused-rotation", SecretString="old")
    of = {"SecretId": "refused-rotation"}
    unasked = engine.create_function("unasked", ROTATES)
    missing = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:missing"

    assert refused(secrets.rotate_secret, **of)[0] == "InvalidRequestException"
    code, words = refused(secrets.rotate_secret, **of, RotationLambdaARN=unasked)
    assert code == "AccessDeniedException"
    assert "secretsmanager.amazonaws.com" in words
    assert refused(secrets.rotate_secret, **of, RotationLambdaARN=missing)[0] == "ResourceNotFoundException"
    arn = rotating_function(engine, "allowed")
    bad = {"ScheduleExpression": "rate(1 hour)"}
    refusal = refused(secrets.rotate_secret, **of, RotationLambdaARN=arn, RotationRules=bad)
    assert refusal[0] == "InvalidParameterException"
    assert "RotationEnabled" not in secrets.describe_secret(**of)


def test_a_rotation_goes_on_after_the_engine_was_started_again(tmp_path: Path) -> None:
    slow = ROTATES.replace('print("STEP", step)', 'print("STEP", step); import time; time.sleep(2)')
    with live_engine(tmp_path) as engine:
        secrets = engine.client("secretsmanager")
        arn = rotating_function(engine, "slow", slow)
        secrets.create_secret(Name="slow", SecretString=json.dumps({"password": "old"}))
        begun = secrets.rotate_secret(SecretId="slow", RotationLambdaARN=arn)
    with live_engine(tmp_path) as engine:
        secrets = engine.client("secretsmanager")
        engine.wait_until(lambda: "LastRotatedDate" in secrets.describe_secret(SecretId="slow"))
        current = secrets.get_secret_value(SecretId="slow")

    assert current["VersionId"] == begun["VersionId"]
