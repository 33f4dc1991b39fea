"""How a secret's rotation goes on: begun, tried again, ended. A core: it takes a secret, and returns it changed.

Source: https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda.html
Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html
"""

from msgspec.structs import replace

from workshape.secrets.model import (
    CURRENT,
    PENDING,
    InvalidRequest,
    Rotation,
    RotationRules,
    RotationRun,
    Secret,
    SecretVersion,
    VersionId,
)
from workshape.secrets.rotation_schedule import read_rules
from workshape.secrets.versions import add_version

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
TEST_STEP = "testSecret"
"""As the rotation functions of AWS's templates know them.

Source: https://github.com/aws-samples/aws-secrets-manager-rotation-lambdas
"""
ATTEMPTS_MAX = 5
RETRY_S = 10.0
"""Doubled from one attempt to the next. AWS: it tries "multiple times", undocumented how often; we chose both."""


def configured(secret: Secret, function_arn: str, rules: RotationRules | None, now: float) -> Secret:
    """Turn rotation on, with a function and rules; what is not given (empty, None) stays as it was.

    Raises:
        InvalidParameter: the rules are none. InvalidRequest: there is no function.
    """
    before = secret.rotation
    function_arn = function_arn or (before.function_arn if before is not None else "")
    if not function_arn:
        raise InvalidRequest(reason="No Lambda rotation function ARN is associated with this secret.")
    if rules is None:
        rules = before.rules if before is not None else RotationRules()
    schedule = read_rules(rules)
    rotated_at = before.rotated_at if before is not None else None
    counts_from = now if schedule is None else schedule.first_count(now)
    if rotated_at is not None:
        counts_from = max(counts_from, rotated_at)
    run = before.run if before is not None else None
    rotation = Rotation(function_arn=function_arn, rules=rules, counts_from=counts_from, rotated_at=rotated_at, run=run)
    return _with_next_window(secret, rotation, now)


def begun(secret: Secret, token: VersionId, now: float, *, is_test: bool = False) -> Secret:
    """Begin a rotation, or the test of a configuration: an empty version that pends, to be filled.

    Raises:
        InvalidRequest: one before has not come to its end, or the token is that of a version.
    """
    rotation = _rotation(secret)
    pending = secret.labels.get(PENDING)
    if rotation.run is not None or (pending is not None and pending != secret.labels.get(CURRENT)):
        raise InvalidRequest(reason="A previous rotation isn't complete. It will be attempted again.")
    if token in secret.versions:
        raise InvalidRequest(reason="A version with this ClientRequestToken exists already.")
    empty = SecretVersion(now, has_value=False, kms_key=secret.kms_key)
    with_version = add_version(secret, token, empty, (PENDING,))
    return replace(with_version, rotation=replace(rotation, run=RotationRun(token, now, is_test=is_test)))


def due_at(secret: Secret) -> float | None:
    """Tell when there is something to do; None: nothing is to come."""
    rotation = secret.rotation
    if rotation is None or secret.deletion_at is not None or not rotation.is_enabled:
        return None
    return rotation.opens_at if rotation.run is None else rotation.run.due_at


def opened(secret: Secret, new_token: VersionId, now: float) -> Secret:
    """Begin what a window has opened for, or go on to the next window if this one is over.

    A rotation that was given up is taken up again, with its own version.
    """
    rotation = _rotation(secret)
    if rotation.run is not None or rotation.opens_at is None or rotation.opens_at > now:
        return secret
    if rotation.closes_at is None or rotation.closes_at <= now:
        return _with_next_window(secret, rotation, now)
    pending = secret.labels.get(PENDING)
    if pending is not None and pending != secret.labels.get(CURRENT):
        return replace(secret, rotation=replace(rotation, run=RotationRun(pending, now)))
    return begun(secret, new_token, now)


def is_complete(secret: Secret, token: VersionId) -> bool:
    """Tell whether a rotation function has left the labels as they must be at the end."""
    return secret.labels.get(CURRENT) == token and secret.labels.get(PENDING) in (None, token)


def succeeded(secret: Secret, now: float) -> Secret:
    """Its version is the current one; the next window counts from now."""
    rotation = replace(_rotation(secret), run=None, rotated_at=now, counts_from=now)
    return _with_next_window(secret, rotation, now)


def failed(secret: Secret, now: float) -> Secret:
    """Try all of it again later; after so many attempts only in the next window."""
    rotation = _rotation(secret)
    run = rotation.run
    assert run is not None, "what failed was under way"
    attempts = run.attempts + 1
    if attempts < ATTEMPTS_MAX:
        again = replace(run, attempts=attempts, due_at=now + RETRY_S * 2.0**run.attempts)
        return replace(secret, rotation=replace(rotation, run=again))
    return given_up(secret, now)


def given_up(secret: Secret, now: float) -> Secret:
    """Wait for the next window; one that is open is used up."""
    rotation = replace(_rotation(secret), run=None)
    if rotation.opens_at is None or rotation.closes_at is None or rotation.opens_at > now:
        return _with_next_window(secret, rotation, now)
    return _with_next_window(secret, rotation, max(now, rotation.closes_at))


def tested(secret: Secret) -> Secret:
    """Take the version away that was there for the test, whatever came of it."""
    rotation = _rotation(secret)
    assert rotation.run is not None, "the test was under way"
    return replace(_without(secret, rotation.run.token), rotation=replace(rotation, run=None))


def cancelled(secret: Secret) -> Secret:
    """Turn rotation off; what is under way ends, and its labels stay where they are.

    Raises:
        InvalidRequest: it was never on.
    """
    if secret.rotation is None:
        raise InvalidRequest(reason="Rotation is not configured for this secret.")
    if secret.rotation.run is not None and secret.rotation.run.is_test:
        secret = tested(secret)
    off = replace(_rotation(secret), is_enabled=False, run=None, opens_at=None, closes_at=None)
    return replace(secret, rotation=off)


def recounted(secret: Secret, now: float) -> Secret:
    """Count the next window from now: a new value given by hand is as good as a rotation."""
    rotation = secret.rotation
    if rotation is None or not rotation.is_enabled or rotation.run is not None:
        return secret
    return _with_next_window(secret, replace(rotation, counts_from=now), now)


def _with_next_window(secret: Secret, rotation: Rotation, now: float) -> Secret:
    schedule = read_rules(rotation.rules)
    window = None if schedule is None else schedule.window_after(rotation.counts_from, now)
    opens_at, closes_at = (None, None) if window is None else (window.opens_at, window.closes_at)
    return replace(secret, rotation=replace(rotation, opens_at=opens_at, closes_at=closes_at))


def _without(secret: Secret, token: VersionId) -> Secret:
    if secret.labels.get(CURRENT) == token:  # the function has made it the current one: so it is
        return replace(secret, labels={label: id_ for label, id_ in secret.labels.items() if label != PENDING})
    return replace(
        secret,
        versions={id_: version for id_, version in secret.versions.items() if id_ != token},
        labels={label: id_ for label, id_ in secret.labels.items() if id_ != token},
    )


def _rotation(secret: Secret) -> Rotation:
    assert secret.rotation is not None, "rotation is configured"
    return secret.rotation
