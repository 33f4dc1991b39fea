"""Access tokens: how one is asked for, what comes back, and until when it is good. A core.

AWS: undocumented what the request looks like; we follow RFC 6749. A client's id and secret are in the form that is
posted (section 2.3.1), or, with GET, in the header `Authorization`. What the connection adds takes precedence.

Source: https://www.rfc-editor.org/rfc/rfc6749#section-4.4
Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-target-connection-auth.html
"""

from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

import msgspec

from workshape.events.api_destinations.answer import Answer
from workshape.events.api_destinations.connection import OAuth
from workshape.events.api_destinations.request import USER_AGENT, OutgoingRequest, kept, plain, with_query

PLAINLY = (("Accept-Encoding", "identity"), ("Connection", "close"))
FORM = "application/x-www-form-urlencoded"
AHEAD_S_MAX = 60.0
"""How long before its end a token is replaced, at most half its life. AWS: undocumented what "about to expire" is."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token."""

    text: str = field(repr=False)
    good_until: float | None
    """Unix time; None: until it is refused."""

    def is_good(self, now: float) -> bool:
        """Tell whether it can be used still."""
        return self.good_until is None or now < self.good_until


@dataclass(frozen=True, slots=True)
class NoToken:
    """Why there is none."""

    reason: str
    is_refused: bool
    """The client is not wanted; else the endpoint has troubles of its own, and may be asked again."""


class _TokenAnswer(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float | None = None


def token_request(auth: OAuth) -> OutgoingRequest:
    """Make the request for a token."""
    own = auth.parameters
    body, query = plain(own.body), plain(own.query)
    given = {key for key, _ in (*body, *query)}
    wanted = [("grant_type", "client_credentials")]
    headers = [("User-Agent", USER_AGENT), ("Accept", "application/json"), *PLAINLY]
    if auth.method == "GET":
        headers.append(("Authorization", _basic(auth)))
        query = [pair for pair in wanted if pair[0] not in given] + query
    else:
        wanted += [("client_id", auth.client_id), ("client_secret", auth.client_secret.value)]
        body = [pair for pair in wanted if pair[0] not in given] + body
    if body:
        headers.append(("Content-Type", FORM))
    more = kept(plain(own.headers))
    taken = {name.lower() for name, _ in more}
    headers = [pair for pair in headers if pair[0].lower() not in taken] + more
    written = msgspec.json.encode(dict(body)) if _is_json(headers) else urlencode(body).encode()
    return OutgoingRequest(auth.method, with_query(auth.endpoint, query), tuple(headers), written if body else b"")


def read_token(answer: Answer, now: float) -> Token | NoToken:
    """Read what the authorization endpoint answered at `now`, Unix time. Its words may be secret: none is repeated."""
    if not 200 <= answer.status < 300:
        is_refused = answer.status < 500 and answer.status != 429
        return NoToken(f"The authorization endpoint returned HTTP status {answer.status}.", is_refused)
    try:
        found = msgspec.json.decode(answer.body, type=_TokenAnswer, strict=False)
    except (msgspec.DecodeError, RecursionError):
        return NoToken("The authorization endpoint returned no access_token.", is_refused=True)
    if found.expires_in is None:
        return Token(found.access_token, None)
    return Token(found.access_token, now + found.expires_in - min(AHEAD_S_MAX, found.expires_in / 2))


def _basic(auth: OAuth) -> str:
    both = f"{quote_plus(auth.client_id)}:{quote_plus(auth.client_secret.value)}"
    return f"Basic {b64encode(both.encode()).decode()}"


def _is_json(headers: list[tuple[str, str]]) -> bool:
    return any(name.lower() == "content-type" and value.startswith("application/json") for name, value in headers)
