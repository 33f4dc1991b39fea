"""Rotates secrets: has their functions go through the steps, when somebody asks and when a window opens.

What is under way is on disk: after a restart all of its steps are gone through again, with the same version.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from workshape.clock import Clock
from workshape.identifiers import new_uuid
from workshape.secrets.model import (
    CURRENT,
    PENDING,
    InvalidRequest,
    RotationRules,
    RotationRun,
    Secret,
    SecretNotFound,
    VersionId,
    VersionNotFound,
)
from workshape.secrets.registry import Secrets
from workshape.secrets.rotation import (
    STEPS,
    TEST_STEP,
    begun,
    cancelled,
    configured,
    due_at,
    failed,
    given_up,
    is_complete,
    opened,
    succeeded,
    tested,
)

AT_ONCE_MAX = 10  # rotations: each is a function that runs
SLEEP_S_MAX = 20.0  # a clock that was set, or a machine that slept, is noticed by then

InvokeStep = Callable[[str, bytes], Awaitable[str]]
"""Runs a function, by its ARN, with an event; returns why it failed, empty when it did not. It does not raise."""
CheckFunction = Callable[[str, str], None]
"""Takes the ARNs of a function and of a secret; raises Denied or NotFound when it cannot rotate the secret."""

_log = logging.getLogger(__name__)


class Rotator:
    """`run` it."""

    def __init__(self, secrets: Secrets, clock: Clock, invoke: InvokeStep, check_function: CheckFunction) -> None:
        self._secrets = secrets
        self._clock = clock
        self._invoke = invoke
        self._check_function = check_function
        self._busy: set[str] = set()
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Rotator busy={len(self._busy)}>"

    def rotate(
        self, secret_id: str, function_arn: str, rules: RotationRules | None, token: str, *, is_immediate: bool
    ) -> tuple[Secret, VersionId | None]:
        """Configure rotation, and begin one; else try the configuration out. Return the version that pends.

        Raises:
            SecretNotFound: there is none. InvalidParameter: the rules are none. NotFound, Denied: see `CheckFunction`.
            InvalidRequest: it is to be deleted, has no function, or a rotation is under way.
        """
        secret, now = self._secrets.usable(secret_id), self._clock.wall_s()
        run = secret.rotation.run if secret.rotation is not None else None
        if token and token in (run.token if run is not None else None, secret.labels.get(CURRENT)):
            return secret, VersionId(token) if is_immediate else None  # the same request again
        if function_arn:
            self._check_function(function_arn, secret.arn)
        version_id = VersionId(token or new_uuid())
        secret = configured(secret, function_arn, rules, now)
        kept = self._secrets.change(begun(secret, version_id, now, is_test=not is_immediate))
        if not is_immediate:
            kept = self._fill(kept, version_id)
        self._changed.set()
        return kept, version_id if is_immediate else None

    def cancel(self, secret_id: str) -> tuple[Secret, VersionId | None]:
        """Turn rotation off; return the version of the rotation that was under way.

        Raises:
            SecretNotFound: there is none. InvalidRequest: it is to be deleted, or rotation was never on.
        """
        secret = self._secrets.usable(secret_id)
        run = secret.rotation.run if secret.rotation is not None else None
        return self._secrets.change(cancelled(secret)), run.token if run is not None else None

    async def run(self) -> None:
        """Rotate what is due, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                now = self._clock.wall_s()
                waiting = [(due, secret) for secret in self._secrets.rotating() if (due := due_at(secret)) is not None]
                for due, secret in sorted(waiting, key=lambda one: one[0]):
                    if due <= now and secret.arn not in self._busy and len(self._busy) < AT_ONCE_MAX:
                        self._busy.add(secret.arn)
                        group.create_task(self._rotate(secret.arn))
                soonest = min(
                    (due for due, secret in waiting if secret.arn not in self._busy), default=now + SLEEP_S_MAX
                )
                wait_s = min(max(soonest - now, 0.0), SLEEP_S_MAX) if len(self._busy) < AT_ONCE_MAX else SLEEP_S_MAX
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._changed.wait()

    async def _rotate(self, arn: str) -> None:
        try:
            secret = self._secrets.change(opened(self._secrets.find(arn), VersionId(new_uuid()), self._clock.wall_s()))
            if secret.rotation is not None and secret.rotation.run is not None:
                await self._go_through(secret, secret.rotation.function_arn, secret.rotation.run)
        except (SecretNotFound, InvalidRequest):
            return  # it was deleted meanwhile
        except Exception:  # noqa: BLE001 - the supervised boundary of one rotation: the others go on
            _log.exception("secret_rotation_broke", extra={"secret": arn})
            self._count_failure(arn)
        finally:
            self._busy.discard(arn)
            self._changed.set()

    def _count_failure(self, arn: str) -> None:
        with suppress(SecretNotFound):
            secret, now = self._secrets.find(arn), self._clock.wall_s()
            if secret.rotation is not None and secret.rotation.is_enabled:
                self._secrets.change(failed(secret, now) if secret.rotation.run is not None else given_up(secret, now))

    async def _go_through(self, secret: Secret, function_arn: str, run: RotationRun) -> None:
        reason = ""
        for step in (TEST_STEP,) if run.is_test else STEPS:
            reason = await self._invoke(function_arn, _event(secret.arn, run.token, step))
            secret = self._secrets.find(secret.arn)
            if secret.rotation is None or secret.rotation.run is None or secret.rotation.run.token != run.token:
                return  # it was cancelled meanwhile
            if reason:
                reason = f"{step}: {reason}"
                break
        now = self._clock.wall_s()
        if run.is_test:
            _log.info("secret_rotation_tested", extra={"secret": secret.name, "reason": reason or "it went well"})
            self._secrets.change(tested(secret))
            return
        if not reason and is_complete(secret, run.token):
            self._secrets.change(succeeded(secret, now))
            _log.info("secret_rotated", extra={"secret": secret.name})
            return
        reason = reason or f"the function has not moved {CURRENT} to the version that was {PENDING}"
        fields = {"secret": secret.name, "attempts": run.attempts + 1, "reason": reason}
        _log.warning("secret_rotation_failed", extra=fields)
        self._secrets.change(failed(secret, now))

    def _fill(self, secret: Secret, token: VersionId) -> Secret:
        """Put something into the version that is there for a test.

        AWS: what is in it is undocumented; we chose what the current version has.
        """
        try:
            _, _, value = self._secrets.value(secret.arn)
        except VersionNotFound:
            return secret
        return self._secrets.put_value(secret.arn, value, token, (PENDING,))[0]


def _event(arn: str, token: VersionId, step: str) -> bytes:
    """Source: https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda.html"""
    event = {"Step": step, "SecretId": arn, "ClientRequestToken": token, "RotationToken": new_uuid()}
    return msgspec.json.encode(event)
