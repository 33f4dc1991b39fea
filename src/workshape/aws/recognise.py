"""Which service a request is for. A core.

Signed requests say it in their credential scope. For the others: the target of JSON requests, the host, the path.
What nothing tells is taken for S3: no other service answers unsigned requests at any path.
"""

from collections.abc import Mapping, Sequence

from workshape.aws.protocol.codec import Codec
from workshape.aws.protocol.errors import UnknownOperation
from workshape.http1.message import Request
from workshape.sigv4 import Credential

STORAGE = "s3"
_HOST_SUFFIXES = (".amazonaws.com", ".amazonaws.com.cn")


def recognise(
    request: Request, credential: Credential | None, prefixes: Mapping[str, str], ours: Mapping[str, Sequence[Codec]]
) -> str:
    """Return the service's signing name.

    `prefixes` are the X-Amz-Target prefixes of our services; `ours` their codecs by signing name.
    """
    if credential is not None:
        return credential.service
    target = request.header("x-amz-target")
    if target:
        prefix = target.rpartition(".")[0]
        return prefixes.get(prefix) or prefix.partition("_")[0].lower()
    host = request.header("host").partition(":")[0]
    if host.endswith(_HOST_SUFFIXES):
        labels = host.split(".")
        return "sqs" if "queue" in labels[:2] else labels[0]
    for name, codecs in ours.items():
        if any(codec.accepts(request) and knows(codec, request) for codec in codecs):
            return name
    return STORAGE


def knows(codec: Codec, request: Request) -> bool:
    """Tell whether a service has the operation that a request names."""
    try:
        codec.route(request)
    except UnknownOperation:
        return False
    return True
