"""Functions made over a client, and what a client is refused."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::123456789012:role/r"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:f"
Archive = Callable[..., bytes]


def create(client: Any, code: bytes, name: str = "f", **more: Any) -> Any:
    """Make a function of a zip archive."""
    return client.create_function(
        FunctionName=name, Runtime="python3.12", Role=ROLE, Handler="app.handler", Code={"ZipFile": code}, **more
    )


def refusal(call: Callable[[], Any]) -> tuple[str, int, str]:
    """Return the error a call ends with: its code, HTTP status and message."""
    with pytest.raises(ClientError) as refused:
        call()
    response = refused.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]
