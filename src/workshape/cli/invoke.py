"""`workshape invoke`: call a function, as any AWS client would."""

import base64
import sys
from pathlib import Path
from typing import Annotated, Any

import botocore.session
import typer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from workshape.cli.admin import EndpointOption, FolderOption, find_running
from workshape.cli.errors import reported
from workshape.errors import BackendUnavailable, Invalid
from workshape.settings import Settings

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
    client = _lambda_client(running.endpoint, running.run.settings if running.run is not None else Settings())
    try:
        answer = client.invoke(FunctionName=function, Payload=read_payload(payload), LogType="Tail" if log else "None")
        body = answer["Payload"].read()
    except ClientError as error:
        raise Invalid(reason=error.response["Error"].get("Message") or str(error)) from error
    except BotoCoreError as error:
        raise BackendUnavailable(backend="workshape", address=running.endpoint, reason=str(error)) from error
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


def _lambda_client(endpoint: str, settings: Settings) -> Any:
    session = botocore.session.Session()
    config = Config(read_timeout=INVOKE_S_MAX, retries={"total_max_attempts": 1})
    return session.create_client(
        "lambda",
        endpoint_url=endpoint,
        region_name=settings.region,
        aws_access_key_id=settings.endpoint.access_key,
        aws_secret_access_key=settings.endpoint.secret_key,
        config=config,
    )
