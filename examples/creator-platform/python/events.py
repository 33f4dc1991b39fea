"""Stores each event of an SQS batch once.

All records are settled before the answer, so one bad record costs the others nothing, and only real failures
are reported. A duplicate is not one: its work is done.
"""

from store_event import is_duplicate, parse_event, put_once


def handler(batch, context):
    """Answer with the ids of the records that could not be stored."""
    failures = []
    for record in batch["Records"]:
        try:
            put_once(parse_event(record["body"]))
        except Exception as error:
            if not is_duplicate(error):
                print("event not stored", record["messageId"], error)
                failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}
