"""The codecs of one service, and how its requests are recognised when nobody signed them."""

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.model import ServiceModel

from workshape.aws.protocol.codec import Codec
from workshape.aws.protocol.json_rpc import JsonRpcCodec
from workshape.aws.protocol.query import QueryCodec
from workshape.aws.protocol.rest_json import RestJsonCodec
from workshape.aws.protocol.rpc_v2_cbor import CborCodec


def compile_codecs(name: str, description: Mapping[str, Any]) -> Sequence[Codec]:
    """Compile a service model (botocore's `service-2.json`); the last codec answers what none accepts.

    An awsQueryCompatible service speaks the query protocol too, as its older clients do; which protocol a client
    chooses is its own affair, so a service with several is answered in all of them.
    """
    model = ServiceModel(description, name)
    match model.metadata["protocol"]:
        case "rest-json":
            return (RestJsonCodec(model),)
        case "json" if "awsQueryCompatible" in model.metadata:
            return (QueryCodec(model), JsonRpcCodec(model))
        case "json":
            return (JsonRpcCodec(model),)
        case "query":
            return (QueryCodec(model),)
        case "smithy-rpc-v2-cbor" if {"json", "query"} <= set(model.metadata["protocols"]):
            return (QueryCodec(model), JsonRpcCodec(model), CborCodec(model))
        case protocol:
            raise NotImplementedError(f"no service of ours speaks {protocol}: {name}")
