"""The operations on log events: GetLogEvents reads one stream, FilterLogEvents searches a group.

Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from zlib import crc32

from workshape.aws.logs.errors import InvalidToken, LogStreamNotFound, NotBuilt
from workshape.aws.logs.filter_pattern import compile_pattern
from workshape.aws.logs.groups import group_named, our_group, theirs
from workshape.aws.logs.page import (
    EVENTS_MAX,
    Event,
    Page,
    Position,
    first_page,
    last_page,
    numbered,
    read_token,
    write_token,
)
from workshape.aws.operation import Call, NotOurs
from workshape.errors import Invalid
from workshape.functions.log_groups import LogGroup, LogGroups
from workshape.functions.log_line import LogLine
from workshape.functions.log_reader import FOREVER_S

FORWARD, BACKWARD = "f", "b"
Wanted = Callable[[LogLine], bool]


class EventOperations:
    """GetLogEvents, FilterLogEvents, and those that would write or search what we cannot."""

    def __init__(self, groups: LogGroups) -> None:
        self._groups = groups

    async def get(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        """Read one stream, from its head or its tail."""
        group = our_group(self._groups, parameters)
        if group is None:
            return await theirs(call, parameters)
        stream = parameters["logStreamName"]
        direction = FORWARD if parameters.get("startFromHead") else BACKWARD
        position = None
        if token := parameters.get("nextToken"):
            direction, position = read_token(token)
        end_ms = parameters.get("endTime")  # exclusive here, inclusive in FilterLogEvents
        page = await _read(group, parameters, direction, position, end_ms, lambda line: line.stream == stream)
        if not page.events and position is None and not await _has_stream(group, stream):
            raise LogStreamNotFound(kind="log stream", name=stream)
        # The end is a token that gives itself back.
        place = position or Position(parameters.get("startTime", 0))
        before = page.events[0].position if page.events else place
        after = page.events[-1].position.following if page.events else place
        return {
            "events": [_event(event) for event in page.events],
            "nextForwardToken": write_token(FORWARD, after),
            "nextBackwardToken": write_token(BACKWARD, before),
        }

    async def filter(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        """Search a group, oldest first unless asked otherwise."""
        group = our_group(self._groups, parameters)
        if group is None:
            return await theirs(call, parameters)
        direction = FORWARD if parameters.get("startFromHead", True) else BACKWARD
        position = None
        if token := parameters.get("nextToken"):
            given, position = read_token(token)
            if given != direction:
                raise InvalidToken()
        end_ms = parameters["endTime"] + 1 if "endTime" in parameters else None
        page = await _read(group, parameters, direction, position, end_ms, _wanted(parameters))
        following = None
        if page.has_more:
            edge = page.events[-1].position.following if direction == FORWARD else page.events[0].position
            following = write_token(direction, edge)
        events = page.events if direction == FORWARD else page.events[::-1]
        found = [{**_event(event), "logStreamName": event.line.stream, "eventId": _id(event)} for event in events]
        return {"events": found, "searchedLogStreams": [], "nextToken": following}

    async def put(self, _call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        """Refuse events for a function's own log: only functions write there."""
        name = parameters["logGroupName"]
        if group_named(self._groups, name) is not None:
            raise NotBuilt(feature=f"PutLogEvents to {name}, a log of functions of its own")
        raise NotOurs(kind="log group", name=name)

    async def start_query(self, _call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        """Refuse Logs Insights on a function's own log."""
        named = [*parameters.get("logGroupNames", ()), *parameters.get("logGroupIdentifiers", ())]
        if "logGroupName" in parameters:
            named.append(parameters["logGroupName"])
        ours = [name for name in named if group_named(self._groups, name) is not None]
        if ours:
            raise NotBuilt(feature=f"Logs Insights (StartQuery on {', '.join(ours)})")
        raise NotOurs(kind="log group", name=", ".join(named))


def _wanted(parameters: Mapping[str, Any]) -> Wanted:
    """Choose lines by stream and pattern.

    Raises:
        Invalid: both streams and a prefix. InvalidFilterPattern, NotBuilt: see `compile_pattern`.
    """
    streams, prefix = parameters.get("logStreamNames"), parameters.get("logStreamNamePrefix", "")
    if streams and prefix:
        raise Invalid(reason="Only one of logStreamNames and logStreamNamePrefix can be given.")
    chosen = frozenset(streams or ())
    matches = compile_pattern(parameters.get("filterPattern", ""))
    return lambda line: (
        (not chosen or line.stream in chosen) and line.stream.startswith(prefix) and matches(line.message)
    )


async def _read(
    group: LogGroup,
    parameters: Mapping[str, Any],
    direction: str,
    position: Position | None,
    end_ms: int | None,
    wanted: Wanted,
) -> Page:
    begin_ms = parameters.get("startTime", 0)
    end_s = FOREVER_S if end_ms is None else min(end_ms / 1_000, FOREVER_S)
    limit = parameters.get("limit", EVENTS_MAX)
    if direction == FORWARD and position is not None:
        begin_ms = max(begin_ms, position.ms)

    def read() -> Page:
        events = numbered(group.lines(min(begin_ms / 1_000, FOREVER_S), end_s))
        if direction == FORWARD:
            return first_page(events, wanted, position or Position(0), limit)
        return last_page(events, wanted, position, limit)

    return await asyncio.to_thread(read)


async def _has_stream(group: LogGroup, stream: str) -> bool:
    def look() -> bool:
        return any(line.stream == stream for line in group.lines(0.0, FOREVER_S))

    return await asyncio.to_thread(look)


def _event(event: Event) -> dict[str, Any]:
    return {"timestamp": event.position.ms, "message": event.line.message, "ingestionTime": event.position.ms}


def _id(event: Event) -> str:
    """Make an id like AWS's, of 56 digits: it sorts by time, and is the same whenever the event is found."""
    stream = crc32(event.line.stream.encode())
    return f"{event.position.ms:026d}{event.position.number:020d}{stream:010d}"
