"""The running workshape's Lambda, as any AWS client sees it; its refusals as errors of ours."""

import contextlib
from collections.abc import Iterator
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from workshape.cli.admin import Running
from workshape.errors import BackendUnavailable, Invalid
from workshape.settings import Settings


@contextlib.contextmanager
def lambda_client(running: Running, answer_s_max: float) -> Iterator[Any]:
    """Make a client, to be used inside the context.

    Raises:
        Invalid: what was asked is refused; the message is AWS's. BackendUnavailable: nobody answers.
    """
    settings = running.run.settings if running.run is not None else Settings()
    client = botocore.session.Session().create_client(
        "lambda",
        endpoint_url=running.endpoint,
        region_name=settings.region,
        aws_access_key_id=settings.endpoint.access_key,
        aws_secret_access_key=settings.endpoint.secret_key,
        config=Config(read_timeout=answer_s_max, retries={"total_max_attempts": 1}),
    )
    try:
        yield client
    except ClientError as error:
        raise Invalid(reason=error.response["Error"].get("Message") or str(error)) from error
    except BotoCoreError as error:
        raise BackendUnavailable(backend="workshape", address=running.endpoint, reason=str(error)) from error
