"""IAM tokens: a presigned request in a password's place, checked as RDS checks it, and made as the SDKs do. A core.

Only keys that the proxy knows may sign. What AWS's policies allow (`rds-db:connect`) is not asked: here are none.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html (15 minutes, TLS),
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.Connecting.html (the form)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote

from workshape.errors import Denied
from workshape.http1.message import Request
from workshape.sigv4 import (
    Keys,
    MissingAuthentication,
    SignatureExpired,
    SignatureMismatch,
    UnknownAccessKey,
    presign,
    verify,
)

TOKEN_S_MAX = 900
"""Whatever it says of itself. Source: the first page above."""
SERVICE = "rds-db"
ACTION = "connect"
_MARK = "X-Amz-Signature="


class TokenRefused(Denied):
    """{reason}"""

    reason: str


@dataclass(frozen=True, slots=True)
class TokenRules:
    """Whose tokens are good, and for where."""

    secret_keys: Mapping[str, str] = field(repr=False)
    """By access key."""
    region: str
    """Empty: any."""
    hosts: frozenset[str]
    """The names by which clients reach the proxy, at the port that they come to; in lower case."""
    addresses: frozenset[str] = frozenset()
    """HOST:PORT by which they reach it too, where something in between has another port; in lower case."""


NOBODYS = TokenRules({}, "", frozenset())


def is_token(password: str) -> bool:
    """Tell a token from a password."""
    return _MARK in password and "/?" in password


def check_token(token: str, user: str, port: int, rules: TokenRules, now: float) -> None:
    """Check that the token lets this user in, here, at `now` (Unix time).

    Raises:
        TokenRefused: it does not; the reason is for the user, and tells nothing that the token does not say.
    """
    if not rules.secret_keys:
        raise TokenRefused(reason="The proxy knows no access key that may sign tokens.")
    address, slash, query = token.partition("/?")
    if not slash or _MARK not in query or not token.isascii():
        raise TokenRefused(reason="The password is no IAM token: make one with `aws rds generate-db-auth-token`.")
    said = parse_qs(query, keep_blank_values=True)
    _check_address(address, port, rules)
    if said.get("Action") != [ACTION]:
        raise TokenRefused(reason=f"The token is not for Action={ACTION}.")
    if said.get("DBUser") != [user]:
        raise TokenRefused(reason=f"The token is for user {_first(said, 'DBUser')!r}.")
    _check_scope(_first(said, "X-Amz-Credential"), rules)
    if "host" not in _first(said, "X-Amz-SignedHeaders").split(";"):
        raise TokenRefused(reason="The token's signature does not cover its host.")
    # The SDKs sign the host in lower case, and print it as they were given it.
    _check_signature(Request("GET", f"/?{query}", (("host", address.lower()),)), rules, now)


def make_token(host: str, port: int, user: str, region: str, keys: Keys, now: float) -> str:
    """Make a token by which that user is let in there."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    wanted = Request("GET", f"/?Action={ACTION}&DBUser={quote(user, safe='-_.~')}", (("host", address),))
    return f"{address}{presign(wanted, keys, region, SERVICE, now, TOKEN_S_MAX).target}"


def _check_address(address: str, port: int, rules: TokenRules) -> None:
    host, _, said_port = address.lower().rpartition(":")
    is_here = said_port == str(port) and host.strip("[]") in rules.hosts
    if not is_here and address.lower() not in rules.addresses:
        here = sorted(
            {f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name in rules.hosts} | rules.addresses
        )
        raise TokenRefused(reason=f"The token is for {address}; here is {', '.join(here)}.")


def _check_scope(credential: str, rules: TokenRules) -> None:
    parts = credential.split("/")
    region, service = (parts[2], parts[3]) if len(parts) == 5 else ("", "")
    if service != SERVICE:
        raise TokenRefused(reason=f"The token is signed for service {service!r}, not {SERVICE!r}.")
    if rules.region and region != rules.region:
        raise TokenRefused(reason=f"The token is signed for region {region!r}; here is {rules.region!r}.")


def _check_signature(request: Request, rules: TokenRules, now: float) -> None:
    try:
        verify(request, rules.secret_keys, now, TOKEN_S_MAX)
    except UnknownAccessKey as error:
        raise TokenRefused(reason="The token is signed with an access key that the proxy does not know.") from error
    except SignatureExpired as error:
        raise TokenRefused(reason=f"The token is not valid now: {error.reason}.") from error
    except (SignatureMismatch, MissingAuthentication) as error:
        raise TokenRefused(
            reason="The token's signature does not hold: another secret key, or a changed token."
        ) from error


def _first(said: Mapping[str, list[str]], name: str) -> str:
    return said.get(name, [""])[0]
