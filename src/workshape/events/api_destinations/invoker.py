"""Calls API destinations for events: authorized, written as AWS writes them, and with what the answer means.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
"""

from workshape.clock import Clock
from workshape.delivery import DeliveryOutcome, Undelivered
from workshape.events.api_destinations.answer import UNAUTHORIZED, gone, outcome_of
from workshape.events.api_destinations.authorizer import Authorizer
from workshape.events.api_destinations.connections import Connections
from workshape.events.api_destinations.destinations import ApiDestinations
from workshape.events.api_destinations.request import invocation_request
from workshape.events.api_destinations.sender import HttpSender
from workshape.events.http_parameters import HttpParameters
from workshape.events.invocation import TargetInvocation


class DestinationInvoker:
    """`invoke` answers, and does not raise."""

    def __init__(
        self,
        destinations: ApiDestinations,
        connections: Connections,
        authorizer: Authorizer,
        sender: HttpSender,
        clock: Clock,
    ) -> None:
        self._destinations = destinations
        self._connections = connections
        self._authorizer = authorizer
        self._sender = sender
        self._clock = clock

    def __repr__(self) -> str:
        return f"<DestinationInvoker {self._destinations!r}>"

    async def invoke(self, invocation: TargetInvocation) -> DeliveryOutcome:
        """Call an API destination once."""
        destination = self._destinations.find(invocation.target_arn)
        if destination is None:
            return gone(("ApiDestination", invocation.target_arn))
        connection = self._connections.find(destination.connection_arn)
        if connection is None:
            return gone(("Connection", destination.connection_arn))
        credentials = await self._authorizer.credentials(connection)
        if isinstance(credentials, Undelivered):
            return credentials
        http = invocation.http or HttpParameters()
        request = invocation_request(destination, connection.invocation, http, credentials, invocation.body)
        answer = await self._sender.send(request)
        if isinstance(answer, Undelivered):
            return answer
        outcome = outcome_of(answer, self._clock.wall_s())
        if isinstance(outcome, Undelivered) and answer.status in UNAUTHORIZED:
            self._authorizer.refused(connection, credentials, outcome.message)
        return outcome
