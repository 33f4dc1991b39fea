"""What Secrets Manager is made of, as values: secrets, versions, what goes wrong. A core.

Values of secrets are apart from the rest, and are shown by no `repr`.

Source: https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
"""

import re
from typing import NewType

import msgspec

from workshape.errors import Conflict, Invalid, NotFound

VersionId = NewType("VersionId", str)

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"

DAY_S = 86_400.0
LABELS_MAX = 20
"""Of all versions of one secret."""
SECRETS_MAX = 500_000
"""Both: https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html"""
VERSIONS_KEPT = 100
VERSION_KEPT_S = DAY_S
"""So many versions stay, and those of the last day besides.

Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
"""
VERSIONS_MAX = 1_000
"""Of one secret, those of the last day included. AWS: there is a quota, its number is undocumented; we chose what one
secret may fill of the disk: 64 MiB.
"""
TAGS_MAX = 50
"""Source: https://docs.aws.amazon.com/general/latest/gr/aws_tagging.html"""
RECOVERY_DAYS_MIN, RECOVERY_DAYS_MAX = 7, 30
"""Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html"""
_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
"""Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html"""


class SecretValue(msgspec.Struct, frozen=True):
    """What is secret: a text, or bytes."""

    text: str | None = None
    binary: bytes | None = None

    def __repr__(self) -> str:
        return "<SecretValue>"


class SecretVersion(msgspec.Struct, frozen=True):
    """One version of a secret, without its value."""

    created_at: float
    has_value: bool = True
    """False: a rotation has begun it, and its function has not written it yet."""
    kms_key: str = ""
    accessed_on: float | None = None
    """When the day of its last reading began; None: it was never read."""


class RotationRules(msgspec.Struct, frozen=True):
    """When a secret is rotated, as whoever wants it says: every so many days, or by an expression, or when asked."""

    after_days: int | None = None
    expression: str = ""
    duration: str = ""
    """How long a window is, such as `3h`; empty: as long as it is by default."""


class RotationRun(msgspec.Struct, frozen=True):
    """A rotation under way."""

    token: VersionId
    """Its version."""
    due_at: float
    """When its steps are gone through, again perhaps."""
    attempts: int = 0
    """Those that failed."""
    is_test: bool = False
    """It tries the configuration out, no more."""


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """How a secret is rotated."""

    function_arn: str
    rules: RotationRules
    counts_from: float
    """The next window comes after this time: that of the last rotation."""
    rotated_at: float | None = None
    """None: it never was."""
    is_enabled: bool = True
    opens_at: float | None = None
    """When the next window opens, and when it closes; None: there is none to come."""
    closes_at: float | None = None
    run: RotationRun | None = None


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret without the values of its versions. Durable as it is."""

    name: str
    arn: str
    created_at: float
    changed_at: float
    description: str = ""
    kms_key: str = ""
    """Kept and shown; empty: AWS's own key."""
    tags: dict[str, str] = {}
    versions: dict[VersionId, SecretVersion] = {}
    labels: dict[str, VersionId] = {}
    """Which version each staging label is attached to."""
    accessed_on: float | None = None
    """When the day of its last reading began."""
    deletion_at: float | None = None
    """When it can be deleted for good; None: nobody wants that."""
    policy: str = ""
    """Kept and shown; empty: there is none."""
    rotation: Rotation | None = None
    """None: it was never configured."""

    def labels_of(self, version_id: VersionId) -> list[str]:
        """The staging labels of a version."""
        return sorted(label for label, attached in self.labels.items() if attached == version_id)


# The words of these errors. AWS: undocumented; we chose the words.


class InvalidParameter(Invalid):
    """{reason}"""


class InvalidRequest(Invalid):
    """{reason}"""


class MalformedPolicy(Invalid):
    """The resource policy is not valid: {reason}"""


class NotBuilt(Invalid):
    """workshape does not do {feature} of Secrets Manager: {remedy}."""

    feature: str
    remedy: str


class SecretNotFound(NotFound):
    """Secrets Manager can't find the specified secret."""


class VersionNotFound(NotFound):
    """Secrets Manager can't find the specified secret value for {kind}: {name}"""


class PolicyNotFound(NotFound):
    """The secret has no resource policy {name}."""


class SecretExists(Conflict):
    """The operation failed because the secret {name} already exists."""

    name: str


class VersionExists(Conflict):
    """A version with the ID {version_id} exists already, and a version can't be changed: use another
    ClientRequestToken for a new one.
    """

    version_id: str


class LimitExceeded(Conflict):
    """There are at most {count_max} {what}."""

    count_max: int
    what: str


def check_name(name: str) -> None:
    """Refuse a name that no secret may have. Raises: InvalidParameter."""
    if not _NAME.fullmatch(name):
        reason = "Invalid name: it has 1 to 512 letters, digits, and the characters /_+=.@-"
        raise InvalidParameter(reason=reason)


def check_tags(tags: dict[str, str]) -> None:
    """Refuse tags that no secret may have. Raises: InvalidParameter."""
    if len(tags) > TAGS_MAX:
        raise InvalidParameter(reason=f"A secret has at most {TAGS_MAX} tags.")
    if any(key.lower().startswith("aws:") for key in tags):
        raise InvalidParameter(reason="Keys of tags that begin with aws: are AWS's own.")


def check_usable(secret: Secret) -> None:
    """Refuse to work with a secret that is to be deleted. Raises: InvalidRequest."""
    if secret.deletion_at is not None:
        reason = "You can't perform this operation on the secret because it was marked for deletion."
        raise InvalidRequest(reason=reason)
