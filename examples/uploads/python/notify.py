"""Tells of what was inspected: here, in its log."""

import json


def handler(event, context):
    for record in event["Records"]:
        inspected = json.loads(record["Sns"]["Message"])
        for file in inspected["responsePayload"]["files"]:
            print(f"inspected {file['key']}: {file['size']} bytes")
