"""`workshape invoke`: call a function, as any AWS client would."""

import base64
import sys
from pathlib import Path
from typing import Annotated

import typer

from workshape.cli.admin import EndpointOption, FolderOption, find_running
from workshape.cli.errors import reported
from workshape.cli.lambda_client import lambda_client
from workshape.errors import Invalid

INVOKE_S_MAX = 960  # Lambda's longest timeout is 900 s, and there is a start before it
FUNCTION_FAILED = 1


@reported
def invoke(
    function: Annotated[str, typer.Argument(help="Name or ARN, with a qualifier if need be.")],
    payload: Annotated[
        str, typer.Option("--payload", "-p", help="JSON; @FILE reads it from a file, - from standard input.")
    ] = "{}",
    log: Annotated[bool, typer.Option("--log", help="Show the end of the log on standard error.")] = False,
    folder: FolderOption = Path(),
    endpoint: EndpointOption = None,
) -> None:
    """Invoke a function and print what it returned. Exit status 1 when the function failed."""
    running = find_running(folder, endpoint)
    with lambda_client(running, INVOKE_S_MAX) as client:
        answer = client.invoke(FunctionName=function, Payload=read_payload(payload), LogType="Tail" if log else "None")
        body = answer["Payload"].read()
    if log:
        sys.stderr.write(base64.b64decode(answer.get("LogResult", "")).decode(errors="replace"))
    sys.stdout.write(f"{body.decode(errors='replace')}\n")
    if "FunctionError" in answer:
        sys.stderr.write(f"workshape: {function} failed ({answer['FunctionError']})\n")
        raise typer.Exit(FUNCTION_FAILED)


def read_payload(payload: str) -> bytes:
    """Take a payload as the option gives it: JSON itself, `@file`, or `-`.

    Raises:
        Invalid: the file cannot be read.
    """
    if payload == "-":
        return sys.stdin.buffer.read()
    if not payload.startswith("@"):
        return payload.encode()
    try:
        return Path(payload[1:]).read_bytes()
    except OSError as error:
        raise Invalid(reason=f"the payload {payload[1:]} cannot be read: {error.strerror}") from error
