"""One request to a stage of an API: what events, authorizers and answers tell of it. A core."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from workshape.http1.message import HeaderPairs, Request

DEFAULT_STAGE = "$default"
_FORWARDED = frozenset({"x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "x-amzn-trace-id"})


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request, and where in API Gateway it arrived."""

    request: Request
    """Its target is what the API's host would get: with the stage, if it is a named one."""
    api_id: str
    stage: str
    request_id: str
    account: str
    now: float
    """Unix time."""
    trace_id: str = ""
    """X-Ray's header."""
    variables: Mapping[str, str] | None = None
    """The stage's, if it has any."""
    sent: Request | None = None
    """As the client sent it, where that is another: it is what the client signed."""

    @property
    def host(self) -> str:
        """The name that the client used."""
        return self.request.header("host", "localhost")

    @property
    def routed_path(self) -> str:
        """The path below the stage, percent-encoded: what routes are matched against."""
        if self.stage == DEFAULT_STAGE:
            return self.request.raw_path
        return self.request.raw_path.removeprefix(f"/{self.stage}") or "/"

    def time(self) -> str:
        """When it arrived, as in common log format."""
        return _common_log_time(int(self.now))

    def epoch_ms(self) -> int:
        """When it arrived, in milliseconds since the Unix epoch."""
        return int(self.now * 1000)

    def headers(self) -> HeaderPairs:
        """The headers as they are handed on: the client's, and what is known of the client.

        AWS sets `x-forwarded-port` and `x-forwarded-proto` itself; what a proxy of yours says of it stays, because it
        knows better than this end of the connection.
        """
        sent = {name: value for name, value in self.request.headers if name in _FORWARDED}
        before = [value for name, value in self.request.headers if name == "x-forwarded-for" and value]
        told = [
            ("x-forwarded-for", ", ".join([*before, self.request.peer])),
            ("x-forwarded-port", sent.get("x-forwarded-port") or self.host.rpartition(":")[2].strip("]") or "80"),
            ("x-forwarded-proto", sent.get("x-forwarded-proto") or "http"),
        ]
        if not told[1][1].isdecimal():
            told[1] = ("x-forwarded-port", "80")
        if self.trace_id:
            told.append(("x-amzn-trace-id", self.trace_id))
        return (*(pair for pair in self.request.headers if pair[0] not in _FORWARDED), *told)


@lru_cache(maxsize=4)  # requests of one second are told alike
def _common_log_time(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")


@dataclass(frozen=True, slots=True)
class JwtCaller:
    """Whose token an issuer has signed."""

    claims: Mapping[str, str]
    scopes: tuple[str, ...] | None = None
    """Of the route; None where it asks for none."""


@dataclass(frozen=True, slots=True)
class LambdaCaller:
    """Whom a function let in."""

    principal: str
    context: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class IamCaller:
    """Who signed: there is one account, and its keys are nobody's in particular."""

    access_key: str
    account: str

    @property
    def arn(self) -> str:
        """Name the user."""
        return f"arn:aws:iam::{self.account}:user/{self.access_key}"


Caller = JwtCaller | LambdaCaller | IamCaller


def query_pairs(query: str) -> list[tuple[str, str]]:
    """Read a query string; empty values stay."""
    return parse_qsl(query, keep_blank_values=True) if query else []


def joined(pairs: Mapping[str, list[str]]) -> dict[str, str]:
    """Write values of one name as one, with commas."""
    return {name: ",".join(values) for name, values in pairs.items()}


def grouped(pairs: HeaderPairs | list[tuple[str, str]]) -> dict[str, list[str]]:
    """Gather the values of each name, in their order."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found
