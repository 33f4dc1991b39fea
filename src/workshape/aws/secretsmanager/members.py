"""Members that several operations' requests and answers have: secrets, and what is secret in them."""

from typing import Any

from workshape.aws.members import given, when, write_tags
from workshape.secrets.model import InvalidParameter, NotBuilt, Rotation, Secret, SecretValue, VersionId

NO_PARTNERS = "no partner's service is asked"


def read_value(parameters: dict[str, Any]) -> SecretValue | None:
    """Read what is secret in a request; None: nothing is.

    Raises:
        InvalidParameter: there is a text, and there are bytes.
    """
    text, binary = parameters.get("SecretString"), parameters.get("SecretBinary")
    if text is not None and binary is not None:
        raise InvalidParameter(reason="Specify SecretString or SecretBinary, not both.")
    return None if text is None and binary is None else SecretValue(text, binary)


def refuse(parameters: dict[str, Any], remedy: str, *members: str) -> None:
    """Refuse members that are not done here. Raises: NotBuilt."""
    for member in members:
        if parameters.get(member):
            raise NotBuilt(feature=member, remedy=remedy)


def named(secret: Secret, **more: Any) -> dict[str, Any]:
    """Write an answer that says of which secret it is."""
    return {"ARN": secret.arn, "Name": secret.name, **more}


def shown_value(secret: Secret, version_id: VersionId, value: SecretValue) -> dict[str, Any]:
    """Write a version with its value."""
    held = {"SecretString": value.text} if value.binary is None else {"SecretBinary": value.binary}
    return named(
        secret,
        VersionId=version_id,
        VersionStages=secret.labels_of(version_id),
        CreatedDate=when(secret.versions[version_id].created_at),
        **held,
    )


def details(secret: Secret) -> dict[str, Any]:
    """Write what DescribeSecret and ListSecrets both tell."""
    return named(
        secret,
        CreatedDate=when(secret.created_at),
        LastChangedDate=when(secret.changed_at),
        **given(Description=secret.description, KmsKeyId=secret.kms_key, Tags=write_tags(secret.tags)),
        **given(
            LastAccessedDate=secret.accessed_on and when(secret.accessed_on),
            DeletedDate=secret.deletion_at and when(secret.deletion_at),
        ),
        **({} if secret.rotation is None else _shown_rotation(secret.rotation)),
    )


def labeled_versions(secret: Secret) -> dict[str, list[str]]:
    """The versions that have staging labels, with those."""
    return {version_id: secret.labels_of(version_id) for version_id in sorted(set(secret.labels.values()))}


def _shown_rotation(rotation: Rotation) -> dict[str, Any]:
    rules = rotation.rules
    shown_rules = given(
        AutomaticallyAfterDays=rules.after_days, ScheduleExpression=rules.expression, Duration=rules.duration
    )
    return {
        "RotationEnabled": rotation.is_enabled,
        "RotationLambdaARN": rotation.function_arn,
        **given(
            RotationRules=shown_rules,
            LastRotatedDate=rotation.rotated_at and when(rotation.rotated_at),
            NextRotationDate=rotation.closes_at and when(rotation.closes_at),
        ),
    }
