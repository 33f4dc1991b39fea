"""The database's servers as targets of a proxy: what each does at the moment, and whether it is reached. A core."""

from collections.abc import Iterable
from dataclasses import dataclass

from workshape.hosted import HostedState, TargetRole, TargetState
from workshape.proxies.model import Database, DatabaseInstance


@dataclass(frozen=True, slots=True)
class InstanceTarget:
    """One DB instance behind a proxy."""

    instance: DatabaseInstance
    role: TargetRole
    health: TargetState


def instance_targets(database: Database, state: HostedState | None, otherwise: TargetState) -> list[InstanceTarget]:
    """Tell of each server by what its proxy says; `otherwise`: the health while it says nothing.

    A database without readers is there to be written to, whatever its server says of itself.
    """
    if not database.is_cluster:
        (instance,) = database.instances
        return [InstanceTarget(instance, TargetRole.READ_WRITE, otherwise if state is None else state.target)]
    servers = {} if state is None else state.servers
    found = [(instance, servers.get(instance.server)) for instance in database.instances]
    return [
        InstanceTarget(instance, TargetRole.UNKNOWN, otherwise)
        if server is None
        else InstanceTarget(instance, server.role, server.health)
        for instance, server in found
    ]


def writer_of(database: Database, states: Iterable[HostedState]) -> DatabaseInstance:
    """Find who takes writes now, by the first proxy that says it; while none of them knows, it is as configured."""
    writing = (
        instance
        for state in states
        for instance in database.instances
        if (server := state.servers.get(instance.server)) is not None
        and server.role is TargetRole.READ_WRITE
        and server.health.is_available
    )
    return next(writing, database.instances[0])
