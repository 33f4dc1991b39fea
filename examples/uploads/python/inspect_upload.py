"""Looks at what has arrived in the bucket."""

from urllib.parse import unquote_plus


def handler(event, context):
    files = []
    for record in event["Records"]:
        found = record["s3"]["object"]
        key = unquote_plus(found["key"])
        if key.endswith(".exe"):
            raise ValueError(f"{key}: programs are not taken")
        files.append({"key": key, "size": found["size"], "sequencer": found["sequencer"]})
    return {"files": files}
