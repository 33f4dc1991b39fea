"""The operations on rules, and the test of an event pattern.

Each method's page is https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_NAME.html
"""

from collections.abc import Mapping
from typing import Any

from workshape.aws.events.errors import InvalidParameter
from workshape.aws.events.request import named_bus, page_size
from workshape.aws.members import given, read_tags, write_tags
from workshape.aws.operation import Call, Operation
from workshape.aws.pages import page
from workshape.events.buses import Buses
from workshape.events.model import DISABLED, ENABLED, TAGS_MAX, BusName, Rule, RuleName
from workshape.events.rule import read_pattern

EVENT_MEMBERS = ("id", "account", "source", "time", "region", "resources", "detail-type")
"""What TestEventPattern wants of an event."""


def rule_operations(buses: Buses) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    operations = _RuleOperations(buses)
    return {
        "PutRule": operations.put,
        "DescribeRule": operations.describe,
        "ListRules": operations.list,
        "EnableRule": operations.enable,
        "DisableRule": operations.disable,
        "DeleteRule": operations.delete,
        "TestEventPattern": operations.test_pattern,
        "TagResource": operations.tag,
        "UntagResource": operations.untag,
        "ListTagsForResource": operations.list_tags,
    }


class _RuleOperations:
    def __init__(self, buses: Buses) -> None:
        self._buses = buses

    async def put(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        rule = Rule(
            bus=BusName(named_bus(call, parameters)),
            name=RuleName(parameters["Name"]),
            pattern=parameters.get("EventPattern", ""),
            schedule=parameters.get("ScheduleExpression", ""),
            state=parameters.get("State", ENABLED),
            description=parameters.get("Description", ""),
            role_arn=parameters.get("RoleArn", ""),
            tags=_checked(read_tags(parameters.get("Tags", ()))),
        )
        return {"RuleArn": self._buses.put_rule(rule).arn}

    async def describe(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        rule = self._buses.rule(named_bus(call, parameters), parameters["Name"])
        return {**_shown(rule), "CreatedBy": call.account}

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        prefix = parameters.get("NamePrefix", "")
        rules = [rule for rule in self._buses.rules(named_bus(call, parameters)) if rule.name.startswith(prefix)]
        return page(parameters, "Rules", rules, _shown, size=page_size(parameters))

    async def enable(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._buses.set_state(named_bus(call, parameters), parameters["Name"], ENABLED)
        return {}

    async def disable(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._buses.set_state(named_bus(call, parameters), parameters["Name"], DISABLED)
        return {}

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._buses.delete_rule(named_bus(call, parameters), parameters["Name"])
        return {}

    async def test_pattern(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        pattern = read_pattern(parameters["EventPattern"])
        event = pattern.decode(parameters["Event"])
        if not isinstance(event, dict):
            raise InvalidParameter(parameter="Event", reason="it is not a JSON object.")
        missing = [member for member in EVENT_MEMBERS if member not in event]
        if missing:
            raise InvalidParameter(parameter="Event", reason=f"it has no {', '.join(missing)}.")
        return {"Result": pattern.matches(event)}

    async def tag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        arn = parameters["ResourceARN"]
        tags = {**self._buses.tags(arn), **read_tags(parameters["Tags"])}
        self._buses.set_tags(arn, _checked(tags))
        return {}

    async def untag(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        arn, keys = parameters["ResourceARN"], parameters["TagKeys"]
        left = {key: value for key, value in self._buses.tags(arn).items() if key not in keys}
        self._buses.set_tags(arn, left)
        return {}

    async def list_tags(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": write_tags(self._buses.tags(parameters["ResourceARN"]))}


def _checked(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > TAGS_MAX:
        raise InvalidParameter(parameter="Tags", reason=f"there can be at most {TAGS_MAX} tags.")
    return tags


def _shown(rule: Rule) -> dict[str, Any]:
    return {
        "Name": rule.name,
        "Arn": rule.arn,
        "State": rule.state,
        "EventBusName": rule.bus,
        **given(
            EventPattern=rule.pattern,
            ScheduleExpression=rule.schedule,
            Description=rule.description,
            RoleArn=rule.role_arn,
        ),
    }
