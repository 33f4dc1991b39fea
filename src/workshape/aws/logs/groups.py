"""The operations on log groups and streams. A function's group is there once the function has written something.

What the upstream keeps of a group of ours (its retention, its tags) is the upstream's to tell; we add the group to its
list only where it does not know it.

Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_Operations.html
"""

import asyncio
from collections.abc import Mapping
from math import inf
from typing import Any

from workshape.arn import Arn, parse_arn
from workshape.aws.logs.errors import InvalidToken, LogGroupNotFound
from workshape.aws.operation import Call, NotOurs
from workshape.errors import Invalid
from workshape.functions.log_groups import LogGroup, LogGroups
from workshape.functions.log_reader import FOREVER_S
from workshape.functions.platform_log import OWN_GROUP_PREFIX

RESULTS_MAX = 50
_TOKEN = "workshape:"  # noqa: S105 - how a token of ours begins; any other is the upstream's


def our_group(groups: LogGroups, parameters: Mapping[str, Any]) -> LogGroup | None:
    """Find the group that an input names, by name or ARN; None when its log is not ours.

    Raises:
        Invalid: no group is named, or two.
    """
    return group_named(groups, _asked(parameters))


def _asked(parameters: Mapping[str, Any]) -> str:
    name, identifier = parameters.get("logGroupName"), parameters.get("logGroupIdentifier")
    if bool(name) == bool(identifier):
        raise Invalid(reason="Either logGroupName or logGroupIdentifier is needed, and not both.")
    return str(name or identifier)


def group_named(groups: LogGroups, name: str) -> LogGroup | None:
    """Find a group by its name or ARN; None when its log is not ours."""
    if name.startswith("arn:"):
        name = parse_arn(name).resource.removeprefix("log-group:").removesuffix(":*")
    return groups.find(name)


async def theirs(call: Call, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What the upstream says of a group whose log is not ours: a function's may be there before it has written.

    Raises:
        NotOurs: the group is no function's. LogGroupNotFound: the upstream does not know it either, or there is none.
    """
    name = _asked(parameters)
    if OWN_GROUP_PREFIX not in name:
        raise NotOurs(kind="log group", name=name)
    answered = await call.ask_upstream()
    if answered is None:
        raise LogGroupNotFound(kind="log group", name=name)
    return answered


class GroupOperations:
    """DescribeLogGroups and DescribeLogStreams."""

    def __init__(self, groups: LogGroups) -> None:
        self._groups = groups

    async def describe_groups(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        """List the upstream's groups, page by page, then ours."""
        if "logGroupNamePrefix" in parameters and "logGroupNamePattern" in parameters:
            raise Invalid(reason="LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
        token = parameters.get("nextToken", "")
        listed: list[dict[str, Any]] = []
        if not token.startswith(_TOKEN):
            answered = await call.ask_upstream() or {}
            listed = answered.get("logGroups", [])
            if answered.get("nextToken"):
                return answered
        known = {group["logGroupName"] for group in listed}
        names = [name for name in self._groups.names() if name not in known and _is_asked(name, parameters)]
        limit = max(parameters.get("limit", RESULTS_MAX) - len(listed), 0)
        begin = _offset(token)
        groups = self._groups.find_all(names[begin : begin + limit])
        shown = await asyncio.to_thread(lambda: [_described(call, group) for group in groups])
        end = begin + len(shown)
        return {"logGroups": listed + shown, "nextToken": f"{_TOKEN}{end}" if end < len(names) else None}

    async def describe_streams(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        """List a group's streams: one for each execution environment that wrote something."""
        group = our_group(self._groups, parameters)
        if group is None:
            return await theirs(call, parameters)
        by_time = parameters.get("orderBy") == "LastEventTime"
        prefix = parameters.get("logStreamNamePrefix", "")
        if by_time and prefix:
            raise Invalid(reason="Cannot order by LastEventTime with a logStreamNamePrefix.")
        spans = await asyncio.to_thread(_spans, group)
        streams = sorted(
            ((name, span) for name, span in spans.items() if name.startswith(prefix)),
            key=lambda item: (item[1][1], item[0]) if by_time else (0, item[0]),
            reverse=parameters.get("descending", False),
        )
        begin = _offset(parameters.get("nextToken", ""))
        end = begin + parameters.get("limit", RESULTS_MAX)
        shown = [
            {
                "logStreamName": name,
                "creationTime": first_ms,
                "firstEventTimestamp": first_ms,
                "lastEventTimestamp": last_ms,
                "lastIngestionTime": last_ms,
                "arn": f"{_group_arn(call, group.name)}:log-stream:{name}",
                "storedBytes": 0,  # as AWS has it since 2019
            }
            for name, (first_ms, last_ms) in streams[begin:end]
        ]
        return {"logStreams": shown, "nextToken": f"{_TOKEN}{end}" if end < len(streams) else None}


def _described(call: Call, group: LogGroup) -> dict[str, Any]:
    arn = _group_arn(call, group.name)
    first = next(group.lines(0.0, FOREVER_S), None)
    return {
        "logGroupName": group.name,
        "creationTime": round(first.time * 1_000) if first is not None else 0,
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "logGroupClass": "STANDARD",
        "storedBytes": group.stored_bytes,
    }


def _spans(group: LogGroup) -> dict[str, tuple[int, int]]:
    """The times, in milliseconds, of each stream's first and last event."""
    spans: dict[str, tuple[float, float]] = {}
    for line in group.lines(0.0, FOREVER_S):
        first, _ = spans.get(line.stream, (line.time, -inf))
        spans[line.stream] = (first, line.time)
    return {stream: (round(first * 1_000), round(last * 1_000)) for stream, (first, last) in spans.items()}


def _is_asked(name: str, parameters: Mapping[str, Any]) -> bool:
    identifiers = parameters.get("logGroupIdentifiers")
    return (
        name.startswith(parameters.get("logGroupNamePrefix", ""))
        and parameters.get("logGroupNamePattern", "") in name
        and parameters.get("logGroupClass", "STANDARD") == "STANDARD"
        and (identifiers is None or any(identifier.removesuffix(":*").endswith(name) for identifier in identifiers))
    )


def _group_arn(call: Call, name: str) -> str:
    return str(Arn("logs", call.region, call.account, f"log-group:{name}"))


def _offset(token: str) -> int:
    if not token.startswith(_TOKEN):
        if token:
            raise InvalidToken()
        return 0
    number = token.removeprefix(_TOKEN)
    if not number.isdecimal():
        raise InvalidToken()
    return int(number)
