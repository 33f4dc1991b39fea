"""The operations on archives and replays.

Each method's page is https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_NAME.html
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from workshape.aws.events.errors import InvalidParameter
from workshape.aws.events.request import named_bus, page_size
from workshape.aws.members import given, when
from workshape.aws.operation import Call, Operation
from workshape.aws.pages import page
from workshape.events.archive import ENABLED, Archive, ArchiveNotFound
from workshape.events.archives import Archives
from workshape.events.model import BusName, bus_arn
from workshape.events.replay import Replay
from workshape.events.replays import Replays

T = TypeVar("T", Archive, Replay)

_FILTERS = ("NamePrefix", "EventSourceArn", "State")


def archive_operations(archives: Archives, replays: Replays) -> Mapping[str, Operation]:
    """Offer the operations by their names in the service model."""
    kept, again = _ArchiveOperations(archives), _ReplayOperations(archives, replays)
    return {
        "CreateArchive": kept.create,
        "DescribeArchive": kept.describe,
        "ListArchives": kept.list,
        "UpdateArchive": kept.update,
        "DeleteArchive": kept.delete,
        "StartReplay": again.start,
        "DescribeReplay": again.describe,
        "ListReplays": again.list,
        "CancelReplay": again.cancel,
    }


class _ArchiveOperations:
    def __init__(self, archives: Archives) -> None:
        self._archives = archives

    async def create(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        bus = BusName(named_bus(call, parameters, "EventSourceArn"))
        settings = msgspec.structs.replace(Archive(name=parameters["ArchiveName"], bus=bus), **_settings(parameters))
        return _made(self._archives.create(settings))

    async def describe(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        archive = self._archives.archive(parameters["ArchiveName"])
        more = given(Description=archive.description, EventPattern=archive.pattern, KmsKeyIdentifier=archive.kms_key)
        return {**self._shown(call, archive), "ArchiveArn": archive.arn, **more}

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        _check_filters(parameters)
        wanted = _filtered(
            parameters,
            self._archives.archives(),
            source=lambda archive: bus_arn(call.region, call.account, archive.bus),
            state=lambda _archive: ENABLED,
        )
        return page(parameters, "Archives", wanted, lambda one: self._shown(call, one), size=page_size(parameters))

    async def update(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        archive = self._archives.archive(parameters["ArchiveName"])
        return _made(self._archives.put(msgspec.structs.replace(archive, **_settings(parameters))))

    async def delete(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        self._archives.delete(parameters["ArchiveName"])
        return {}

    def _shown(self, call: Call, archive: Archive) -> dict[str, Any]:
        size = self._archives.size(archive)
        return {
            "ArchiveName": archive.name,
            "EventSourceArn": bus_arn(call.region, call.account, archive.bus),
            "State": ENABLED,
            "RetentionDays": archive.retention_days,
            "SizeBytes": size.size_bytes,
            "EventCount": size.values,
            "CreationTime": when(archive.created_at),
        }


class _ReplayOperations:
    def __init__(self, archives: Archives, replays: Replays) -> None:
        self._archives = archives
        self._replays = replays

    async def start(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        source, destination = parameters["EventSourceArn"], parameters["Destination"]
        archive = self._archives.find(source)
        if archive is None:
            raise ArchiveNotFound(kind="archive", name=source)
        name = parameters["ReplayName"]
        replay = Replay(
            name=name,
            arn=f"arn:aws:events:{call.region}:{call.account}:replay/{name}",
            archive_arn=source,
            bus=archive.bus,
            from_at=parameters["EventStartTime"].timestamp(),
            until_at=parameters["EventEndTime"].timestamp(),
            filter_arns=tuple(destination.get("FilterArns", ())),
            description=parameters.get("Description", ""),
        )
        started = self._replays.start(replay, destination["Arn"])
        return {**_state(started), "ReplayArn": started.arn, "ReplayStartTime": when(started.started_at)}

    async def describe(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        replay = self._replays.replay(parameters["ReplayName"])
        destination = {
            "Arn": bus_arn(call.region, call.account, replay.bus),
            **given(FilterArns=list(replay.filter_arns)),
        }
        more = given(Description=replay.description)
        return {**_shown(replay), "ReplayArn": replay.arn, "Destination": destination, **more}

    async def list(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        _check_filters(parameters)
        wanted = _filtered(
            parameters,
            self._replays.replays(),
            source=lambda replay: replay.archive_arn,
            state=lambda replay: replay.state.value,
        )
        return page(parameters, "Replays", wanted, _shown, size=page_size(parameters))

    async def cancel(self, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
        replay = self._replays.cancel(parameters["ReplayName"])
        return {"ReplayArn": replay.arn, **_state(replay)}


def _settings(parameters: dict[str, Any]) -> dict[str, Any]:
    """What of an archive is given; what is not, stays."""
    members = {
        "Description": "description",
        "EventPattern": "pattern",
        "RetentionDays": "retention_days",
        "KmsKeyIdentifier": "kms_key",
    }
    return {field: parameters[member] for member, field in members.items() if member in parameters}


def _made(archive: Archive) -> dict[str, Any]:
    return {"ArchiveArn": archive.arn, "State": ENABLED, "CreationTime": when(archive.created_at)}


def _state(replay: Replay) -> dict[str, Any]:
    return {"State": replay.state.value, **given(StateReason=replay.reason)}


def _shown(replay: Replay) -> dict[str, Any]:
    times = {
        "EventLastReplayedTime": replay.last_at,
        "ReplayEndTime": replay.ended_at or None,
    }
    return {
        "ReplayName": replay.name,
        "EventSourceArn": replay.archive_arn,
        **_state(replay),
        "EventStartTime": when(replay.from_at),
        "EventEndTime": when(replay.until_at),
        "ReplayStartTime": when(replay.started_at),
        **{member: when(at) for member, at in times.items() if at is not None},
    }


def _check_filters(parameters: dict[str, Any]) -> None:
    """Refuse more than one filter: "Filter parameters are exclusive."

    Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_ListArchives.html
    """
    filters = [name for name in _FILTERS if name in parameters]
    if len(filters) > 1:
        raise InvalidParameter(parameter=filters[1], reason=f"it cannot be given together with {filters[0]}.")


def _filtered(parameters: dict[str, Any], items: Iterable[T], *, source: Any, state: Any) -> list[T]:
    wanted = {"EventSourceArn": source, "State": state}
    prefix = parameters.get("NamePrefix", "")
    return [
        one
        for one in items
        if one.name.startswith(prefix)
        and all(read(one) == parameters[name] for name, read in wanted.items() if name in parameters)
    ]
