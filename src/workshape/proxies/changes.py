"""What RDS accepts of a proxy's settings, and how a change is laid over what there is. A core.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ConnectionPoolConfiguration.html
Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBProxy.html
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from workshape.proxies.model import (
    MD5,
    READ_WRITE,
    SCRAM,
    Database,
    InvalidCombination,
    InvalidValue,
    PoolConfig,
    UserAuth,
)

IDLE_CLIENT_S = (1, 28_800)
PERCENT = (1, 100)
BORROW_S = (0, 300)
_NAME = re.compile(r"[a-zA-Z](?:-?[a-zA-Z0-9]+)*")


@dataclass(frozen=True, slots=True)
class PoolChange:
    """A change of a pool; what is None stays as it is."""

    max_connections_percent: int | None = None
    max_idle_connections_percent: int | None = None
    borrow_timeout_s: int | None = None
    pinning_filters: tuple[str, ...] = ()
    init_query: str | None = None


def changed_pool(pool: PoolConfig, change: PoolChange) -> PoolConfig:
    """Lay a change over a pool.

    Raises:
        InvalidValue, InvalidCombination: RDS would refuse it.
    """
    share, idle = change.max_connections_percent, change.max_idle_connections_percent
    if idle is not None and share is None:
        reason = "MaxIdleConnectionsPercent can be given only together with MaxConnectionsPercent."
        raise InvalidCombination(reason=reason)
    if share is not None:
        check_range("MaxConnectionsPercent", share, PERCENT)
        idle = share // 2 if idle is None else idle
        check_range("MaxIdleConnectionsPercent", idle, (0, share))
        pool = replace(pool, max_connections_percent=share, max_idle_connections_percent=idle)
    if change.borrow_timeout_s is not None:
        check_range("ConnectionBorrowTimeout", change.borrow_timeout_s, BORROW_S)
        pool = replace(pool, borrow_timeout_s=change.borrow_timeout_s)
    for name in change.pinning_filters:
        # Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-managing.html
        raise InvalidValue(reason=f"SessionPinningFilters {name} isn't supported for PostgreSQL.")
    if change.init_query is not None:
        pool = replace(pool, init_query=change.init_query)
    return pool


def check_auth(auth: Sequence[UserAuth], default_scheme: str) -> None:
    """Check how clients and the proxy itself are to log in.

    Raises:
        InvalidValue, InvalidCombination: RDS would refuse it, or it cannot be here.
    """
    if default_scheme == "IAM_AUTH":
        reason = (
            "DefaultAuthScheme IAM_AUTH isn't possible here: a PostgreSQL server of its own knows no IAM. "
            "Use NONE with Auth: clients may bring IAM tokens (IAMAuth REQUIRED), the proxy logs in by the secret."
        )
        raise InvalidValue(reason=reason)
    if not auth:
        raise InvalidCombination(reason="Auth must be given when DefaultAuthScheme is NONE.")
    for one in auth:
        if not one.secret_arn:
            raise InvalidCombination(reason="SecretArn must be given with AuthScheme SECRETS.")
        if one.iam == "ENABLED":
            raise InvalidValue(reason="IAMAuth ENABLED is for Microsoft SQL Server only.")
        if one.password_type not in (SCRAM, MD5):
            reason = f"ClientPasswordAuthType {one.password_type} isn't PostgreSQL's: {SCRAM} and {MD5} are."
            raise InvalidValue(reason=reason)


def check_idle_client(timeout_s: int) -> None:
    """Check how long a client may be silent. Raises InvalidValue: not so long."""
    check_range("IdleClientTimeout", timeout_s, IDLE_CLIENT_S)


def check_role(role: str, database: Database) -> None:
    """Check a new endpoint's role.

    Raises:
        InvalidCombination: it wants a reader, and RDS takes that only for clusters that have one.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-proxy-endpoints.CreatingEndpoint.html
    """
    if role != READ_WRITE and not database.is_cluster:
        reason = (
            f"TargetRole {role} needs an Aurora or Multi-AZ DB cluster with a reader; the app's database is a DB "
            "instance. Give it readers: [database] in its workshape.toml."
        )
        raise InvalidCombination(reason=reason)


def check_name(member: str, name: str) -> str:
    """Check a new name that the service model has no pattern for. Raises InvalidValue: it cannot be one."""
    if not _NAME.fullmatch(name) or len(name) > 63:
        reason = f"{member} {name!r} must begin with a letter and have letters, digits and single hyphens between them."
        raise InvalidValue(reason=reason)
    return name


def check_range(member: str, value: int, bounds: tuple[int, int]) -> None:
    """Check a number. Raises InvalidValue: it is out of bounds."""
    least, most = bounds
    if not least <= value <= most:
        raise InvalidValue(reason=f"{member} must be between {least} and {most}, not {value}.")
