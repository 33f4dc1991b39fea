"""Why there will be no runtime: told to the Runtime API, as a runtime tells it that its init phase has failed.

Standard library only, Python 3.10: the processes that fork environments load this file.
"""

import json
import os
import socket
from typing import NoReturn

ANSWER_S_MAX = 5.0  # of the Runtime API, which is a process of this machine


def fail_init(descriptor: int, variables: "dict[str, str]", kind: str, message: str) -> NoReturn:
    """Tell the Runtime API why there will be no runtime, and end.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-initerror
    """
    os.close(descriptor)  # only once the spawner has answered does the Runtime API know whom to let in
    host, _, port = variables["AWS_LAMBDA_RUNTIME_API"].rpartition(":")
    body = json.dumps({"errorType": kind, "errorMessage": f"Error: {message}"}).encode()
    head = (
        f"POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        f"Lambda-Runtime-Function-Error-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.socket() as connection:  # not create_connection: it would import what is outside of the root now
        connection.settimeout(ANSWER_S_MAX)
        connection.connect((host, int(port)))
        connection.sendall(head.encode() + body)
        while connection.recv(4_096):
            pass  # until it has been heard
    os._exit(1)


def words(error: OSError) -> str:
    """Say an error as Lambda does."""
    return (error.strerror or str(error)).lower()
