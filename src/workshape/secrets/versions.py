"""The versions of a secret: what staging labels do, and which versions stay. A core.

A label is attached to one version at a time, and AWSPREVIOUS goes where AWSCURRENT comes from.

Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html
Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
"""

from collections.abc import Iterable

from msgspec.structs import replace

from workshape.secrets.model import (
    CURRENT,
    LABELS_MAX,
    PENDING,
    PREVIOUS,
    VERSION_KEPT_S,
    VERSIONS_KEPT,
    VERSIONS_MAX,
    InvalidParameter,
    LimitExceeded,
    Secret,
    SecretVersion,
    VersionId,
    VersionNotFound,
)


def add_version(secret: Secret, version_id: VersionId, version: SecretVersion, labels: Iterable[str]) -> Secret:
    """Add a version, or fill an empty one, and attach labels to it; the first with a value is the current one.

    Raises:
        LimitExceeded: there would be too many versions, or labels.
    """
    wanted = list(labels)
    if CURRENT not in secret.labels and version.has_value:
        wanted.append(CURRENT)
    added = replace(secret, versions={**secret.versions, version_id: version})
    for label in sorted(wanted, key=CURRENT.__eq__):  # the current one last: it moves AWSPREVIOUS
        added = _attach(added, label, version_id)
    kept = without_outdated(added, version.created_at)
    if len(kept.versions) > VERSIONS_MAX:
        raise LimitExceeded(count_max=VERSIONS_MAX, what="versions of a secret")
    return kept


def move_label(secret: Secret, label: str, *, source: VersionId | None, target: VersionId | None) -> Secret:
    """Take a label from a version (`source`), attach it to one (`target`), or both.

    Raises:
        InvalidParameter: it is attached elsewhere than at `source`, or would be nowhere though it must not.
        VersionNotFound: there is no such target. LimitExceeded: there would be too many labels.
    """
    attached = secret.labels.get(label)
    for version_id in (source, target):
        if version_id is not None and version_id not in secret.versions:
            raise VersionNotFound(kind="VersionId", name=version_id)
    if source is None and target is None:
        raise InvalidParameter(reason="Specify RemoveFromVersionId, MoveToVersionId, or both.")
    if attached is not None and attached not in (source, target):
        reason = f"The staging label {label} is attached to version {attached}: give it as RemoveFromVersionId."
        raise InvalidParameter(reason=reason)
    if source is not None and source != attached:
        raise InvalidParameter(reason=f"The staging label {label} is not attached to version {source}.")
    if target is not None:
        return _attach(secret, label, target)
    if label == CURRENT:
        reason = f"The staging label {CURRENT} can be moved to another version, not removed."
        raise InvalidParameter(reason=reason)
    return replace(secret, labels={other: version for other, version in secret.labels.items() if other != label})


def with_key(secret: Secret, kms_key: str) -> Secret:
    """Have another key, also for the versions that are in use.

    Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecret.html (KmsKeyId)
    """
    in_use = {secret.labels.get(label) for label in (CURRENT, PENDING, PREVIOUS)}
    versions = {
        version_id: replace(version, kms_key=kms_key) if version_id in in_use else version
        for version_id, version in secret.versions.items()
    }
    return replace(secret, kms_key=kms_key, versions=versions)


def without_outdated(secret: Secret, now: float) -> Secret:
    """Leave out the oldest versions without labels, where there are too many; those of the last day stay."""
    spare = len(secret.versions) - VERSIONS_KEPT
    if spare <= 0:
        return secret
    labeled = set(secret.labels.values())
    outdated = sorted(
        (version.created_at, version_id)
        for version_id, version in secret.versions.items()
        if version_id not in labeled and version.created_at <= now - VERSION_KEPT_S
    )[:spare]
    gone = {version_id for _, version_id in outdated}
    return replace(secret, versions={id_: version for id_, version in secret.versions.items() if id_ not in gone})


def _attach(secret: Secret, label: str, version_id: VersionId) -> Secret:
    labels = {**secret.labels, label: version_id}
    before = secret.labels.get(label)
    if label == CURRENT and before is not None and before != version_id:
        labels[PREVIOUS] = before
    if len(labels) > LABELS_MAX:
        raise LimitExceeded(count_max=LABELS_MAX, what="staging labels attached across all versions of a secret")
    return replace(secret, labels=labels)
