"""moto's server in a process of its own: the AWS services that are not ours, in memory.

Source: https://docs.getmoto.org/en/latest/docs/server_mode.html
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from workshape.errors import PlatformError
from workshape.parts.process import Program, Server, answers

READY_S_MAX = 60.0  # it imports every service on its first call
IN_MEMORY = "moto keeps everything in memory: what is there is gone when it ends"


class MotoMissing(PlatformError):
    """AWS services other than Lambda and SQS are not answered: moto is not installed
    (pip install 'workshape[services]', or set [platform] upstream.default to an address).
    """


def moto_server(*, host: str, port: int, account: str, folder: Path, log_file: Path) -> Server:
    """Make the part.

    Raises:
        MotoMissing: the extra is not installed.
    """
    if find_spec("moto") is None or find_spec("flask") is None:
        raise MotoMissing
    program = Program(
        name="moto",
        arguments=[sys.executable, "-m", "workshape.parts.moto_program", host, str(port)],
        folder=folder,
        log_file=log_file,
        # Its own calls between services need credentials that are never checked.
        environment={
            "MOTO_ACCOUNT_ID": account,
            "AWS_ACCESS_KEY_ID": "moto",
            "AWS_SECRET_ACCESS_KEY": "moto",
            "PYTHONWARNINGS": "ignore",
        },
    )
    return Server(program, lambda: answers(host, port, "/moto-api/"), READY_S_MAX)
