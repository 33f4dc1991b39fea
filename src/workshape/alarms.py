"""What is on fire, and what is about to be, by the figures of one moment. A core.

Every alarm says what is wrong in figures, and what helps.
"""

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from workshape.status import (
    DatabaseStatus,
    EngineStatus,
    FunctionStatus,
    HolderKind,
    HostedProxyStatus,
    MappingStatus,
    ProxyStatus,
    QueueStatus,
)

CONNECTIONS_WARNING = 0.75  # of what there can be: time to look
CONNECTIONS_FIRE = 0.9  # the last tenth goes within seconds
ERRORS_WARNING = 0.05  # what an alarm on an error rate usually begins at
ERRORS_FIRE = 0.5  # more fails than works
DURATION_WARNING = 0.9  # of the timeout: the slowest hundredth is about to be cut off
QUEUED_WARNING_S = 300.0  # longer than a restart of whoever reads the queue takes
PROXY_WAIT_FIRE_S = 1.0  # a client feels it; borrowing takes well below a millisecond as a rule


class Severity(StrEnum):
    """How bad it is."""

    FIRE = "fire"
    """Requests fail, or are about to."""
    WARNING = "warning"
    """Somebody should look."""


class Alarm(msgspec.Struct, frozen=True):
    """One thing that is wrong."""

    severity: Severity
    subject: str
    """What it is about: `database`, `function search`."""
    what: str
    """A sentence with the figures."""
    remedy: str
    """What helps, in words."""
    function: str = ""
    """The function that a limit would help with; empty: none."""
    connections: bool = False
    """Ending connections of the database would help."""


def alarms(engine: EngineStatus, proxy: ProxyStatus | None = None, proxy_unknown: str = "") -> list[Alarm]:
    """Find everything that is wrong, the worst first. `proxy_unknown`: why a proxy that is there does not answer."""
    found = [
        *(() if engine.database is None else _of_database(engine.database)),
        *(() if proxy is None else _of_proxy(proxy)),
        *(alarm for function in engine.functions for alarm in _of_function(function)),
        *(alarm for queue in engine.queues for alarm in _of_queue(queue)),
        *(alarm for mapping in engine.mappings for alarm in _of_mapping(mapping)),
        *_of_deliveries(engine),
        *(alarm for one in engine.proxies for alarm in _of_hosted_proxy(one)),
    ]
    if proxy_unknown:
        remedy = "workshape starts it again; its log is .workshape/logs/parts/proxy.log"
        found.insert(0, Alarm(Severity.FIRE, "proxy", proxy_unknown[0].upper() + proxy_unknown[1:], remedy))
    return sorted(found, key=lambda alarm: alarm.severity is not Severity.FIRE)


def _of_database(database: DatabaseStatus) -> Iterator[Alarm]:
    if database.unknown:
        remedy = "see .workshape/logs/parts/engine.log"
        what = f"Who is connected is not known for certain: {database.unknown}"
        yield Alarm(Severity.WARNING, "database", what, remedy)
    room = database.max_connections - database.kept_for_superusers
    part = database.connections / room if room > 0 else 0.0
    refused = database.refused_last_minute or 0
    if part < CONNECTIONS_WARNING and not refused:
        return
    severity = Severity.FIRE if refused or part >= CONNECTIONS_FIRE else Severity.WARNING
    what = f"{database.connections} of {room} connections are taken"
    if refused:
        what += f", and {_count(refused, 'was', 'were')} refused in the last minute"
    greedy = next((one for one in database.holders if one.kind is HolderKind.FUNCTION), None)
    if greedy is None:
        yield Alarm(severity, "database", f"{what}.", "see who holds them below", connections=True)
        return
    what += f"; {greedy.name} has {greedy.connections}, {greedy.idle} of them idle."
    remedy = f'throttle {greedy.name}, then end its connections; for good, give it database = "proxy"'
    yield Alarm(severity, "database", what, remedy, function=greedy.name, connections=True)


def _of_proxy(proxy: ProxyStatus) -> Iterator[Alarm]:
    for pool in proxy.pools:
        if not pool.waiting or pool.longest_wait_s < PROXY_WAIT_FIRE_S:
            continue
        clients = _count(pool.waiting, "client waits", "clients wait")
        what = f"{clients} for a connection to {pool.database}, the longest for {pool.longest_wait_s:.1f} s"
        pinned = f", {pool.pinned} pinned" if pool.pinned else ""
        remedy = "find who holds connections below: a long transaction, or a pin with its reason"
        yield Alarm(Severity.FIRE, "proxy", f"{what}; {pool.lent} are lent{pinned}.", remedy)


def _of_hosted_proxy(proxy: HostedProxyStatus) -> Iterator[Alarm]:
    if not proxy.why or proxy.target == "REGISTERING":
        return
    remedy = "aws rds describe-db-proxy-targets says it too; its log is .workshape/logs/parts/proxy.log"
    yield Alarm(Severity.FIRE, f"proxy {proxy.name}", f"{proxy.name} does not serve as it should: {proxy.why}", remedy)


def _of_function(function: FunctionStatus) -> Iterator[Alarm]:
    minute, subject, name = function.last_minute, f"function {function.name}", function.name
    if function.reserved_concurrency == 0:
        refused = _count(minute.throttles, "invocation was", "invocations were")
        what = f"{name} is switched off: its limit is 0, and {refused} refused in the last minute."
        yield Alarm(Severity.WARNING, subject, what, "lift the limit when it may run again", function=name)
    elif minute.throttles:
        yield _of_throttles(function)
    rate = minute.errors / minute.invocations if minute.invocations else 0.0
    if rate >= ERRORS_WARNING:
        severity = Severity.FIRE if rate >= ERRORS_FIRE else Severity.WARNING
        invocations = _count(minute.invocations, "invocation", "invocations")
        what = f"{minute.errors:,} of {invocations} of {name} failed in the last minute ({rate:.0%})."
        yield Alarm(severity, subject, what, f"workshape logs {name} --since 1m", function=name)
    if minute.p99_ms is not None and minute.p99_ms >= DURATION_WARNING * function.timeout_s * 1_000:
        what = f"The slowest of {name} take {minute.p99_ms / 1_000:.1f} s; its timeout is {function.timeout_s} s."
        remedy = "look at what it waits for, or give it more time (timeout_s)"
        yield Alarm(Severity.WARNING, subject, what, remedy, function=name)


def _of_throttles(function: FunctionStatus) -> Alarm:
    subject, name = f"function {function.name}", function.name
    refused = _count(function.last_minute.throttles, "invocation", "invocations")
    if function.reserved_concurrency is not None:
        what = f"{refused} of {name} got 429 in the last minute: its limit is {function.limit:,}."
        return Alarm(Severity.WARNING, subject, what, "raise or lift its limit", function=name)
    what = f"{refused} of {name} got 429 in the last minute: all without a limit share {function.limit:,}."
    remedy = "throttle whoever takes the most, or raise [platform] functions.account_concurrency"
    return Alarm(Severity.FIRE, subject, what, remedy, function=name)


def _of_queue(queue: QueueStatus) -> Iterator[Alarm]:
    waiting, subject = queue.visible + queue.in_flight, f"queue {queue.name}"
    if queue.dead_letters_of and waiting:
        sources = ", ".join(queue.dead_letters_of)
        messages = _count(waiting, "message", "messages")
        what = f"{queue.name} holds {messages} that could not be processed, of {sources}."
        remedy = "mend what fails, then redrive: aws sqs start-message-move-task"
        yield Alarm(Severity.WARNING, subject, what, remedy)
    elif queue.visible and (queue.oldest_s or 0.0) >= QUEUED_WARNING_S:
        messages, age_min = _count(queue.visible, "message waits", "messages wait"), (queue.oldest_s or 0.0) / 60
        what = f"{messages} in {queue.name}, the oldest for {age_min:.0f} min."
        yield Alarm(
            Severity.WARNING, subject, what, "see that its event source mapping is enabled and its function works"
        )


def _of_mapping(mapping: MappingStatus) -> Iterator[Alarm]:
    if mapping.last_processing_result.startswith("PROBLEM"):
        what = f"What polls {mapping.source} for {mapping.function} says: {mapping.last_processing_result}"
        yield Alarm(Severity.WARNING, f"mapping {mapping.source}", what, f"workshape logs {mapping.function}")


def _of_deliveries(engine: EngineStatus) -> Iterator[Alarm]:
    for kind, count in engine.deliveries_pending.items():
        what = f"{_count(count, 'delivery', 'deliveries')} ({kind}) wait for a destination that did not take them."
        remedy = "see delivery_failed in .workshape/logs/parts/engine.log: it names the destination and the reason"
        yield Alarm(Severity.WARNING, "deliveries", what, remedy)


def _count(count: int, one: str, many: str) -> str:
    """`1 invocation was`, `2 invocations were`."""
    return f"{count:,} {one if count == 1 else many}"
