"""The twin of events.py with the common bug, kept to be caught.

A duplicate's ConditionalCheckFailedException is reported like any failure, so work that is done comes back
again and again until it is dead-lettered.
"""

from store_event import parse_event, put_once


def handler(batch, context):
    """Answer with the ids of the records whose write did not succeed, whatever the reason."""
    failures = []
    for record in batch["Records"]:
        try:
            put_once(parse_event(record["body"]))
        except Exception:
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}
