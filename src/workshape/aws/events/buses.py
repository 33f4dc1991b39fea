"""The operations on event buses and their policies.

Each method's page is https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from workshape.aws.events.errors import InvalidParameter, NoPolicy, StatementNotFound
from workshape.aws.events.request import named_bus, page_size
from workshape.aws.members import given, read_tags, when
from workshape.aws.operation import Call, Operation
from workshape.aws.pages import page
from workshape.events.buses import Buses
from workshape.events.model import (
    DEFAULT_BUS,
    POLICY_CHARACTERS_MAX,
    BusName,
    EventBus,
    NotBuilt,
    PolicyTooLong,
)

PUT_EVENTS = "events:PutEvents"


def bus_operations(buses: Buses) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _BusOperations(buses)
    return {
        "CreateEventBus": operations.create,
        "DescribeEventBus": operations.describe,
        "ListEventBuses": operations.list,
        "UpdateEventBus": operations.update,
        "DeleteEventBus": operations.delete,
        "PutPermission": operations.put_permission,
        "RemovePermission": operations.remove_permission,
    }


class _BusOperations:
    def __init__(self, buses: Buses) -> None:
        self._buses = buses

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        if "EventSourceName" in parameters:
            raise NotBuilt(feature="partner event sources (EventSourceName)", remedy="create a custom event bus")
        name = parameters["Name"]
        if "/" in name:
            reason = "Names of custom event buses can't contain the / character."
            raise InvalidParameter(parameter="Name", reason=reason)
        tags = read_tags(parameters.get("Tags", ()))
        settings = msgspec.structs.replace(EventBus(name=BusName(name), tags=tags), **_settings(parameters))
        bus = self._buses.create_bus(settings)
        return {"EventBusArn": bus.arn, **_written(bus)}

    async def describe(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        bus = self._buses.bus(named_bus(call, parameters, "Name"))
        return {**_shown(bus), **_written(bus)}

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        prefix = parameters.get("NamePrefix", "")
        buses = [bus for bus in self._buses.buses() if bus.name.startswith(prefix)]
        return page(parameters, "EventBuses", buses, _listed, size=page_size(parameters))

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        bus = self._buses.bus(named_bus(call, parameters, "Name"))
        changed = self._buses.put_bus(msgspec.structs.replace(bus, **_settings(parameters)))
        return {"Arn": changed.arn, "Name": changed.name, **_written(changed)}

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._buses.delete_bus(parameters["Name"])
        return {}

    async def put_permission(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        bus = self._buses.bus(parameters.get("EventBusName", DEFAULT_BUS))
        if "Policy" in parameters:
            statements = _statements(parameters["Policy"])
        else:
            statements = {**bus.statements, parameters.get("StatementId", ""): _statement(bus, parameters)}
        changed = msgspec.structs.replace(bus, statements=statements)
        size = len(_policy(changed))
        if size > POLICY_CHARACTERS_MAX:
            raise PolicyTooLong(size=size, size_max=POLICY_CHARACTERS_MAX)
        self._buses.put_bus(changed)
        return {}

    async def remove_permission(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        bus = self._buses.bus(parameters.get("EventBusName", DEFAULT_BUS))
        if parameters.get("RemoveAllPermissions"):
            self._buses.put_bus(msgspec.structs.replace(bus, statements={}))
            return {}
        if not bus.statements:
            raise NoPolicy(kind="policy", name=bus.name)
        statement_id = parameters.get("StatementId", "")
        if statement_id not in bus.statements:
            raise StatementNotFound(kind="statement", name=statement_id)
        left = {key: statement for key, statement in bus.statements.items() if key != statement_id}
        self._buses.put_bus(msgspec.structs.replace(bus, statements=left))
        return {}


def _settings(parameters: dict[str, Any]) -> dict[str, str]:
    """What of a bus is kept and shown."""
    log = parameters.get("LogConfig", {})
    return {
        "description": parameters.get("Description", ""),
        "kms_key": parameters.get("KmsKeyIdentifier", ""),
        "dead_letter_arn": parameters.get("DeadLetterConfig", {}).get("Arn", ""),
        "log_level": log.get("Level", ""),
        "log_detail": log.get("IncludeDetail", ""),
    }


def _written(bus: EventBus) -> dict[str, Any]:
    return given(
        Description=bus.description,
        KmsKeyIdentifier=bus.kms_key,
        DeadLetterConfig=given(Arn=bus.dead_letter_arn),
        LogConfig=given(Level=bus.log_level, IncludeDetail=bus.log_detail),
    )


def _shown(bus: EventBus) -> dict[str, Any]:
    shown = {
        "Name": bus.name,
        "Arn": bus.arn,
        "CreationTime": when(bus.created_at),
        "LastModifiedTime": when(bus.modified_at),
    }
    return {**shown, "Policy": _policy(bus)} if bus.statements else shown


def _listed(bus: EventBus) -> dict[str, Any]:
    return {**_shown(bus), **given(Description=bus.description)}


def _policy(bus: EventBus) -> str:
    document = {"Version": "2012-10-17", "Statement": list(bus.statements.values())}
    return msgspec.json.encode(document).decode()


def _statement(bus: EventBus, parameters: dict[str, Any]) -> msgspec.Raw:
    for member in ("Action", "Principal", "StatementId"):
        if member not in parameters:
            raise InvalidParameter(parameter=member, reason=f"{member} is required where there is no Policy.")
    if parameters["Action"] != PUT_EVENTS:
        raise InvalidParameter(parameter="Action", reason=f"{PUT_EVENTS} is the one action that can be permitted.")
    principal = parameters["Principal"]
    statement: dict[str, Any] = {
        "Sid": parameters["StatementId"],
        "Effect": "Allow",
        "Principal": principal if principal == "*" else {"AWS": f"arn:aws:iam::{principal}:root"},
        "Action": PUT_EVENTS,
        "Resource": bus.arn,
    }
    if condition := parameters.get("Condition"):
        statement["Condition"] = {condition["Type"]: {condition["Key"]: condition["Value"]}}
    return msgspec.Raw(msgspec.json.encode(statement))


class _PolicyStatement(msgspec.Struct, rename="pascal"):
    sid: str = ""


class _PolicyDocument(msgspec.Struct, rename="pascal"):
    statement: list[msgspec.Raw]


def _statements(policy: str) -> dict[str, msgspec.Raw]:
    """Take a policy's statements apart; those without an id get a number."""
    try:
        document = msgspec.json.decode(policy, type=_PolicyDocument)
        ids = [msgspec.json.decode(one, type=_PolicyStatement).sid for one in document.statement]
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidParameter(parameter="Policy", reason=f"it is no policy: {error}") from error
    pairs = zip(ids, document.statement, strict=True)
    return {sid or str(number): msgspec.Raw(bytes(one)) for number, (sid, one) in enumerate(pairs)}
