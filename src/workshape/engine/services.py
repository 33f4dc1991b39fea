"""The AWS services that are ours, or partly, as the front door finds them."""

from workshape.aws.apigateway.service import rest_api_service
from workshape.aws.apigatewayv2.service import http_api_service
from workshape.aws.application_autoscaling.service import autoscaling_service
from workshape.aws.cloudwatch.service import cloudwatch_service
from workshape.aws.events.service import events_service
from workshape.aws.lambda_.code_source import fetch_from
from workshape.aws.lambda_.destinations import accept_with
from workshape.aws.lambda_.service import lambda_service
from workshape.aws.logs.service import logs_service
from workshape.aws.operation import Service
from workshape.aws.rds.service import rds_service
from workshape.aws.scheduler.service import scheduler_service
from workshape.aws.secretsmanager.service import secrets_service
from workshape.aws.sns.service import sns_service
from workshape.aws.sqs.service import sqs_service
from workshape.engine.delivery_parts import DeliveryParts
from workshape.engine.event_parts import EventParts
from workshape.engine.function_parts import FunctionParts
from workshape.engine.ground import Ground
from workshape.engine.http_parts import HttpParts
from workshape.engine.proxy_parts import ProxyParts
from workshape.engine.secret_parts import SecretParts
from workshape.engine.source_parts import SourceParts


def services(
    ground: Ground,
    functions: FunctionParts,
    sources: SourceParts,
    deliveries: DeliveryParts,
    events: EventParts,
    http: HttpParts,
    proxies: ProxyParts | None,
    secrets: SecretParts,
) -> list[Service]:
    """Offer the engine's parts as AWS services."""
    return [
        *([] if proxies is None else [rds_service(proxies.proxies)]),
        lambda_service(
            functions.catalog,
            functions.invoke.invoke,
            sources.mappings,
            stream=functions.invoke.stream,
            events=functions.events,
            fetch_object=fetch_from(ground.upstream, ground.settings),
            provisioned=functions.provisioned,
            images=functions.images,
            accept_destination=accept_with(deliveries.destinations),
            loops=functions.loops,
        ),
        sqs_service(sources.broker),
        sns_service(deliveries.topics),
        cloudwatch_service(ground.metrics, ground.clock),
        logs_service(functions.log_groups()),
        autoscaling_service(functions.autoscaler, ground.clock),
        events_service(
            events.buses,
            events.bridge,
            events.archives,
            events.replays,
            events.connections,
            events.api_destinations,
            events.read_rule_target,
        ),
        scheduler_service(events.schedules, events.read_target, events.universal.check),
        rest_api_service(http.rest_apis, http.plans, http.authorizers.forget),
        http_api_service(http.http_apis, http.authorizers.forget),
        secrets_service(secrets.secrets, secrets.rotator, ground.clock),
    ]
