"""Has the credentials for requests: those of a connection, or a token got for them, kept while it is good.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-target-connection-auth.html
"""

import asyncio
import logging
from dataclasses import dataclass, field

from workshape.clock import Clock
from workshape.delivery import Undelivered
from workshape.events.api_destinations.answer import not_authorized
from workshape.events.api_destinations.connection import ApiKeyAuth, BasicAuth, Connection, ConnectionState, OAuth
from workshape.events.api_destinations.connections import Connections
from workshape.events.api_destinations.request import Credentials, api_key, basic, bearer
from workshape.events.api_destinations.sender import HttpSender
from workshape.events.api_destinations.token import NoToken, Token, read_token, token_request

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Kept:
    """One connection's token."""

    auth: OAuth
    """What it was got for."""
    token: Token | None = None
    fetches: int = 0
    failure: Undelivered | None = None
    """How the last fetch ended."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Authorizer:
    """Of all connections. `run` it: new ones get their first token."""

    def __init__(self, connections: Connections, sender: HttpSender, clock: Clock) -> None:
        """Begin to follow the connections there are."""
        self._connections = connections
        self._sender = sender
        self._clock = clock
        self._tokens: dict[str, _Kept] = {}
        self._changed = asyncio.Event()
        connections.subscribe(lambda _old, _new: self._changed.set())

    def __repr__(self) -> str:
        return f"<Authorizer tokens={len(self._tokens)}>"

    async def run(self) -> None:
        """Authorize connections that are to be, until cancelled."""
        running: set[str] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                self._forget_gone()
                for connection in self._connections.connections():
                    if connection.state is ConnectionState.AUTHORIZING and connection.arn not in running:
                        running.add(connection.arn)
                        group.create_task(self._authorize(connection, running))
                await self._changed.wait()

    async def credentials(self, connection: Connection) -> Credentials | Undelivered:
        """Return what authorizes a request of a connection, or why it cannot be had now."""
        auth = connection.auth
        if auth is None or not connection.is_authorized:
            return not_authorized(connection.name, connection.reason)
        if isinstance(auth, BasicAuth):
            return basic(auth)
        if isinstance(auth, ApiKeyAuth):
            return api_key(auth)
        kept = self._tokens.get(connection.arn)
        if kept is None or kept.auth != auth:
            kept = self._tokens[connection.arn] = _Kept(auth)
        before = kept.fetches
        async with kept.turn:  # one fetch at a time, whose end is that of all who wait
            if kept.token is not None and kept.token.is_good(self._clock.wall_s()):
                return bearer(kept.token.text)
            if kept.fetches == before:
                kept.failure = await self._fetch(connection, kept)
                kept.fetches += 1
            if kept.failure is not None or kept.token is None:
                return kept.failure or not_authorized(connection.name, "its token was refused already.")
            return bearer(kept.token.text)

    def refused(self, connection: Connection, credentials: Credentials, reason: str) -> None:
        """Note that an endpoint does not take credentials: a token is let go, others deauthorize a connection.

        Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-target-connection-deauthorize.html
        """
        if connection.auth is None:
            return
        if not isinstance(connection.auth, OAuth):
            self._connections.refused(connection.arn, connection.auth, reason)
            return
        kept = self._tokens.get(connection.arn)
        if kept is not None and kept.token is not None and bearer(kept.token.text) == credentials:
            kept.token = None

    async def _fetch(self, connection: Connection, kept: _Kept) -> Undelivered | None:
        answer = await self._sender.send(token_request(kept.auth))
        now = self._clock.wall_s()
        outcome = (
            NoToken(answer.message, is_refused=False) if isinstance(answer, Undelivered) else read_token(answer, now)
        )
        if isinstance(outcome, Token):
            kept.token = outcome
            self._connections.accepted(connection.arn, kept.auth)
            return None
        # One that was never authorized is not to be: AWS knows no other end of AUTHORIZING than these two.
        if outcome.is_refused or connection.state is ConnectionState.AUTHORIZING:
            self._connections.refused(connection.arn, kept.auth, outcome.reason)
        return not_authorized(connection.name, outcome.reason)

    async def _authorize(self, connection: Connection, running: set[str]) -> None:
        try:
            await self.credentials(connection)
        except Exception:  # noqa: BLE001 - the supervised boundary of a fetch: one must not stop the others
            _log.exception("connection_not_authorized", extra={"connection": connection.name})
        finally:
            running.discard(connection.arn)
            current = self._connections.find(connection.arn)
            if current is not None and current.auth != connection.auth:
                self._changed.set()  # it was changed meanwhile, and is to be authorized with that

    def _forget_gone(self) -> None:
        for arn in [arn for arn in self._tokens if self._connections.find(arn) is None]:
            del self._tokens[arn]
