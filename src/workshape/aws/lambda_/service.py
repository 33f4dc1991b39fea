"""Lambda as the front door finds it.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html
"""

from workshape.aws.lambda_.aliases import alias_operations
from workshape.aws.lambda_.code_source import FetchObject
from workshape.aws.lambda_.concurrency import concurrency_operations
from workshape.aws.lambda_.destinations import AcceptDestination
from workshape.aws.lambda_.errors import ERRORS
from workshape.aws.lambda_.event_invoke import event_invoke_operations
from workshape.aws.lambda_.function_urls import function_url_operations
from workshape.aws.lambda_.functions import function_operations
from workshape.aws.lambda_.invoke import invoke_operations
from workshape.aws.lambda_.invoke_streaming import streaming_operations
from workshape.aws.lambda_.layers import layer_operations
from workshape.aws.lambda_.mappings import mapping_operations
from workshape.aws.lambda_.permissions import permission_operations
from workshape.aws.lambda_.provisioned import provisioned_operations
from workshape.aws.lambda_.recursion import recursion_operations
from workshape.aws.lambda_.runtime_management import runtime_management_operations
from workshape.aws.lambda_.tags import tag_operations
from workshape.aws.lambda_.versions import version_operations
from workshape.aws.operation import Service
from workshape.functions.async_queue import AsyncQueue
from workshape.functions.catalog import Catalog
from workshape.functions.function_invoker import InvokeLater, InvokeStreaming
from workshape.functions.images.deployments import Deployments
from workshape.functions.loop_guard import LoopGuard
from workshape.functions.provisioned_configs import ProvisionedConfigs
from workshape.triggers.supervisor import MappingSupervisor


def lambda_service(
    catalog: Catalog,
    invoke: InvokeLater,
    mappings: MappingSupervisor | None,
    *,
    stream: InvokeStreaming,
    events: AsyncQueue,
    fetch_object: FetchObject,
    provisioned: ProvisionedConfigs,
    images: Deployments,
    accept_destination: AcceptDestination,
    loops: LoopGuard,
) -> Service:
    """Offer the catalogue's functions, and the event source mappings that feed them (None: without), as Lambda."""
    return Service(
        "lambda",
        {
            **function_operations(catalog, fetch_object, images, accept_destination),
            **version_operations(catalog),
            **alias_operations(catalog),
            **invoke_operations(catalog, invoke, events, loops),
            **streaming_operations(catalog, stream, loops),
            **layer_operations(catalog, fetch_object),
            **concurrency_operations(catalog, provisioned),
            **permission_operations(catalog),
            **event_invoke_operations(catalog, accept_destination),
            **function_url_operations(catalog),
            **recursion_operations(catalog),
            **runtime_management_operations(catalog),
            **provisioned_operations(catalog, provisioned),
            **tag_operations(catalog, mappings),
            **(mapping_operations(mappings) if mappings is not None else {}),
        },
        ERRORS,
    )
