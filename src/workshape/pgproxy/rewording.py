"""The server's messages in a client's own words: the process id it was given, its names of prepared statements. A core.

Source: https://www.postgresql.org/docs/current/protocol-message-formats.html (NotificationResponse, ErrorResponse)
"""

import re
import secrets
from collections.abc import Mapping
from typing import Protocol

from workshape.pgproxy import messages
from workshape.pgproxy.messages import HEAD_BYTES, KIB

ERROR_BYTES_MAX = 8 * KIB  # a longer error is passed on as it comes: it is not about a prepared statement's name
PROCESS_ID_BYTES = 4
NOTIFIER_END = HEAD_BYTES + PROCESS_ID_BYTES  # a NotificationResponse begins with who notified
NAME_PREFIX = f"workshape_{secrets.token_hex(8)}_".encode()  # not to be guessed: a client could use another's
REWORDED = frozenset({messages.ERROR_RESPONSE, messages.NOTIFICATION_RESPONSE})

NO_SUCH_STATEMENT = f"workshape_unnamed_{secrets.token_hex(8)}".encode()
"""What is bound on a connection instead of an unnamed statement that its client does not have."""

_NAME = re.compile(re.escape(NAME_PREFIX) + rb"\d+")
_NO_UNNAMED = b'prepared statement "' + NO_SUCH_STATEMENT + b'" does not exist'


class Serving(Protocol):
    """A connection to the server."""

    served: bytes
    """What its last holder was given for cancel requests; begins with a process id. Empty: it had none yet."""


def reworded(
    data: bytes, position: int, end: int, backends: Mapping[bytes, Serving], named: bytes | None
) -> bytes | None:
    """Give the message there, as far as it is here, in the words of the client whose connection it is; None as it is.

    `backends` are the connections to the server by their process ids. `named` is what the client calls the statement
    that an error is about; None: as the server calls it.
    """
    kind = data[position]
    if kind not in REWORDED:
        return None
    message = data[position:end]
    if kind == messages.NOTIFICATION_RESPONSE:
        notifier = backends.get(message[HEAD_BYTES:NOTIFIER_END])
        if notifier is None or not notifier.served:
            return None
        return message[:HEAD_BYTES] + notifier.served[:PROCESS_ID_BYTES] + message[NOTIFIER_END:]
    if named is None or len(message) > ERROR_BYTES_MAX:
        return None
    words = message[HEAD_BYTES:]
    if not named:
        words = words.replace(_NO_UNNAMED, b"unnamed prepared statement does not exist")
        return messages.message(kind, words.replace(NO_SUCH_STATEMENT, b""))  # where it speaks another language
    return messages.message(kind, _NAME.sub(lambda _: named, words))
