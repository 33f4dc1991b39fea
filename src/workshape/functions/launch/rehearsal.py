"""A rehearsal: what a function's start and its first invocations go through, once ahead, with nobody watching.

A forked process shares its parent's memory until it writes to it, and Python writes wherever it reads: each page costs
some microseconds then, and a start would pay for a hundred and fifty of them. Here they are paid for while nobody
waits. What happens is thrown away, and what is left is as it was.

Standard library only, Python 3.10: every Python that runs functions loads this file.
"""

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

from workshape.functions.launch import transport, wire

INVOCATIONS = 3
FOLDER = "/tmp/workshape-rehearsal-{pid}"  # noqa: S108 - without a sandbox it is the machine's: then one of its own
_NAME = "workshape_rehearsal"
_SOURCE = """"A function."

import json
import os
from typing import Any

LIMIT = 3


class Thing:
    def __init__(self, name: str, *values: Any, **more: Any) -> None:
        self.name = name
        self.values = [value for value in values if value is not None]
        self.more = {key: f"{value!r}" for key, value in more.items()}


def handler(event: Any, context: Any) -> Any:
    try:
        thing = Thing("thing", *range(LIMIT), event=event, id=context.aws_request_id)
        for index, value in enumerate(thing.values):
            if index > 1 and value < LIMIT or not thing.more:
                continue
        with open(os.devnull) as nothing:
            nothing.read()
    except (OSError, ValueError) as error:
        return {"error": str(error)}
    return {"statusCode": 200, "body": json.dumps(thing.more)}
"""
_EVENT = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: request\r\n"
    b"Lambda-Runtime-Deadline-Ms: 1700000000000\r\nLambda-Runtime-Invoked-Function-Arn: arn\r\n"
    b'Lambda-Runtime-Trace-Id: Root=1\r\nContent-Length: 24\r\n\r\n{"key": ["value", 1, 2]}'
)
_VARIABLES = {f"WORKSHAPE_REHEARSAL_{number}": "x" * 40 for number in range(30)}


def rehearse(bootstrap: Any, client: Any, library: Sequence[str]) -> None:
    """Go through it with AWS's `bootstrap` and its `client`; `library` is where Python's own modules are."""
    ours, theirs = socket.socketpair()
    transport.adopt(ours.detach())
    path, folder = list(sys.path), os.getcwd()
    with theirs:
        place = FOLDER.format(pid=os.getpid())
        _take_order([place, "/opt", "/var/runtime", *library])
        _set_up_logging(bootstrap)
        handler = _import(bootstrap, place)
        _invoke_often(bootstrap, client, handler, theirs)
    os.environ.clear()
    os.chdir(folder)
    sys.path[:] = path
    sys.path_importer_cache.clear()
    sys.modules.pop(_NAME, None)


def rehearse_invocations(bootstrap: Any, client: Any) -> None:
    """Go through invocations alone, in a process that is a function already."""
    ours, theirs = socket.socketpair()
    transport.adopt(ours.detach())
    with theirs:
        _invoke_often(bootstrap, client, lambda event, _context: event, theirs)
    os.environ.pop("_X_AMZN_TRACE_ID", None)


def _invoke_often(bootstrap: Any, client: Any, handler: Any, platform: socket.socket) -> None:
    for _ in range(INVOCATIONS):
        platform.sendall(_EVENT)
        _invoke(bootstrap, client, handler)


def _take_order(import_path: Sequence[str]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire.send(theirs, {"variables": _VARIABLES, "import_path": list(import_path)})
        order = wire.receive(ours)
    assert order is not None, "it has just been sent"
    os.environ.update(order["variables"])
    sys.path[:] = order["import_path"]
    sys.path_importer_cache.clear()


def _set_up_logging(bootstrap: Any) -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    bootstrap._setup_logging(bootstrap._AWS_LAMBDA_LOG_FORMAT, None, bootstrap.create_log_sink())
    root.handlers[:] = handlers
    root.setLevel(level)


def _import(bootstrap: Any, place: str) -> Any:
    """Import a module as a function's is; where /tmp is the machine's and somebody is in the way, do without."""
    with contextlib.suppress(OSError):
        os.mkdir(place, 0o700)
        try:
            with open(f"{place}/{_NAME}.py", "w") as module:
                module.write(_SOURCE)
            os.chdir(place)
            return bootstrap._get_handler(f"{_NAME}.handler")
        finally:
            _remove(place)
    return lambda event, _context: event


def _invoke(bootstrap: Any, client: Any, handler: Any) -> None:
    request = client.wait_next_invocation()
    bootstrap.update_xray_env_variable(request.x_amzn_trace_id)
    bootstrap.handle_event_request(
        client,
        handler,
        request.invoke_id,
        request.event_body,
        request.content_type,
        request.client_context,
        request.cognito_identity,
        request.invoked_function_arn,
        request.deadline_time_in_ms,
        request.tenant_id,
        None,
        request.invocation_id,
    )


def _remove(folder: str) -> None:
    for entry in list(os.scandir(folder)):
        if entry.is_dir(follow_symlinks=False):
            _remove(entry.path)
        else:
            os.unlink(entry.path)
    os.rmdir(folder)
