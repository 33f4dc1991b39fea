"""Universal targets: a schedule calls any operation of any AWS service, through our own front door.

The calls block, and so run in threads of their own.

Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
"""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from workshape.delivery import Delivered, DeliveryOutcome, Undelivered
from workshape.events.scheduler.model import UNIVERSAL_PREFIX, InvalidTarget

CALLS_MAX = 16  # at a time; what is beyond waits its turn
ANSWER_S_MAX = 60.0
_READ_ONLY = (
    "get",
    "describe",
    "list",
    "poll",
    "receive",
    "search",
    "scan",
    "query",
    "select",
    "read",
    "lookup",
    "discover",
    "validate",
    "batchGet",
    "batchDescribe",
    "batchRead",
    "transactGet",
    "adminGet",
    "adminList",
    "testMigration",
    "retrieve",
    "testConnection",
    "translateDocument",
    "isAuthorized",
    "invokeModel",
)
"""What AWS does not call: reading is of no use when nobody gets the answer."""
_NAMES = {"sfn": "stepfunctions", "eventbridge": "events", "cloudwatchlogs": "logs", "cloudwatchevents": "events"}
"""Services whose name in an ARN is not botocore's."""
_THROTTLED = frozenset(
    {"Throttling", "ThrottlingException", "RequestThrottled", "ProvisionedThroughputExceededException"}
)


class UniversalTargets:
    """Calls operations at an endpoint. `close` it."""

    def __init__(self, endpoint: str, *, region: str, access_key: str, secret_key: str) -> None:
        """Connects to nobody yet."""
        self._session = Session()
        self._session.set_credentials(access_key, secret_key)
        self._endpoint = endpoint
        self._region = region
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()  # botocore makes clients one at a time
        self._threads = ThreadPoolExecutor(CALLS_MAX, thread_name_prefix="universal-target")

    def __repr__(self) -> str:
        return f"<UniversalTargets {self._endpoint} clients={len(self._clients)}>"

    def close(self) -> None:
        """Begin no more calls."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def check(self, arn: str, text: str | None) -> None:
        """Check a universal target and its input.

        Raises:
            InvalidTarget: there is no such operation, or EventBridge Scheduler does not call it.
        """
        _parameters(text)
        await asyncio.get_running_loop().run_in_executor(self._threads, self._operation, arn)

    async def call(self, arn: str, text: str) -> DeliveryOutcome:
        """Call the operation that an ARN names with an input; answers, and does not raise."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._call, arn, text)

    def _call(self, arn: str, text: str) -> DeliveryOutcome:
        try:
            client, method = self._operation(arn)
            getattr(client, method)(**_parameters(text))
        except InvalidTarget as error:
            return Undelivered("ValidationException", str(error), retryable=False)
        except ClientError as error:
            return _refused(error)
        except BotoCoreError as error:  # a parameter that is none, or nobody answers
            is_connection = "Connect" in type(error).__name__ or "Timeout" in type(error).__name__
            status = 500 if is_connection else 400
            return Undelivered(type(error).__name__, str(error), retryable=is_connection, status=status)
        return Delivered()

    def _operation(self, arn: str) -> tuple[Any, str]:
        service, _, action = arn.removeprefix(UNIVERSAL_PREFIX).partition(":")
        if action.startswith(_READ_ONLY):
            raise InvalidTarget(reason=f"{action} only reads, and universal targets do not.")
        client = self._client(service)
        for method, operation in client.meta.method_to_api_mapping.items():
            if action and operation[:1].lower() + operation[1:] == action:
                return client, method
        raise InvalidTarget(reason=f"{service} has no operation {action!r}; write it as sendMessage is written.")

    def _client(self, service: str) -> Any:
        name = _NAMES.get(service, service)
        with self._making:
            if name not in self._clients:
                if name not in self._session.get_available_services():
                    raise InvalidTarget(reason=f"there is no service {service!r}.")
                config = Config(retries={"max_attempts": 0}, read_timeout=ANSWER_S_MAX, s3={"addressing_style": "path"})
                self._clients[name] = self._session.create_client(
                    name, region_name=self._region, endpoint_url=self._endpoint, config=config
                )
            return self._clients[name]


def _parameters(text: str | None) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidTarget(reason=f"Input of a universal target is a JSON object: {error}") from error


def _refused(error: ClientError) -> Undelivered:
    answer = error.response
    code, message = str(answer["Error"]["Code"]), str(answer["Error"].get("Message", ""))
    status = int(answer["ResponseMetadata"]["HTTPStatusCode"])
    return Undelivered(
        code, message, retryable=status in (429, 500, 502, 503, 504) or code in _THROTTLED, status=status
    )
