"""The operations on connections. What they authorize with comes in by these, and never out.

Each method's page is https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from workshape.aws.events.connection_members import auth_given, check_public, invocation_given, shown_auth
from workshape.aws.events.request import page_size
from workshape.aws.members import given, when
from workshape.aws.operation import Call, Operation
from workshape.aws.pages import page
from workshape.events.api_destinations.connection import AuthorizationType, Connection
from workshape.events.api_destinations.connections import Connections


def connection_operations(connections: Connections) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _ConnectionOperations(connections)
    return {
        "CreateConnection": operations.create,
        "DescribeConnection": operations.describe,
        "ListConnections": operations.list,
        "UpdateConnection": operations.update,
        "DeauthorizeConnection": operations.deauthorize,
        "DeleteConnection": operations.delete,
    }


class _ConnectionOperations:
    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        check_public(parameters)
        kind = AuthorizationType(parameters["AuthorizationType"])
        members = parameters["AuthParameters"]
        connection = Connection(
            name=parameters["Name"],
            type=kind,
            auth=auth_given(kind, members, None, is_new=True),
            invocation=invocation_given(members),
            **_settings(parameters),
        )
        return _state(self._connections.create(connection))

    async def describe(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        connection = self._connections.connection(parameters["Name"])
        return {
            **_listed(connection),
            **given(
                Description=connection.description,
                SecretArn=connection.secret_arn,
                KmsKeyIdentifier=connection.kms_key,
                AuthParameters=shown_auth(connection),
            ),
        }

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        prefix, state = parameters.get("NamePrefix", ""), parameters.get("ConnectionState", "")
        wanted = [
            one
            for one in self._connections.connections()
            if one.name.startswith(prefix) and (not state or one.state == state)
        ]
        return page(parameters, "Connections", wanted, _listed, size=page_size(parameters))

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        """Change what is given. Credentials of another type than the connection's have no effect.

        Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-target-connection-edit.html
        """
        check_public(parameters)
        old = self._connections.connection(parameters["Name"])
        kind = AuthorizationType(parameters.get("AuthorizationType", old.type))
        members = parameters.get("AuthParameters", {})
        auth = auth_given(kind, members, old.auth, is_new=kind is not old.type)
        changed = msgspec.structs.replace(old, type=kind, auth=auth, **_settings(parameters))
        if "InvocationHttpParameters" in members:
            changed = msgspec.structs.replace(changed, invocation=invocation_given(members))
        return _changed(self._connections.put(changed, authorize=auth is not None and auth is not old.auth))

    async def deauthorize(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return _changed(self._connections.deauthorize(parameters["Name"]))

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return _changed(self._connections.delete(parameters["Name"]))


def _settings(parameters: dict[str, Any]) -> dict[str, Any]:
    """What else of a connection is given; what is not, stays."""
    members = {"Description": "description", "KmsKeyIdentifier": "kms_key"}
    return {field: parameters[member] for member, field in members.items() if member in parameters}


def _state(connection: Connection) -> dict[str, Any]:
    return {
        "ConnectionArn": connection.arn,
        "ConnectionState": connection.state.value,
        "CreationTime": when(connection.created_at),
        "LastModifiedTime": when(connection.modified_at),
    }


def _changed(connection: Connection) -> dict[str, Any]:
    authorized_at = connection.authorized_at
    return {**_state(connection), **({"LastAuthorizedTime": when(authorized_at)} if authorized_at else {})}


def _listed(connection: Connection) -> dict[str, Any]:
    return {
        **_changed(connection),
        "Name": connection.name,
        "AuthorizationType": connection.type.value,
        **given(StateReason=connection.reason),
    }
