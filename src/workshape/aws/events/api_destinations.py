"""The operations on API destinations.

Each method's page is https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from workshape.aws.events.request import page_size
from workshape.aws.members import given, when
from workshape.aws.operation import Call, Operation
from workshape.aws.pages import page
from workshape.events.api_destinations.destination import ApiDestination
from workshape.events.api_destinations.destinations import ApiDestinations

_MEMBERS = {
    "Description": "description",
    "ConnectionArn": "connection_arn",
    "InvocationEndpoint": "endpoint",
    "HttpMethod": "method",
    "InvocationRateLimitPerSecond": "rate_per_s",
}


def destination_operations(destinations: ApiDestinations) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _DestinationOperations(destinations)
    return {
        "CreateApiDestination": operations.create,
        "DescribeApiDestination": operations.describe,
        "ListApiDestinations": operations.list,
        "UpdateApiDestination": operations.update,
        "DeleteApiDestination": operations.delete,
    }


class _DestinationOperations:
    def __init__(self, destinations: ApiDestinations) -> None:
        self._destinations = destinations

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        settings = _settings(parameters)
        return self._state(self._destinations.create(ApiDestination(name=parameters["Name"], **settings)))

    async def describe(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        destination = self._destinations.destination(parameters["Name"])
        return {**self._listed(destination), **given(Description=destination.description)}

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        prefix, connection = parameters.get("NamePrefix", ""), parameters.get("ConnectionArn", "")
        wanted = [
            one
            for one in self._destinations.destinations()
            if one.name.startswith(prefix) and (not connection or one.connection_arn == connection)
        ]
        return page(parameters, "ApiDestinations", wanted, self._listed, size=page_size(parameters))

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        destination = self._destinations.destination(parameters["Name"])
        changed = msgspec.structs.replace(destination, **_settings(parameters))
        return self._state(self._destinations.put(changed))

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._destinations.delete(parameters["Name"])
        return {}

    def _listed(self, destination: ApiDestination) -> dict[str, Any]:
        return {
            **self._state(destination),
            "Name": destination.name,
            "ConnectionArn": destination.connection_arn,
            "InvocationEndpoint": destination.endpoint,
            "HttpMethod": destination.method,
            "InvocationRateLimitPerSecond": destination.rate_per_s,
        }

    def _state(self, destination: ApiDestination) -> dict[str, Any]:
        return {
            "ApiDestinationArn": destination.arn,
            "ApiDestinationState": "ACTIVE" if self._destinations.is_active(destination) else "INACTIVE",
            "CreationTime": when(destination.created_at),
            "LastModifiedTime": when(destination.modified_at),
        }


def _settings(parameters: dict[str, Any]) -> dict[str, Any]:
    """What of an API destination is given; what is not, stays."""
    return {field: parameters[member] for member, field in _MEMBERS.items() if member in parameters}
