"""`workshape throttle`: let fewer invocations of a function run at once, or none, or as many as the account allows."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from workshape.cli.admin import ANSWER_S_MAX, EndpointOption, FolderOption, find_running
from workshape.cli.errors import reported
from workshape.cli.lambda_client import lambda_client
from workshape.errors import Invalid
from workshape.status import Throttling


@reported
def throttle(
    function: Annotated[str, typer.Argument(help="Name or ARN.")],
    count: Annotated[
        int | None, typer.Argument(metavar="[N]", min=0, help="Invocations that may run at once; 0: none.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Take the limit away again.")] = False,
    folder: FolderOption = Path(),
    endpoint: EndpointOption = None,
) -> None:
    """Set a function's reserved concurrency, which holds from the next invocation on."""
    if (count is None) != off:
        raise Invalid(reason=f"give a number, or --off to take the limit away: workshape throttle {function} 5")
    with lambda_client(find_running(folder, endpoint), ANSWER_S_MAX) as client:
        before = client.get_function_concurrency(FunctionName=function).get("ReservedConcurrentExecutions")
        if count is None:
            client.delete_function_concurrency(FunctionName=function)
        else:
            client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=count)
    sys.stdout.write(f"{Throttling(function, before, count).told()}\n")
