"""The proxies there are, and what the proxy process says of them. A change is on disk when its method returns.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_Operations.html
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from workshape.clock import Clock
from workshape.hosted import REGISTERING, HostedState, HostState, TargetRole, TargetState
from workshape.identifiers import random_hex
from workshape.proxies.changes import PoolChange, changed_pool, check_role
from workshape.proxies.model import (
    DEFAULT,
    ENDPOINTS_MAX,
    PROXIES_MAX,
    READ_WRITE,
    Address,
    ClusterNotFound,
    Database,
    DatabaseInstance,
    DbProxy,
    EndpointExists,
    EndpointNotFound,
    EndpointQuotaExceeded,
    InstanceNotFound,
    InvalidValue,
    ProxyEndpoint,
    ProxyExists,
    ProxyNotFound,
    ProxyQuotaExceeded,
    TargetGroup,
    TargetGroupNotFound,
    TargetNotFound,
    TargetRegistered,
    WrongInstance,
    WrongState,
)
from workshape.proxies.targets import InstanceTarget, instance_targets, writer_of
from workshape.status import HostedProxyStatus
from workshape.store.documents import Documents

PROXY_KIND = "db-proxy"
_NOT_TAKEN_UP = TargetState("UNAVAILABLE", "PENDING_PROXY_CAPACITY", "The proxy process has not taken it up yet.")

ChooseAddress = Callable[[Collection[Address], Address | None], Address]
"""Finds where an endpoint can listen: none of the first, and next to the second if there is one."""


class Proxies:
    """All of one account and region. Used on the event loop's thread."""

    def __init__(
        self,
        documents: Documents,
        clock: Clock,
        *,
        region: str,
        account: str,
        database: Database,
        choose_address: ChooseAddress,
        changed: Callable[[], None] = lambda: None,
        of_app: DbProxy | None = None,
    ) -> None:
        """Read what there is. `changed` is called after each change that the proxy process is to hear of.

        `of_app` is the app file's own proxy: it is shown, and changed nowhere but there.
        """
        self.database = database
        self.changed = changed
        self._documents = documents
        self._clock = clock
        self._prefix = f"arn:aws:rds:{region}:{account}"
        self._choose_address = choose_address
        self._of_app = of_app
        self._proxies = {
            key: msgspec.json.decode(document, type=DbProxy) for key, document in documents.all(PROXY_KIND)
        }
        self._changing: dict[str, str] = {}
        """By id, what the proxy process has not confirmed yet: creating, modifying, deleting."""
        self._leaving: dict[str, DbProxy] = {}
        self._host = HostState()

    def __repr__(self) -> str:
        return f"<Proxies {len(self._proxies)} changing={len(self._changing)}>"

    # proxies

    def all(self) -> list[DbProxy]:
        """Every proxy, by name; those that are being deleted too."""
        found = [*self._proxies.values(), *self._leaving.values(), *((self._of_app,) if self._of_app else ())]
        return sorted(found, key=lambda one: one.name)

    def to_run(self) -> list[DbProxy]:
        """Those that the proxy process is to run: they stand before the database that there is now."""
        return [proxy for proxy in self._proxies.values() if proxy.group.target == self.database.identifier]

    def get(self, name: str) -> DbProxy:
        """Return a proxy. Raises ProxyNotFound: there is none."""
        found = next((one for one in self.all() if one.name == name), None)
        if found is None:
            raise ProxyNotFound(kind="DB proxy", name=name)
        return found

    def status(self, proxy: DbProxy) -> str:
        """What a proxy's state is, in RDS's words."""
        return self.endpoint_status(proxy, proxy.endpoints[0])

    def create(self, wanted: DbProxy) -> DbProxy:
        """Make a proxy; its id, its ARNs, its times and its default endpoint are given here.

        Raises:
            ProxyExists, ProxyQuotaExceeded: it cannot be.
        """
        if any(one.name == wanted.name for one in self.all()):
            raise ProxyExists(name=wanted.name)
        if len(self._proxies) >= PROXIES_MAX:
            raise ProxyQuotaExceeded(limit=PROXIES_MAX)
        now, id_ = self._clock.wall_s(), f"prx-{random_hex(17)}"
        endpoint = self._new_endpoint(DEFAULT, None, wanted.subnet_ids, wanted.security_group_ids, {})
        proxy = replace(
            wanted,
            id=id_,
            arn=f"{self._prefix}:db-proxy:{id_}",
            created_at=now,
            updated_at=now,
            group=TargetGroup(
                arn=f"{self._prefix}:target-group:prx-tg-{random_hex(17)}", created_at=now, updated_at=now
            ),
            endpoints=(endpoint,),
        )
        self._keep(proxy, "creating")
        return proxy

    def modify(self, proxy: DbProxy) -> DbProxy:
        """Write a changed proxy, found again by its id.

        Raises:
            WrongState: it is the app's. ProxyExists: its new name is another's.
        """
        self._check_ours(proxy)
        if any(one.name == proxy.name and one.id != proxy.id for one in self.all()):
            raise ProxyExists(name=proxy.name)
        changed = replace(proxy, updated_at=self._clock.wall_s())
        self._keep(changed, "modifying")
        return changed

    def delete(self, name: str) -> DbProxy:
        """Remove a proxy with its endpoints; it is shown until its process has ended it.

        Raises:
            ProxyNotFound, WrongState: it cannot be.
        """
        proxy = self.get(name)
        self._check_ours(proxy)
        self._documents.delete(PROXY_KIND, proxy.id)
        self._leaving[proxy.id] = self._proxies.pop(proxy.id)
        self._changing[proxy.id] = "deleting"
        self.changed()
        return proxy

    def retag(self, arn: str, change: Callable[[dict[str, str]], dict[str, str]]) -> dict[str, str] | None:
        """Change the tags of whatever has this ARN, and return them; None: nothing of ours has it."""
        for proxy in self.all():
            if proxy.arn == arn:
                tags = change(proxy.tags)
                changed = replace(proxy, tags=tags)
            elif proxy.group.arn == arn:
                tags = change(proxy.group.tags)
                changed = replace(proxy, group=replace(proxy.group, tags=tags))
            elif any(one.arn == arn for one in proxy.endpoints):
                (endpoint,) = (one for one in proxy.endpoints if one.arn == arn)
                tags = change(endpoint.tags)
                changed = with_endpoint(proxy, replace(endpoint, tags=tags))
            else:
                continue
            if changed != proxy:
                self._check_ours(proxy)
                self._write(changed)
            return tags
        return None

    def statuses(self) -> list[HostedProxyStatus]:
        """Show those that were made here to people."""
        return [self._shown(proxy) for proxy in self.all() if not proxy.is_of_app]

    # target groups

    def group(self, name: str, group: str) -> DbProxy:
        """Return a proxy with that target group. Raises ProxyNotFound, TargetGroupNotFound: there is none."""
        proxy = self.get(name)
        if group != DEFAULT:
            raise TargetGroupNotFound(kind="target group", name=group, proxy=name)
        return proxy

    def change_pool(self, name: str, group: str, change: PoolChange) -> DbProxy:
        """Change a connection pool.

        Raises:
            ProxyNotFound, TargetGroupNotFound, WrongState, InvalidValue, InvalidCombination: it cannot be.
        """
        proxy = self.group(name, group)
        pool = changed_pool(proxy.group.pool, change)
        return self._put_group(proxy, replace(proxy.group, pool=pool))

    def register(self, name: str, group: str, instances: Sequence[str], clusters: Sequence[str] = ()) -> DbProxy:
        """Have a proxy stand in front of the database.

        Raises:
            ProxyNotFound, TargetGroupNotFound, InstanceNotFound, ClusterNotFound, WrongInstance, TargetRegistered,
            InvalidValue, WrongState: it cannot.
        """
        proxy = self.group(name, group)
        if len(instances) + len(clusters) != 1:
            raise InvalidValue(reason="A DB proxy is associated with one DB instance or DB cluster: name one.")
        self._check_target(instances, clusters)
        (identifier,) = (*instances, *clusters)
        if proxy.group.target == identifier:
            raise TargetRegistered(proxy=name, name=identifier)
        return self._put_group(proxy, replace(proxy.group, target=identifier))

    def deregister(self, name: str, group: str, instances: Sequence[str], clusters: Sequence[str] = ()) -> None:
        """Take a proxy from before its database.

        Raises:
            ProxyNotFound, TargetGroupNotFound, TargetNotFound, WrongState: it cannot be.
        """
        proxy = self.group(name, group)
        others = instances if self.database.is_cluster else clusters
        for identifier in (*instances, *clusters):
            is_other_kind = identifier == self.database.identifier and identifier in others
            if identifier != proxy.group.target or is_other_kind:
                raise TargetNotFound(kind="target", name=identifier, proxy=name)
        if instances or clusters:
            self._put_group(proxy, replace(proxy.group, target=""))

    def targets(self, proxy: DbProxy) -> list[InstanceTarget]:
        """Tell of each server of the database that a proxy stands before; of one that is gone, as of one server."""
        if not proxy.group.target:
            return []
        state, health = self._host.proxies.get(proxy.id), self.target_state(proxy)
        if proxy.group.target != self.database.identifier:
            gone = replace(self.database.instances[0], identifier=proxy.group.target)
            return [InstanceTarget(gone, TargetRole.READ_WRITE, health)]
        return instance_targets(self.database, state, health)

    def writer(self) -> DatabaseInstance:
        """Who of the database's servers takes writes now, as far as is known."""
        return writer_of(self.database, self._host.proxies.values())

    def _check_target(self, instances: Sequence[str], clusters: Sequence[str]) -> None:
        database = self.database
        kind = "DB cluster" if database.is_cluster else "DB instance"
        reason = f"the only {kind} with a server behind it is the app's database, {database.identifier}"
        for name in clusters:
            if not database.is_cluster or name != database.identifier:
                raise ClusterNotFound(kind="DB cluster", name=name, reason=reason)
        for name in instances:
            if database.is_cluster and any(name == one.identifier for one in database.instances):
                raise WrongInstance(name=name, cluster=database.identifier)
            if database.is_cluster or name != database.identifier:
                raise InstanceNotFound(kind="DB instance", name=name, reason=reason)

    def target_state(self, proxy: DbProxy) -> TargetState:
        """Whether a proxy reaches its database, to write."""
        if proxy.group.target != self.database.identifier:
            why = f"The app has no database {proxy.group.target} any more: its database is {self.database.identifier}."
            return TargetState("UNAVAILABLE", "UNREACHABLE", why)
        state = self._host.proxies.get(proxy.id)
        if state is not None:
            return state.target
        return REGISTERING if proxy.id in self._changing else _NOT_TAKEN_UP

    # endpoints

    def endpoint(self, name: str) -> tuple[DbProxy, ProxyEndpoint]:
        """Return an endpoint that somebody made, and its proxy. Raises EndpointNotFound: there is none."""
        for proxy in self.all():
            for endpoint in proxy.endpoints[1:]:
                if endpoint.name == name:
                    return proxy, endpoint
        raise EndpointNotFound(kind="DB proxy endpoint", name=name)

    def endpoint_status(self, proxy: DbProxy, endpoint: ProxyEndpoint) -> str:
        """What an endpoint's state is, in RDS's words."""
        changing = self._changing.get(proxy.id)
        if changing is not None:
            return changing
        state = self._host.proxies.get(proxy.id)
        return "incompatible-network" if state is not None and state.endpoints.get(endpoint.name) else "available"

    def create_endpoint(
        self,
        name: str,
        endpoint: str,
        subnet_ids: Sequence[str],
        security_group_ids: Sequence[str],
        tags: Mapping[str, str],
        role: str = READ_WRITE,
    ) -> tuple[DbProxy, ProxyEndpoint]:
        """Give a proxy one more endpoint.

        Raises:
            ProxyNotFound, WrongState, EndpointExists, EndpointQuotaExceeded, InvalidCombination: it cannot be.
        """
        proxy = self.get(name)
        self._check_ours(proxy)
        check_role(role, self.database)
        self._check_free(endpoint)
        if len(proxy.endpoints) > ENDPOINTS_MAX:
            raise EndpointQuotaExceeded(name=name, limit=ENDPOINTS_MAX)
        plain = self._new_endpoint(endpoint, proxy.endpoints[0], subnet_ids, security_group_ids, tags)
        made = replace(plain, role=role)
        return self.modify(replace(proxy, endpoints=(*proxy.endpoints, made))), made

    def modify_endpoint(self, name: str, changed: ProxyEndpoint) -> tuple[DbProxy, ProxyEndpoint]:
        """Change an endpoint's name or security groups.

        Raises:
            EndpointNotFound, EndpointExists: it cannot be.
        """
        proxy, _ = self.endpoint(name)
        if changed.name != name:
            self._check_free(changed.name)
        return self.modify(with_endpoint(proxy, changed)), changed

    def delete_endpoint(self, name: str) -> tuple[DbProxy, ProxyEndpoint]:
        """Remove an endpoint. Raises EndpointNotFound: there is none."""
        proxy, endpoint = self.endpoint(name)
        left = tuple(one for one in proxy.endpoints if one.arn != endpoint.arn)
        return self.modify(replace(proxy, endpoints=left)), endpoint

    # the proxy process

    def told(self, state: HostState, *, is_latest: bool) -> None:
        """Take what the proxy process says; `is_latest`: it has applied all that was changed."""
        self._host = state
        if is_latest:
            self._changing.clear()
            self._leaving.clear()

    def hosted(self, proxy: DbProxy) -> HostedState | None:
        """What the proxy process last said of a proxy; None: nothing."""
        return self._host.proxies.get(proxy.id)

    def _shown(self, proxy: DbProxy) -> HostedProxyStatus:
        target, hosted = self.target_state(proxy), self.hosted(proxy)
        values = hosted.figures.values if hosted is not None and hosted.figures is not None else {}
        failing = [] if hosted is None else [why for why in hosted.endpoints.values() if why]
        failing += [f"{one.instance.identifier}: {one.health.description}" for one in self._failing_readers(proxy)]
        return HostedProxyStatus(
            name=proxy.name,
            endpoints={one.name: one.address for one in proxy.endpoints},
            status=self.status(proxy),
            target=target.state if proxy.group.target else "",
            why="; ".join([*failing, *([target.description] if proxy.group.target and target.description else [])]),
            clients=int(values.get("ClientConnections", 0)),
            database_connections=int(values.get("DatabaseConnections", 0)),
        )

    def _failing_readers(self, proxy: DbProxy) -> list[InstanceTarget]:
        """Those that the database's health does not tell of."""
        readers = [one for one in self.targets(proxy) if one.role is not TargetRole.READ_WRITE]
        return [one for one in readers if one.health.state == "UNAVAILABLE" and one.health != self.target_state(proxy)]

    def _new_endpoint(
        self,
        name: str,
        beside: ProxyEndpoint | None,
        subnet_ids: Sequence[str],
        security_group_ids: Sequence[str],
        tags: Mapping[str, str],
    ) -> ProxyEndpoint:
        taken = {one.listens_at for proxy in self.all() for one in proxy.endpoints}
        host, port = self._choose_address(taken, None if beside is None else beside.listens_at)
        return ProxyEndpoint(
            name=name,
            arn=f"{self._prefix}:db-proxy-endpoint:prx-endpoint-{random_hex(17)}",
            host=host,
            port=port,
            created_at=self._clock.wall_s(),
            subnet_ids=tuple(subnet_ids),
            security_group_ids=tuple(security_group_ids),
            tags=dict(tags),
        )

    def _put_group(self, proxy: DbProxy, group: TargetGroup) -> DbProxy:
        return self.modify(replace(proxy, group=replace(group, updated_at=self._clock.wall_s())))

    def _check_free(self, name: str) -> None:
        if name == DEFAULT or any(one.name == name for proxy in self.all() for one in proxy.endpoints):
            raise EndpointExists(name=name)

    def _check_ours(self, proxy: DbProxy) -> None:
        if proxy.is_of_app:
            reason = "is the app's own: change [database] and [platform.proxy] in its workshape.toml"
            raise WrongState(name=proxy.name, reason=reason)
        if proxy.id in self._leaving:
            raise WrongState(name=proxy.name, reason="is being deleted")

    def _keep(self, proxy: DbProxy, change: str) -> None:
        self._write(proxy)
        if self._changing.get(proxy.id) != "creating":
            self._changing[proxy.id] = change
        self.changed()

    def _write(self, proxy: DbProxy) -> None:
        self._documents.put(PROXY_KIND, proxy.id, msgspec.json.encode(proxy))
        self._proxies[proxy.id] = proxy


def with_endpoint(proxy: DbProxy, endpoint: ProxyEndpoint) -> DbProxy:
    """Put a changed endpoint in the place of the one with its ARN."""
    return replace(proxy, endpoints=tuple(endpoint if one.arn == endpoint.arn else one for one in proxy.endpoints))
