"""Whom a request is for: signed, or only hinted at."""

from collections.abc import Sequence
from functools import cache

import pytest
from botocore.loaders import Loader

from workshape.aws.protocol.codec import Codec
from workshape.aws.protocol.compiled import compile_codecs
from workshape.aws.recognise import recognise
from workshape.http1.message import Request
from workshape.sigv4 import find_credential

FORM = ("content-type", "application/x-www-form-urlencoded")
PREFIXES = {"AmazonSQS": "sqs", "GraniteServiceVersion20100801": "monitoring", "Logs_20140328": "logs"}
CBOR_PATH = "/service/GraniteServiceVersion20100801/operation"


@cache
def ours() -> dict[str, Sequence[Codec]]:
    names = {"lambda": "lambda", "sqs": "sqs", "monitoring": "cloudwatch", "logs": "logs"}
    return {
        signed: compile_codecs(name, Loader().load_service_model(name, "service-2")) for signed, name in names.items()
    }


def scope(service: str) -> tuple[str, str]:
    credential = f"AWS4-HMAC-SHA256 Credential=AK/20261124/us-east-1/{service}/aws4_request, SignedHeaders=host"
    return ("authorization", credential)


@pytest.mark.parametrize(
    ("request_", "service"),
    [
        (Request("GET", "/2015-03-31/functions", (scope("s3"),)), "s3"),
        (Request("POST", "/", (scope("dynamodb"), ("x-amz-target", "AmazonSQS.SendMessage"))), "dynamodb"),
        (Request("GET", "/b/k?X-Amz-Credential=AK%2F20261124%2Feu-west-1%2Fs3%2Faws4_request"), "s3"),
        (Request("POST", "/", (("x-amz-target", "AmazonSQS.SendMessage"),)), "sqs"),
        (Request("POST", "/", (("x-amz-target", "DynamoDB_20120810.PutItem"),)), "dynamodb"),
        (Request("POST", "/", (("host", "sqs.eu-west-1.amazonaws.com"),)), "sqs"),
        (Request("POST", "/", (("host", "eu-west-1.queue.amazonaws.com:443"),)), "sqs"),
        (Request("POST", "/", (("host", "lambda.us-east-1.amazonaws.com"),)), "lambda"),
        (Request("POST", "/2015-03-31/functions/f/invocations"), "lambda"),
        (Request("POST", "/123456789012/q", (FORM,), b"Action=SendMessage&MessageBody=x"), "sqs"),
        (Request("GET", "/?Action=ListQueues"), "sqs"),
        (Request("POST", "/", (FORM,), b"Action=ListMetrics&Version=2010-08-01"), "monitoring"),
        (Request("POST", f"{CBOR_PATH}/ListMetrics", (("smithy-protocol", "rpc-v2-cbor"),)), "monitoring"),
        (Request("POST", "/", (("x-amz-target", "GraniteServiceVersion20100801.ListMetrics"),)), "monitoring"),
        (Request("POST", "/", (("x-amz-target", "Logs_20140328.FilterLogEvents"),)), "logs"),
        (Request("POST", "/", (FORM,), b"Action=GetCallerIdentity&Version=2011-06-15"), "s3"),
        (Request("GET", "/bucket/key?AWSAccessKeyId=AK&Signature=x&Expires=1"), "s3"),
        (Request("GET", "/"), "s3"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.method} {value.target[:40]}",
)
def test_a_request_names_its_service(request_: Request, service: str) -> None:
    assert recognise(request_, find_credential(request_), PREFIXES, ours()) == service
