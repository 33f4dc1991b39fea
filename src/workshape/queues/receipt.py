"""Receipt handles: opaque to callers, self-describing to us.

A handle names the message, which receive of it this was, and which run of the broker made it (so that a receive the
disk never saw is told from the one that takes its place after a crash); a keyed digest makes it unforgeable.
"""

import hashlib
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error

from workshape.queues.model import MessageNumber, Receipt, ReceiptHandleIsInvalid

_BODY = struct.Struct(">QII")
_DIGEST_BYTES = 8


def encode_handle(receipt: Receipt, secret: bytes) -> str:
    """Write a receipt as the handle its receiver gets."""
    body = _BODY.pack(*receipt)
    return urlsafe_b64encode(body + _digest(body, secret)).decode("ascii")


def decode_handle(handle: str, secret: bytes) -> Receipt:
    """Read a handle back.

    Raises:
        ReceiptHandleIsInvalid: this queue never issued it.
    """
    try:
        data = urlsafe_b64decode(handle.encode("ascii"))
    except (Base64Error, ValueError) as error:
        raise ReceiptHandleIsInvalid(handle=handle) from error
    body, digest = data[: _BODY.size], data[_BODY.size :]
    if len(body) != _BODY.size or digest != _digest(body, secret):
        raise ReceiptHandleIsInvalid(handle=handle)
    number, receive_count, epoch = _BODY.unpack(body)
    return Receipt(MessageNumber(number), receive_count, epoch)


def _digest(body: bytes, secret: bytes) -> bytes:
    return hashlib.blake2b(body, key=secret, digest_size=_DIGEST_BYTES).digest()
