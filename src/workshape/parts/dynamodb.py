"""DynamoDB Local: AWS's own, with its tables in a file.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DynamoDBLocal.UsageNotes.html
"""

import os
from pathlib import Path

from workshape.parts.jars import find_java, resolve_jars
from workshape.parts.process import Program, Server, accepts

COORDINATE = "com.amazonaws:DynamoDBLocal:2.6.1"
MAIN_CLASS = "com.amazonaws.services.dynamodbv2.local.main.ServerRunner"
JAVA_VERSION_MIN = 17
EXTRA = "dynamodb"
READY_S_MAX = 60.0


async def dynamodb_local(*, host: str, port: int, data_folder: Path, log_file: Path) -> Server:
    """Make the part, its tables in `data_folder` (which exists).

    Fetches Java's programs when they are not there yet, once a machine.

    Raises:
        JavaUnavailable: Java or the jars cannot be had; says why.
    """
    java = await find_java(JAVA_VERSION_MIN, EXTRA)
    jars = await resolve_jars(COORDINATE, EXTRA)
    program = Program(
        name="dynamodb",
        arguments=[
            str(java),
            *("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xms32m", "-Xmx256m"),
            f"-Djava.library.path={jars.native_folder}",
            *("-cp", os.pathsep.join(str(jar) for jar in jars.class_path), MAIN_CLASS),
            *("-port", str(port), "-dbPath", str(data_folder), "-sharedDb", "-disableTelemetry"),
        ],
        folder=data_folder,
        log_file=log_file,
        environment={"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"},
    )
    return Server(program, lambda: accepts(host, port), READY_S_MAX)
