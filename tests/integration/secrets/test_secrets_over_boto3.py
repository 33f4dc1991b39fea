"""Secrets Manager over a real boto3 client."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fakes.live_engine import ACCOUNT, REGION, LiveEngine

PREFIX = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:"
TOKEN, NEXT = "0" * 31 + "1", "0" * 31 + "2"


@pytest.fixture(scope="module")
def secrets(engine: LiveEngine) -> Any:
    return engine.client("secretsmanager")


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    """Call what must be refused; return its code and its words."""
    with pytest.raises(ClientError) as error:
        call(**parameters)
    answer = error.value.response["Error"]
    return answer["Code"], answer["Message"]


def test_a_secret_lives_from_its_creation_to_its_deletion(secrets: Any) -> None:
    made = secrets.create_secret(
        Name="life",
        Description="of a secret",
        SecretString="one",
        KmsKeyId="alias/mine",
        Tags=[{"Key": "team", "Value": "a"}],
    )
    got = secrets.get_secret_value(SecretId="life")
    secrets.update_secret(SecretId=made["ARN"], Description="still")
    updated = secrets.update_secret(SecretId="life", SecretString="two")
    put = secrets.put_secret_value(SecretId="life", SecretBinary=b"\x00three")
    described = secrets.describe_secret(SecretId="life")
    binary = secrets.get_secret_value(SecretId="life")
    before = secrets.get_secret_value(SecretId="life", VersionStage="AWSPREVIOUS")
    first = secrets.get_secret_value(SecretId="life", VersionId=made["VersionId"])
    deleted = secrets.delete_secret(SecretId="life", ForceDeleteWithoutRecovery=True)

    assert made["ARN"].startswith(f"{PREFIX}life-")
    assert (got["SecretString"], got["VersionId"], got["VersionStages"]) == ("one", made["VersionId"], ["AWSCURRENT"])
    assert "SecretBinary" not in got
    assert (binary["SecretBinary"], binary["VersionId"]) == (b"\x00three", put["VersionId"])
    assert "SecretString" not in binary
    assert (before["SecretString"], before["VersionId"]) == ("two", updated["VersionId"])
    assert first["VersionStages"] == []
    assert put["VersionStages"] == ["AWSCURRENT"]
    assert described["Description"] == "still"
    assert described["KmsKeyId"] == "alias/mine"
    assert described["Tags"] == [{"Key": "team", "Value": "a"}]
    assert described["VersionIdsToStages"] == {put["VersionId"]: ["AWSCURRENT"], updated["VersionId"]: ["AWSPREVIOUS"]}
    assert datetime.now(UTC) - described["CreatedDate"] < timedelta(minutes=1)
    assert described["LastAccessedDate"].time().isoformat() == "00:00:00"
    assert (deleted["ARN"], deleted["Name"]) == (made["ARN"], "life")
    assert refused(secrets.describe_secret, SecretId="life")[0] == "ResourceNotFoundException"


def test_a_secret_without_a_value_has_none_to_give(secrets: Any) -> None:
    made = secrets.create_secret(Name="empty")

    assert "VersionId" not in made
    assert refused(secrets.get_secret_value, SecretId="empty") == (
        "ResourceNotFoundException",
        "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
    )
    assert "VersionIdsToStages" not in secrets.describe_secret(SecretId="empty")
    put = secrets.put_secret_value(SecretId="empty", SecretString="now", VersionStages=["blue"])
    assert put["VersionStages"] == ["AWSCURRENT", "blue"]


def test_what_is_sent_again_is_done_once(secrets: Any) -> None:
    given = {"Name": "again", "SecretString": "one", "ClientRequestToken": TOKEN}
    made = secrets.create_secret(**given)
    again = secrets.create_secret(**given)
    for _ in range(2):
        put = secrets.put_secret_value(SecretId="again", SecretString="two", ClientRequestToken=NEXT)

    assert (made["VersionId"], again["ARN"], again["VersionId"]) == (TOKEN, made["ARN"], TOKEN)
    assert put["VersionId"] == NEXT
    assert refused(secrets.create_secret, **{**given, "SecretString": "other"})[0] == "ResourceExistsException"
    other = {"SecretId": "again", "SecretString": "other", "ClientRequestToken": NEXT}
    assert refused(secrets.put_secret_value, **other)[0] == "ResourceExistsException"
    assert refused(secrets.update_secret, **other)[0] == "ResourceExistsException"


def test_a_deletion_waits_for_its_recovery_window(secrets: Any) -> None:
    arn = secrets.create_secret(Name="window", SecretString="kept")["ARN"]
    deleted = secrets.delete_secret(SecretId="window", RecoveryWindowInDays=7)
    described = secrets.describe_secret(SecretId=arn)
    names = [one["Name"] for one in secrets.list_secrets()["SecretList"]]
    planned = [one["Name"] for one in secrets.list_secrets(IncludePlannedDeletion=True)["SecretList"]]
    answers = {
        refused(call, SecretId="window", **more)[0]
        for call, more in (
            (secrets.get_secret_value, {}),
            (secrets.put_secret_value, {"SecretString": "x"}),
            (secrets.update_secret, {"Description": "x"}),
            (secrets.tag_resource, {"Tags": [{"Key": "a", "Value": "b"}]}),
            (secrets.get_resource_policy, {}),
            (secrets.delete_secret, {}),
        )
    }
    taken = refused(secrets.create_secret, Name="window")
    restored = secrets.restore_secret(SecretId="window")

    in_days = (deleted["DeletionDate"] - datetime.now(UTC)) / timedelta(days=1)
    assert 6.9 < in_days <= 7
    assert abs(described["DeletedDate"] - deleted["DeletionDate"]) < timedelta(seconds=1)
    assert "window" not in names
    assert "window" in planned
    assert answers == {"InvalidRequestException"}
    assert taken[0] == "InvalidRequestException"
    assert restored == {**restored, "ARN": arn, "Name": "window"}
    assert secrets.get_secret_value(SecretId=arn[:-7])["SecretString"] == "kept"
    both = {"RecoveryWindowInDays": 7, "ForceDeleteWithoutRecovery": True}
    assert refused(secrets.delete_secret, SecretId="window", **both)[0] == "InvalidParameterException"
    assert "DeletionDate" in secrets.delete_secret(SecretId="never", ForceDeleteWithoutRecovery=True)


def test_staging_labels_move(secrets: Any) -> None:
    secrets.create_secret(Name="labels", SecretString="one", ClientRequestToken=TOKEN)
    secrets.put_secret_value(SecretId="labels", SecretString="two", ClientRequestToken=NEXT)
    back = {"SecretId": "labels", "VersionStage": "AWSCURRENT", "MoveToVersionId": TOKEN}
    wrong = refused(secrets.update_secret_version_stage, **back)
    secrets.update_secret_version_stage(**back, RemoveFromVersionId=NEXT)
    secrets.update_secret_version_stage(SecretId="labels", VersionStage="blue", MoveToVersionId=NEXT)

    assert wrong[0] == "InvalidParameterException"
    assert secrets.get_secret_value(SecretId="labels")["SecretString"] == "one"
    assert secrets.describe_secret(SecretId="labels")["VersionIdsToStages"] == {
        TOKEN: ["AWSCURRENT"],
        NEXT: ["AWSPREVIOUS", "blue"],
    }


def test_versions_are_listed_by_pages_and_deprecated_ones_when_asked_for(secrets: Any) -> None:
    secrets.create_secret(Name="pages", SecretString="0")
    for number in range(1, 4):
        secrets.put_secret_value(SecretId="pages", SecretString=str(number))

    shown = secrets.list_secret_version_ids(SecretId="pages")
    first = secrets.list_secret_version_ids(SecretId="pages", IncludeDeprecated=True, MaxResults=3)
    rest = secrets.list_secret_version_ids(
        SecretId="pages", IncludeDeprecated=True, MaxResults=3, NextToken=first["NextToken"]
    )

    assert sorted(label for one in shown["Versions"] for label in one["VersionStages"]) == ["AWSCURRENT", "AWSPREVIOUS"]
    assert (len(first["Versions"]), len(rest["Versions"])) == (3, 1)
    assert "NextToken" not in rest
    assert first["Versions"][0]["KmsKeyIds"] == ["DefaultEncryptionKey"]
    assert refused(secrets.list_secrets, NextToken="nonsense")[0] == "InvalidNextTokenException"


def test_many_secrets_are_chosen_and_read(secrets: Any) -> None:
    for number in range(3):
        secrets.create_secret(
            Name=f"many/{number}", SecretString=str(number), Tags=[{"Key": "n", "Value": str(number)}]
        )
    filters = [{"Key": "name", "Values": ["many/"]}]

    listed = secrets.list_secrets(Filters=filters, SortBy="name", SortOrder="desc")["SecretList"]
    batch = secrets.batch_get_secret_value(Filters=filters, MaxResults=2)
    rest = secrets.batch_get_secret_value(Filters=filters, MaxResults=2, NextToken=batch["NextToken"])
    by_id = secrets.batch_get_secret_value(SecretIdList=["many/1", "nowhere"])

    assert [one["Name"] for one in listed] == ["many/2", "many/1", "many/0"]
    assert list(listed[0]["SecretVersionsToStages"].values()) == [["AWSCURRENT"]]
    assert sorted(one["SecretString"] for page in (batch, rest) for one in page["SecretValues"]) == ["0", "1", "2"]
    assert [one["SecretString"] for one in by_id["SecretValues"]] == ["1"]
    assert [(one["SecretId"], one["ErrorCode"]) for one in by_id["Errors"]] == [
        ("nowhere", "ResourceNotFoundException")
    ]
    assert refused(secrets.batch_get_secret_value)[0] == "InvalidParameterException"


def test_tags_come_and_go(secrets: Any) -> None:
    secrets.create_secret(Name="tags", Tags=[{"Key": "a", "Value": "1"}])
    secrets.tag_resource(SecretId="tags", Tags=[{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "3"}])
    tagged = secrets.describe_secret(SecretId="tags")["Tags"]
    secrets.untag_resource(SecretId="tags", TagKeys=["a", "never"])

    assert tagged == [{"Key": "a", "Value": "3"}, {"Key": "b", "Value": "2"}]
    assert secrets.describe_secret(SecretId="tags")["Tags"] == [{"Key": "b", "Value": "2"}]
    reserved = [{"Key": "aws:a", "Value": "1"}]
    assert refused(secrets.tag_resource, SecretId="tags", Tags=reserved)[0] == "InvalidParameterException"


def test_a_policy_is_kept_and_shown(secrets: Any) -> None:
    statement = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "secretsmanager:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    secrets.create_secret(Name="policy")
    before = secrets.get_resource_policy(SecretId="policy")
    secrets.put_resource_policy(SecretId="policy", ResourcePolicy=policy)
    kept = secrets.get_resource_policy(SecretId="policy")["ResourcePolicy"]
    secrets.delete_resource_policy(SecretId="policy")

    assert "ResourcePolicy" not in before
    assert kept == policy
    assert "ResourcePolicy" not in secrets.get_resource_policy(SecretId="policy")
    bad = {"SecretId": "policy", "ResourcePolicy": '{"Statement": 1}'}
    assert refused(secrets.put_resource_policy, **bad)[0] == "MalformedPolicyDocumentException"


def test_random_passwords_are_as_asked_for(secrets: Any) -> None:
    usual = secrets.get_random_password()["RandomPassword"]
    digits = secrets.get_random_password(
        PasswordLength=50,
        ExcludeUppercase=True,
        ExcludeLowercase=True,
        ExcludePunctuation=True,
        ExcludeCharacters="012",
    )["RandomPassword"]

    assert len(usual) == 32
    assert usual != secrets.get_random_password()["RandomPassword"]
    assert len(digits) == 50
    assert set(digits) <= set("3456789")
    assert refused(secrets.get_random_password, PasswordLength=2)[0] == "InvalidParameterException"


@pytest.mark.parametrize(
    ("more", "feature"),
    [
        ({"AddReplicaRegions": [{"Region": "eu-west-1"}]}, "AddReplicaRegions"),
        ({"Type": "Partner"}, "Type"),
    ],
)
def test_what_is_not_done_here_is_refused_by_name(secrets: Any, more: dict[str, Any], feature: str) -> None:
    code, words = refused(secrets.create_secret, Name="refused", SecretString="x", **more)

    assert code == "InvalidParameterException"
    assert feature in words
    assert refused(secrets.describe_secret, SecretId="refused")[0] == "ResourceNotFoundException"


def test_operations_that_are_not_built_say_so(secrets: Any) -> None:
    secrets.create_secret(Name="not-built")

    code, words = refused(
        secrets.replicate_secret_to_regions, SecretId="not-built", AddReplicaRegions=[{"Region": "eu-west-1"}]
    )

    assert code == "NotImplemented"
    assert "ReplicateSecretToRegions" in words


def test_a_refused_value_is_in_no_answer(secrets: Any) -> None:
    _, words = refused(secrets.create_secret, Name="long", SecretString="hunter2" * 10_000)

    assert "hunter2" not in words
    assert "***" in words


def test_a_tag_needs_a_key_and_may_do_without_a_value(secrets: Any) -> None:
    secrets.create_secret(Name="tagged", Tags=[{"Key": "alone"}])

    keyless = refused(secrets.tag_resource, SecretId="tagged", Tags=[{"Key": "a", "Value": "b"}, {"Value": "c"}])

    assert keyless == ("InvalidParameterException", "A tag needs a Key.")
    assert secrets.describe_secret(SecretId="tagged")["Tags"] == [{"Key": "alone", "Value": ""}]
