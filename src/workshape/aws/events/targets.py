"""The operations on rules' targets.

Each method's page is https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_NAME.html
"""

from collections.abc import Callable, Mapping
from typing import Any

from workshape.aws.events.errors import InvalidParameter, MissingSqsParameters
from workshape.aws.events.request import named_bus, page_size
from workshape.aws.members import given
from workshape.aws.operation import Call, Operation
from workshape.aws.pages import page
from workshape.delivery import Destination, DestinationKind
from workshape.events.buses import Buses
from workshape.events.http_parameters import HttpParameters
from workshape.events.model import TARGETS_PER_REQUEST_MAX, NotBuilt, Target
from workshape.events.retry import AGE_S_MAX, RETRIES_MAX, RetryPolicy
from workshape.events.transformer import InputTransformer, TargetInput

ReadDestination = Callable[[str], Destination]
"""Reads the ARN of what can be a target. Raises: DestinationRefused: it cannot."""

_NOT_BUILT = (
    "KinesisParameters",
    "RunCommandParameters",
    "EcsParameters",
    "BatchParameters",
    "RedshiftDataParameters",
    "SageMakerPipelineParameters",
    "AppSyncParameters",
)


def target_operations(buses: Buses, read_destination: ReadDestination) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _TargetOperations(buses, read_destination)
    return {
        "PutTargets": operations.put,
        "RemoveTargets": operations.remove,
        "ListTargetsByRule": operations.list,
        "ListRuleNamesByTarget": operations.list_rules,
    }


class _TargetOperations:
    def __init__(self, buses: Buses, read_destination: ReadDestination) -> None:
        self._buses = buses
        self._read_destination = read_destination

    async def put(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        bus, rule = named_bus(call, parameters), parameters["Rule"]
        _check_count("Targets", parameters["Targets"])
        self._buses.rule(bus, rule)
        targets = [self._target(entry) for entry in parameters["Targets"]]
        self._buses.put_targets(bus, rule, targets)
        return {"FailedEntryCount": 0, "FailedEntries": []}

    async def remove(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        _check_count("Ids", parameters["Ids"])
        absent = self._buses.remove_targets(named_bus(call, parameters), parameters["Rule"], parameters["Ids"])
        failed = [
            {
                "TargetId": target_id,
                "ErrorCode": "ResourceNotFoundException",
                # AWS: undocumented; we chose the words.
                "ErrorMessage": f"Rule {parameters['Rule']} does not have a target with id {target_id}.",
            }
            for target_id in absent
        ]
        return {"FailedEntryCount": len(failed), "FailedEntries": failed}

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        rule = self._buses.rule(named_bus(call, parameters), parameters["Rule"])
        return page(parameters, "Targets", rule.targets.values(), _shown, size=page_size(parameters))

    async def list_rules(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        arn = parameters["TargetArn"]
        names = [
            rule.name
            for rule in self._buses.rules(named_bus(call, parameters))
            if any(target.arn == arn for target in rule.targets.values())
        ]
        return page(parameters, "RuleNames", names, str, size=page_size(parameters))

    def _target(self, entry: dict[str, Any]) -> Target:
        for member in _NOT_BUILT:
            if member in entry:
                remedy = "functions, queues, topics, event buses and API destinations are targets here"
                raise NotBuilt(feature=f"targets with {member}", remedy=remedy)
        destination = self._read_destination(entry["Arn"])
        _check_http(entry, destination)
        group = entry.get("SqsParameters", {}).get("MessageGroupId", "")
        if destination.kind is DestinationKind.QUEUE and destination.is_fifo and not group:
            raise MissingSqsParameters(target=entry["Id"])
        if destination.kind is DestinationKind.TOPIC and destination.is_fifo:
            # It wants a message group, and targets give one to queues alone. AWS: undocumented; we chose the words.
            reason = f"{entry['Arn']} is a FIFO topic, which EventBridge does not publish to."
            raise InvalidParameter(parameter="Arn", reason=reason)
        if destination.kind is DestinationKind.BUS and {"Input", "InputPath", "InputTransformer"} & entry.keys():
            raise NotBuilt(feature="an input of its own for an event bus", remedy="let it have the event as it is")
        dead_letter_arn = entry.get("DeadLetterConfig", {}).get("Arn", "")
        if dead_letter_arn:
            self._check_dead_letter_queue(dead_letter_arn)
        return Target(
            id=entry["Id"],
            arn=entry["Arn"],
            role_arn=entry.get("RoleArn", ""),
            input=_input(entry),
            message_group_id=group,
            http=_http(entry["HttpParameters"]) if "HttpParameters" in entry else None,
            retry=_retry(entry["RetryPolicy"]) if "RetryPolicy" in entry else None,
            dead_letter_arn=dead_letter_arn,
        )

    def _check_dead_letter_queue(self, arn: str) -> None:
        destination = self._read_destination(arn)
        if destination.kind is not DestinationKind.QUEUE or destination.is_fifo:
            reason = f"{arn} is not a standard SQS queue."
            raise InvalidParameter(parameter="DeadLetterConfig.Arn", reason=reason)


def _check_count(member: str, entries: list[Any]) -> None:
    if len(entries) > TARGETS_PER_REQUEST_MAX:
        reason = f"There can be at most {TARGETS_PER_REQUEST_MAX} entries in a request."
        raise InvalidParameter(parameter=member, reason=reason)


def _input(entry: dict[str, Any]) -> TargetInput:
    transformer = None
    if "InputTransformer" in entry:
        members = entry["InputTransformer"]
        transformer = InputTransformer(members["InputTemplate"], members.get("InputPathsMap", {}))
    return TargetInput(entry.get("Input"), entry.get("InputPath"), transformer)


def _check_http(entry: dict[str, Any], destination: Destination) -> None:
    if destination.kind is not DestinationKind.API_DESTINATION:
        if "HttpParameters" in entry:
            # Else of API Gateway's APIs alone.
            raise NotBuilt(feature="HttpParameters of such targets", remedy="they are for API destinations here")
    elif "RoleArn" not in entry:
        # Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destination-create.html
        # AWS: undocumented; we chose the words.
        reason = f"RoleArn is required for target {entry['Id']}, an API destination."
        raise InvalidParameter(parameter="RoleArn", reason=reason)


def _http(members: dict[str, Any]) -> HttpParameters:
    return HttpParameters(
        tuple(members.get("PathParameterValues", ())),
        members.get("QueryStringParameters", {}),
        members.get("HeaderParameters", {}),
    )


def _shown_http(http: HttpParameters) -> dict[str, Any]:
    return given(PathParameterValues=list(http.path), QueryStringParameters=http.query, HeaderParameters=http.headers)


def _retry(members: dict[str, Any]) -> RetryPolicy:
    return RetryPolicy(
        members.get("MaximumRetryAttempts", RETRIES_MAX), members.get("MaximumEventAgeInSeconds", AGE_S_MAX)
    )


def _shown(target: Target) -> dict[str, Any]:
    shown: dict[str, Any] = {"Id": target.id, "Arn": target.arn}
    if target.input.constant is not None:
        shown["Input"] = target.input.constant
    if target.input.path is not None:
        shown["InputPath"] = target.input.path
    if (transformer := target.input.transformer) is not None:
        shown["InputTransformer"] = {"InputPathsMap": transformer.paths, "InputTemplate": transformer.template}
    if target.http is not None:
        shown["HttpParameters"] = _shown_http(target.http)
    if target.retry is not None:
        shown["RetryPolicy"] = {
            "MaximumRetryAttempts": target.retry.retries_max,
            "MaximumEventAgeInSeconds": target.retry.age_s_max,
        }
    return {
        **shown,
        **given(
            RoleArn=target.role_arn,
            SqsParameters=given(MessageGroupId=target.message_group_id),
            DeadLetterConfig=given(Arn=target.dead_letter_arn),
        ),
    }
