"""The engine's status, gathered from its own objects: what `workshape status` and the console show."""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from workshape.clock import Clock
from workshape.functions.catalog import Catalog
from workshape.functions.function import Function
from workshape.functions.invoker import Invoker
from workshape.functions.recent import RecentInvocations
from workshape.queues.broker import Broker
from workshape.queues.model import QueueName
from workshape.status import (
    DatabaseStatus,
    EngineStatus,
    EnvironmentStatus,
    FunctionStatus,
    HostedProxyStatus,
    MappingStatus,
    QueueStatus,
    RouteStatus,
    RuleStatus,
    ScheduleStatus,
    TopicStatus,
)
from workshape.topics.registry import Topics
from workshape.triggers.outbox import Outbox
from workshape.triggers.redelivery import SenderKind
from workshape.triggers.supervisor import MappingSupervisor


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Where everything is looked up. Call `now`."""

    app: str | None
    clock: Clock
    catalog: Catalog
    invoker: Invoker
    why_no_sandbox: Callable[[], Awaitable[str]]
    recent: RecentInvocations
    broker: Broker
    mappings: MappingSupervisor
    topics: Topics
    outbox: Outbox
    routes: Callable[[], Sequence[RouteStatus]]
    rules: Callable[[], Sequence[RuleStatus]]
    schedules: Callable[[], tuple[Sequence[ScheduleStatus], int]]
    """The soonest, and how many there are."""
    database: Callable[[], Awaitable[DatabaseStatus]] | None
    """None: the app has none."""
    proxies: Callable[[], Sequence[HostedProxyStatus]]

    async def now(self) -> EngineStatus:
        """Gather everything as it is now."""
        database = None if self.database is None else await self.database()
        schedules, schedules_total = self.schedules()
        waiting = Counter(sender.kind for sender in self.outbox.senders())
        return EngineStatus(
            app=self.app,
            account_concurrency=self.catalog.account_concurrency,
            concurrency=self.invoker.concurrency.total,
            database=database,
            topics=self._topics(),
            deliveries_pending={kind.value: count for kind, count in sorted(waiting.items())},
            functions=self._functions(),
            why_no_sandbox=await self.why_no_sandbox(),
            queues=tuple(self._queue(name) for name in self.broker.list_queues()),
            mappings=tuple(
                MappingStatus(
                    view.mapping.id,
                    view.mapping.source,
                    view.mapping.function,
                    view.state,
                    view.mapping.batch_size,
                    view.last_processing_result,
                )
                for view in self.mappings.list()
            ),
            routes=tuple(self.routes()),
            rules=tuple(self.rules()),
            schedules=tuple(schedules),
            schedules_total=schedules_total,
            proxies=tuple(self.proxies()),
        )

    def _functions(self) -> tuple[FunctionStatus, ...]:
        environments = defaultdict(list)
        for view in self.invoker.environments():
            environments[view.function].append(
                EnvironmentStatus(
                    view.id, view.version, view.state, view.invocations, view.started_at, view.provisioned
                )
            )
        shared = self.catalog.account_concurrency - self.catalog.reserved_total()
        return tuple(
            self._function(function, tuple(environments[function.name]), shared) for function in self.catalog.list()
        )

    def _function(
        self, function: Function, environments: tuple[EnvironmentStatus, ...], shared_limit: int
    ) -> FunctionStatus:
        reserved = function.reserved_concurrency
        return FunctionStatus(
            name=function.name,
            runtime=function.configuration.runtime,
            memory_mb=function.configuration.memory_mb,
            timeout_s=function.configuration.timeout_s,
            reserved_concurrency=reserved,
            environments=environments,
            concurrency=self.invoker.concurrency.of(function.name),
            limit=shared_limit if reserved is None else reserved,
            last_minute=self.recent.last_minute(function.name, self.clock.wall_s()),
        )

    def _queue(self, name: QueueName) -> QueueStatus:
        depth = self.broker.depth(name)
        sources = tuple(self.broker.dead_letter_sources(name))
        return QueueStatus(
            name, depth.visible, depth.in_flight, depth.delayed, depth.oldest_s(self.clock.wall_s()), sources
        )

    def _topics(self) -> tuple[TopicStatus, ...]:
        """Of a subscription's ARN, `arn:aws:sns:REGION:ACCOUNT:TOPIC:ID`, all but the last part is its topic's."""
        waiting = Counter(
            sender.name.rpartition(":")[0]
            for sender in self.outbox.senders()
            if sender.kind in (SenderKind.SUBSCRIPTION, SenderKind.SUBSCRIPTION_DEAD_LETTER)
        )
        return tuple(
            TopicStatus(topic.name, len(self.topics.subscriptions(topic.arn)), waiting[topic.arn])
            for topic in self.topics.all()
        )
