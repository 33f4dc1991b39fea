"""What an app is applied to: the engine's parts, the way `app/apply.py` needs them."""

import secrets
from typing import get_args

from msgspec.structs import replace

from workshape.app import model as app_model
from workshape.app.apply import Catalogues, MappingCatalogue
from workshape.app.catalogue import function_catalogue
from workshape.app.delivery_apply import DeliveryCatalogue
from workshape.app.event_apply import EventCatalogue
from workshape.app.plan import PresentMapping
from workshape.app.storage import Storage
from workshape.arn import function_arn, queue_arn
from workshape.buckets.notification import Cause, NotificationConfiguration
from workshape.engine.app_kafka import kafka_catalogue
from workshape.engine.delivery_parts import DeliveryParts
from workshape.engine.event_parts import EventParts
from workshape.engine.function_parts import FunctionParts
from workshape.engine.ground import Ground
from workshape.engine.source_parts import SourceParts
from workshape.functions.event_invoke import EventInvokeConfig
from workshape.functions.model import LATEST
from workshape.triggers.model import EventSourceMapping, Pollers
from workshape.triggers.supervisor import MappingSupervisor


def catalogues(
    ground: Ground, functions: FunctionParts, sources: SourceParts, deliveries: DeliveryParts, events: EventParts
) -> Catalogues:
    """Offer the engine's parts to an app."""
    run, settings = ground.run, ground.settings
    return Catalogues(
        functions=function_catalogue(
            functions.catalog,
            functions.images,
            run.builds,
            lambda function: {**run.kafka_variables(), **run.database_variables(function.database, function.name)},
        ),
        mappings=_mapping_catalogue(sources.mappings, settings.region, settings.account),
        deliveries=_delivery_catalogue(ground, functions, deliveries),
        events=EventCatalogue(events.buses, events.schedules, ground.documents),
        kafka=kafka_catalogue(ground, sources.mappings),
        broker=sources.broker,
        storage=Storage(run.upstream, settings.region),
        store=ground.documents,
        region=settings.region,
        account=settings.account,
    )


def _delivery_catalogue(ground: Ground, functions: FunctionParts, deliveries: DeliveryParts) -> DeliveryCatalogue:
    """Offer what sends the way `app/delivery_apply.py` needs it."""
    settings, configs = ground.settings, functions.catalog.event_invoke_configs

    async def notify(bucket: str, configuration: NotificationConfiguration) -> None:
        # The app's own request; nobody asked over the network.
        cause = Cause("127.0.0.1", secrets.token_hex(8).upper(), secrets.token_urlsafe(56), ground.clock.wall_s())
        await deliveries.notifier.configure(bucket, configuration, cause)

    def configure_events(function: str, config: EventInvokeConfig | None) -> None:
        if config is None:
            configs.delete(function, LATEST)
        else:
            configs.put(function, LATEST, replace(config, modified_at=ground.clock.wall_s()))

    return DeliveryCatalogue(
        topics=deliveries.topics,
        notifications=deliveries.notifier.configuration,
        notify=notify,
        event_config=lambda function: configs.get(function, LATEST),
        configure_events=configure_events,
        store=ground.documents,
        region=settings.region,
        account=settings.account,
    )


def _mapping_catalogue(mappings: MappingSupervisor, region: str, account: str) -> MappingCatalogue:
    """Offer the event source mappings the way `app/apply.py` needs them."""

    def described(mapping_id: str, mapping: app_model.Mapping) -> EventSourceMapping:
        return EventSourceMapping(
            id=mapping_id,
            queue_arn=queue_arn(region, account, mapping.queue),
            function=mapping.function,
            function_arn=function_arn(region, account, mapping.function),
            batch_size=mapping.batch_size,
            batch_window_s=mapping.batch_window_s,
            report_batch_item_failures=mapping.report_batch_item_failures,
            concurrency_max=mapping.concurrency_max,
            filters=mapping.filters,
            pollers=_pollers(mapping),
            metrics=mapping.metrics,
        )

    def present() -> list[PresentMapping]:
        queues = [view.mapping for view in mappings.list() if view.mapping.kafka is None]
        return [_present_mapping(mapping) for mapping in queues if mapping.qualifier is None]

    async def create(mapping: app_model.Mapping) -> None:
        mappings.create(described("", mapping))

    async def update(mapping_id: str, mapping: app_model.Mapping) -> None:
        mappings.update(described(mapping_id, mapping))

    async def delete(mapping_id: str) -> None:
        mappings.delete(mapping_id)

    return MappingCatalogue(present, create, update, delete)


def _present_mapping(mapping: EventSourceMapping) -> PresentMapping:
    described = app_model.Mapping(
        queue=mapping.queue,
        function=mapping.function,
        batch_size=mapping.batch_size,
        batch_window_s=mapping.batch_window_s or 0,
        report_batch_item_failures=mapping.report_batch_item_failures,
        concurrency_max=mapping.concurrency_max,
        filters=mapping.filters,
        pollers_min=mapping.pollers.least if mapping.pollers is not None else None,
        pollers_max=mapping.pollers.most if mapping.pollers is not None else None,
        metrics=tuple(group for group in get_args(app_model.MetricGroup) if group in mapping.metrics),
    )
    return PresentMapping(mapping.id, described)


def _pollers(mapping: app_model.Mapping) -> Pollers | None:
    if mapping.pollers_min is None or mapping.pollers_max is None:
        return None
    return Pollers(mapping.pollers_min, mapping.pollers_max)
