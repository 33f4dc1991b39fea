"""Tables and buckets, made over the AWS API wherever that is answered: DynamoDB Local, moto, or a real endpoint."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from workshape.app.model import Bucket, Table
from workshape.errors import BackendUnavailable, PlatformError

T = TypeVar("T")

CALL_S_MAX = 30  # DynamoDB Local and moto import much on their first call
US_EAST_1 = "us-east-1"


class NobodyAnswers(PlatformError):
    """The app has {what}, and nothing here answers for {service}: pip install 'workshape[services]',
    or set [platform] upstream
    """

    what: str
    service: str


class Storage:
    """DynamoDB and S3, as the app needs them. `upstream`: URLs by service, and `default`."""

    def __init__(self, upstream: Mapping[str, str], region: str) -> None:
        self._upstream = upstream
        self._region = region
        self._session = botocore.session.Session()

    def __repr__(self) -> str:
        return f"<Storage {dict(self._upstream)}>"

    async def tables(self) -> frozenset[str]:
        """Name every table."""

        def names(client: Any) -> frozenset[str]:
            return frozenset(
                name for page in client.get_paginator("list_tables").paginate() for name in page["TableNames"]
            )

        return await self._call("dynamodb", "tables", names)

    async def create_table(self, table: Table) -> None:
        """Create a table, billed by request, and wait until it can be used.

        Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
        """
        keys = [(table.partition_key, "HASH")] + ([(table.sort_key, "RANGE")] if table.sort_key is not None else [])

        def create(client: Any) -> None:
            client.create_table(
                TableName=table.name,
                KeySchema=[{"AttributeName": key.name, "KeyType": role} for key, role in keys],
                AttributeDefinitions=[{"AttributeName": key.name, "AttributeType": key.type} for key, _ in keys],
                BillingMode="PAY_PER_REQUEST",
            )
            client.get_waiter("table_exists").wait(
                TableName=table.name, WaiterConfig={"Delay": 1, "MaxAttempts": CALL_S_MAX}
            )

        await self._call("dynamodb", f"a table {table.name}", create)

    async def buckets(self) -> frozenset[str]:
        """Name every bucket."""
        return await self._call(
            "s3",
            "buckets",
            lambda client: frozenset(str(bucket["Name"]) for bucket in client.list_buckets()["Buckets"]),
        )

    async def create_bucket(self, bucket: Bucket) -> None:
        """Create a bucket in our region.

        Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
        """
        # us-east-1 is the one region that may not be named.
        place = {} if self._region == US_EAST_1 else {"CreateBucketConfiguration": {"LocationConstraint": self._region}}
        await self._call(
            "s3", f"a bucket {bucket.name}", lambda client: client.create_bucket(Bucket=bucket.name, **place)
        )

    async def _call(self, service: str, what: str, use: Callable[[Any], T]) -> T:
        """Use a client in a thread: botocore blocks, and this runs beside the front door."""
        address = self._upstream.get(service) or self._upstream.get("default")
        if address is None:
            raise NobodyAnswers(what=what, service=service)

        def run() -> T:
            return use(self._client(service, address))

        try:
            return await asyncio.to_thread(run)
        except (BotoCoreError, ClientError) as error:
            raise BackendUnavailable(backend=service, address=address, reason=str(error)) from error

    def _client(self, service: str, address: str) -> Any:
        config = Config(
            connect_timeout=CALL_S_MAX,
            read_timeout=CALL_S_MAX,
            retries={"total_max_attempts": 3},
            s3={"addressing_style": "path"},
        )
        return self._session.create_client(
            service,
            endpoint_url=address,
            region_name=self._region,
            aws_access_key_id="workshape",
            aws_secret_access_key="workshape",  # noqa: S106 - no secret: local services do not check it
            config=config,
        )
