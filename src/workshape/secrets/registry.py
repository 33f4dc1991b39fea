"""The secrets there are, kept durably: what they are in memory, their values on disk alone."""

import asyncio
import logging
import re
import secrets
import string
from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from workshape.arn import Arn
from workshape.clock import Clock
from workshape.identifiers import new_uuid
from workshape.secrets.model import (
    CURRENT,
    DAY_S,
    RECOVERY_DAYS_MAX,
    RECOVERY_DAYS_MIN,
    SECRETS_MAX,
    InvalidParameter,
    InvalidRequest,
    LimitExceeded,
    Secret,
    SecretExists,
    SecretNotFound,
    SecretValue,
    SecretVersion,
    VersionExists,
    VersionId,
    VersionNotFound,
    check_name,
    check_tags,
    check_usable,
)
from workshape.secrets.rotation import recounted
from workshape.secrets.versions import add_version, move_label, without_outdated
from workshape.store.documents import Documents

SECRET_KIND, VALUE_KIND = "secret", "secret-value"
SUFFIX_CHARACTERS = 6
SWEEP_S = 3_600.0
"""How often those are deleted whose recovery window is over. AWS promises no time either."""
_SUFFIX_ALPHABET = string.ascii_letters + string.digits
_SUFFIX = re.compile(rf"-[A-Za-z0-9]{{{SUFFIX_CHARACTERS}}}$")

_log = logging.getLogger(__name__)


class Secrets:
    """Their registry. A change is on disk when its method returns."""

    def __init__(self, documents: Documents, clock: Clock, *, region: str, account: str) -> None:
        """Read what there is."""
        self._documents = documents
        self._clock = clock
        self._prefix = str(Arn("secretsmanager", region, account, "secret:"))
        self._secrets: dict[str, Secret] = {}
        self._arns: dict[str, str] = {}
        """By name."""
        self._rotating: set[str] = set()
        """ARNs of those whose rotation is configured."""
        for _, document in documents.all(SECRET_KIND):
            self._hold(msgspec.json.decode(document, type=Secret))

    def __repr__(self) -> str:
        return f"<Secrets {len(self._secrets)}>"

    def all(self) -> list[Secret]:
        """All of them, those that are to be deleted included."""
        return list(self._secrets.values())

    def rotating(self) -> list[Secret]:
        """Those whose rotation is configured."""
        return [self._secrets[arn] for arn in self._rotating]

    def find(self, secret_id: str) -> Secret:
        """Find a secret by its name, its ARN, or its ARN without the random characters at its end.

        What ends in a hyphen and six characters is a whole ARN, whatever the secret's name is.

        Source: https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html

        Raises:
            SecretNotFound: there is none.
        """
        arn: str | None = secret_id
        if not secret_id.startswith("arn:"):
            arn = self._arns.get(secret_id)
        elif not _SUFFIX.search(secret_id) and secret_id.startswith(self._prefix):
            arn = self._arns.get(secret_id.removeprefix(self._prefix))
        secret = self._secrets.get(arn or "")
        if secret is None:
            raise SecretNotFound(kind="secret", name=secret_id)
        return secret

    def usable(self, secret_id: str) -> Secret:
        """Find a secret that nobody has marked for deletion.

        Raises:
            SecretNotFound: there is none. InvalidRequest: it is to be deleted.
        """
        secret = self.find(secret_id)
        check_usable(secret)
        return secret

    def create(self, wanted: Secret, value: SecretValue | None, token: str) -> Secret:
        """Make a secret, with a first version if there is a value; ARN and times are made here.

        The same again, with the same token, returns what there is.

        Raises:
            InvalidParameter: Secrets Manager would refuse it. SecretExists: the name is taken.
            InvalidRequest: it is taken by one that is to be deleted. LimitExceeded: there are too many.
        """
        check_name(wanted.name)
        check_tags(wanted.tags)
        if wanted.name in self._arns:
            return self._made_already(wanted.name, value, token)
        if len(self._secrets) >= SECRETS_MAX:
            raise LimitExceeded(count_max=SECRETS_MAX, what="secrets")
        suffix = "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(SUFFIX_CHARACTERS))
        now = self._clock.wall_s()
        secret = replace(wanted, arn=f"{self._prefix}{wanted.name}-{suffix}", created_at=now, changed_at=now)
        if value is None:
            return self._keep(secret)
        return self._add(secret, token, value, (CURRENT,))

    def change(self, secret: Secret) -> Secret:
        """Write a secret whose details have changed."""
        return self._keep(replace(secret, changed_at=self._clock.wall_s()))

    def put_value(
        self, secret_id: str, value: SecretValue, token: str, labels: Iterable[str]
    ) -> tuple[Secret, VersionId]:
        """Add a version; the same again, with the same token, does nothing.

        Raises:
            SecretNotFound, InvalidRequest: see `usable`.
            VersionExists: the token is that of a version with another value. LimitExceeded: see `add_version`.
        """
        secret = self.usable(secret_id)
        version = secret.versions.get(VersionId(token))
        if version is not None and version.has_value:
            if self._read(secret, VersionId(token)) != value:
                raise VersionExists(version_id=token)
            return secret, VersionId(token)
        made = token or new_uuid()
        return self._add(secret, made, value, labels), VersionId(made)

    def update(self, secret: Secret, value: SecretValue, token: str) -> tuple[Secret, VersionId]:
        """Write a secret whose details may have changed, with a new current version.

        Raises:
            VersionExists: the token is that of a version. LimitExceeded: see `add_version`.
        """
        if VersionId(token) in secret.versions:
            raise VersionExists(version_id=token)
        made = token or new_uuid()
        return self._add(secret, made, value, (CURRENT,)), VersionId(made)

    def value(self, secret_id: str, version_id: str = "", label: str = "") -> tuple[Secret, VersionId, SecretValue]:
        """Read a version's value: the one with that ID, that label, or both; else the current one.

        Raises:
            SecretNotFound, InvalidRequest: see `usable`. VersionNotFound: there is no such version, or nothing in it.
        """
        secret = self.usable(secret_id)
        chosen = VersionId(version_id)
        if label or not version_id:
            label = label or CURRENT
            attached = secret.labels.get(label)
            if version_id and version_id in secret.versions and attached != version_id:
                raise InvalidRequest(reason="VersionId and VersionStage are not of the same version.")
            if attached is None:
                raise VersionNotFound(kind="staging label", name=label)
            chosen = attached
        version = secret.versions.get(chosen)
        if version is None or not version.has_value:
            raise VersionNotFound(kind="VersionId", name=chosen)
        return self._note_reading(secret, chosen), chosen, self._read(secret, chosen)

    def move_label(self, secret_id: str, label: str, *, source: str | None, target: str | None) -> Secret:
        """Attach, move or take away a staging label.

        Raises:
            SecretNotFound, InvalidRequest: see `usable`.
            InvalidParameter, VersionNotFound, LimitExceeded: see `versions.move_label`.
        """
        secret = self.usable(secret_id)
        moved = move_label(
            secret,
            label,
            source=None if source is None else VersionId(source),
            target=None if target is None else VersionId(target),
        )
        return self.change(without_outdated(moved, self._clock.wall_s()))

    def delete(self, secret_id: str, recovery_days: int) -> Secret:
        """Have a secret deleted in so many days.

        Raises:
            InvalidParameter: that is too soon, or too late. SecretNotFound, InvalidRequest: see `usable`.
        """
        if not RECOVERY_DAYS_MIN <= recovery_days <= RECOVERY_DAYS_MAX:
            reason = f"The RecoveryWindowInDays value must be between {RECOVERY_DAYS_MIN} and {RECOVERY_DAYS_MAX} days."
            raise InvalidParameter(reason=reason)
        secret = self.usable(secret_id)
        return self.change(replace(secret, deletion_at=self._clock.wall_s() + recovery_days * DAY_S))

    def delete_at_once(self, secret_id: str) -> Secret | None:
        """Delete a secret for good; return what it was, None where there was none."""
        try:
            secret = self.find(secret_id)
        except SecretNotFound:
            return None
        self._forget(secret)
        return secret

    def restore(self, secret_id: str) -> Secret:
        """Have a secret not deleted after all; it may be one that nobody has marked.

        Raises:
            SecretNotFound: there is none.
        """
        return self.change(replace(self.find(secret_id), deletion_at=None))

    async def run(self) -> None:
        """Delete those whose recovery window is over, until cancelled."""
        while True:
            self.sweep()
            await asyncio.sleep(SWEEP_S)

    def sweep(self) -> None:
        """Delete those whose recovery window is over."""
        now = self._clock.wall_s()
        for secret in self.all():
            if secret.deletion_at is not None and secret.deletion_at <= now:
                self._forget(secret)
                _log.info("secret_deleted", extra={"secret": secret.name})

    def _made_already(self, name: str, value: SecretValue | None, token: str) -> Secret:
        secret = self._secrets[self._arns[name]]
        if secret.deletion_at is not None:
            reason = "You can't create this secret because a secret with this name is already scheduled for deletion."
            raise InvalidRequest(reason=reason)
        version = secret.versions.get(VersionId(token))
        if version is None or not version.has_value or self._read(secret, VersionId(token)) != value:
            raise SecretExists(reason="", name=name)
        return secret

    def _add(self, secret: Secret, token: str, value: SecretValue, labels: Iterable[str]) -> Secret:
        now, version_id = self._clock.wall_s(), VersionId(token or new_uuid())
        version = SecretVersion(now, kms_key=secret.kms_key)
        added = replace(add_version(secret, version_id, version, labels), changed_at=now)
        if added.labels.get(CURRENT) == version_id:
            added = recounted(added, now)
        return self._keep(added, ((VALUE_KIND, _value_key(secret, version_id), msgspec.msgpack.encode(value)),))

    def _note_reading(self, secret: Secret, version_id: VersionId) -> Secret:
        """Note the day: once a day, for the price of some microseconds."""
        now = self._clock.wall_s()
        today, version = now - now % DAY_S, secret.versions[version_id]
        if secret.accessed_on == today == version.accessed_on:
            return secret
        versions = {**secret.versions, version_id: replace(version, accessed_on=today)}
        read = replace(secret, accessed_on=today, versions=versions)
        self._documents.write(SECRET_KIND, read.arn, msgspec.json.encode(read))
        self._hold(read)
        return read

    def _read(self, secret: Secret, version_id: VersionId) -> SecretValue:
        document = self._documents.find(VALUE_KIND, _value_key(secret, version_id))
        assert document is not None, "a version that has a value has one on disk"
        return msgspec.msgpack.decode(document, type=SecretValue)

    def _keep(self, secret: Secret, values: Iterable[tuple[str, str, bytes]] = ()) -> Secret:
        before = self._secrets.get(secret.arn)
        gone = () if before is None else before.versions.keys() - secret.versions.keys()
        self._documents.change(
            ((SECRET_KIND, secret.arn, msgspec.json.encode(secret)), *values),
            [(VALUE_KIND, _value_key(secret, version_id)) for version_id in gone],
        )
        self._hold(secret)
        return secret

    def _hold(self, secret: Secret) -> None:
        self._secrets[secret.arn] = secret
        self._arns[secret.name] = secret.arn
        if secret.rotation is not None:
            self._rotating.add(secret.arn)

    def _forget(self, secret: Secret) -> None:
        values = [(VALUE_KIND, _value_key(secret, version_id)) for version_id in secret.versions]
        self._documents.change((), [(SECRET_KIND, secret.arn), *values])
        del self._secrets[secret.arn], self._arns[secret.name]
        self._rotating.discard(secret.arn)


def _value_key(secret: Secret, version_id: VersionId) -> str:
    return f"{secret.arn}|{version_id}"
