"""Storing a platform event once, in DynamoDB."""

import json
import os

import boto3
from botocore.exceptions import ClientError

dynamodb = boto3.client("dynamodb")


def parse_event(body: str) -> dict[str, str]:
    """Read an event from a message's body; ValueError for what is not one."""
    event = json.loads(body)
    if not isinstance(event, dict) or not all(event.get(key) for key in ("id", "type", "creator", "at")):
        raise ValueError("not an event: id, type, creator and at are needed")
    return event


def put_once(event: dict[str, str]) -> None:
    """Write the event unless it is there already; ClientError if it is (see `is_duplicate`)."""
    dynamodb.put_item(
        TableName=os.environ["TABLE"],
        Item={
            "pk": {"S": f"EVENT#{event['id']}"},
            "type": {"S": event["type"]},
            "creator": {"S": event["creator"]},
            "at": {"S": event["at"]},
        },
        ConditionExpression="attribute_not_exists(pk)",
    )


def is_duplicate(error: Exception) -> bool:
    """Tell whether a failed `put_once` means that the event is stored already."""
    return isinstance(error, ClientError) and error.response["Error"]["Code"] == "ConditionalCheckFailedException"
