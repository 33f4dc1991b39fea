"""The proxies there are: durable, named once, shown with what the process that runs them says."""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from workshape.clock import Clock
from workshape.errors import WorkshapeError
from workshape.hosted import AVAILABLE, HostedState, HostState, ServerState, TargetRole, TargetState
from workshape.proxies.changes import PoolChange
from workshape.proxies.model import (
    ENDPOINTS_MAX,
    PROXIES_MAX,
    Address,
    Database,
    DatabaseInstance,
    DbProxy,
    EndpointExists,
    EndpointNotFound,
    EndpointQuotaExceeded,
    InstanceNotFound,
    ProxyEndpoint,
    ProxyExists,
    ProxyNotFound,
    ProxyQuotaExceeded,
    TargetGroupNotFound,
    TargetNotFound,
    TargetRegistered,
    UserAuth,
    WrongState,
)
from workshape.proxies.plan import hosted_proxies
from workshape.proxies.registry import Proxies
from workshape.settings import ProxySettings
from workshape.store.documents import Documents

AUTH = (UserAuth(secret_arn="arn:aws:secretsmanager:us-east-1:123456789012:secret:shop-abc"),)
SHOP = Database(
    identifier="shop",
    arn="arn:aws:rds:us-east-1:123456789012:db:shop",
    user="owner",
    name="shop",
    instances=(
        DatabaseInstance(
            identifier="shop",
            arn="arn:aws:rds:us-east-1:123456789012:db:shop",
            host="127.0.0.1",
            port=5433,
            server="127.0.0.1:5432",
        ),
    ),
)
APPS = DbProxy(
    id="prx-app",
    name="workshape",
    auth=(),
    is_of_app=True,
    endpoints=(
        ProxyEndpoint(name="default", arn="arn:app", host="127.0.0.1", port=6432, created_at=0.0, subnet_ids=()),
    ),
)


def choose(taken: Collection[Address], beside: Address | None) -> Address:
    return next(address for number in range(1, 999) if (address := (f"127.64.0.{number}", 5432)) not in taken)


class Made:
    """A registry on a store, again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.changes = 0
        self.proxies = self.open()

    def open(self, database: Database = SHOP) -> Proxies:
        return Proxies(
            Documents(self.folder / "store.sqlite"),
            Clock(),
            region="us-east-1",
            account="123456789012",
            database=database,
            choose_address=choose,
            changed=self.count,
            of_app=APPS,
        )

    def count(self) -> None:
        self.changes += 1

    def create(self, name: str = "one") -> DbProxy:
        return self.proxies.create(DbProxy(name=name, auth=AUTH))

    def confirm(self, **states: HostedState) -> None:
        self.proxies.told(HostState("latest", states), is_latest=True)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def test_a_proxy_outlives_the_engine_and_has_an_arn_and_an_endpoint(made: Made) -> None:
    proxy = made.create()
    made.proxies.register("one", "default", ["shop"])
    _, endpoint = made.proxies.create_endpoint("one", "reports", ["subnet-1"], [], {"team": "data"})

    again = made.open().get("one")

    assert again.arn == f"arn:aws:rds:us-east-1:123456789012:db-proxy:{proxy.id}"
    assert proxy.id.startswith("prx-")
    assert (again.group.target, again.endpoints[1]) == ("shop", endpoint)
    assert [one.address for one in again.endpoints] == ["127.64.0.1", "127.64.0.2"]
    assert made.changes == 3


def test_a_proxy_is_creating_modifying_and_deleting_until_its_process_says_so(made: Made) -> None:
    proxy = made.create()
    seen = [made.proxies.status(proxy)]
    made.confirm()
    seen.append(made.proxies.status(proxy))
    made.proxies.modify(replace(proxy, require_tls=True))
    seen.append(made.proxies.status(proxy))
    made.confirm()
    made.proxies.delete("one")
    seen.append(made.proxies.status(made.proxies.get("one")))
    with pytest.raises(WrongState, match="is being deleted"):
        made.proxies.delete("one")
    made.confirm()

    assert seen == ["creating", "available", "modifying", "deleting"]
    with pytest.raises(ProxyNotFound):
        made.proxies.get("one")


def test_an_answer_to_an_earlier_plan_confirms_nothing(made: Made) -> None:
    proxy = made.create()

    made.proxies.told(HostState("earlier"), is_latest=False)

    assert made.proxies.status(proxy) == "creating"


def test_an_endpoint_that_cannot_listen_is_told_apart(made: Made) -> None:
    proxy = made.create()

    made.confirm(**{proxy.id: HostedState({"default": "127.64.0.1:5432: in use"}, AVAILABLE)})

    assert made.proxies.status(proxy) == "incompatible-network"


def test_target_health_is_what_the_process_says(made: Made) -> None:
    proxy = made.create()
    made.proxies.register("one", "default", ["shop"])
    proxy = made.proxies.get("one")
    seen = [made.proxies.target_state(proxy)]
    for state in (TargetState("UNAVAILABLE", "AUTH_FAILURE", "no such password"), AVAILABLE):
        made.confirm(**{proxy.id: HostedState({"default": ""}, state)})
        seen.append(made.proxies.target_state(proxy))
    made.proxies.told(HostState(), is_latest=False)
    seen.append(made.proxies.target_state(proxy))

    assert [(one.state, one.reason) for one in seen] == [
        ("REGISTERING", ""),
        ("UNAVAILABLE", "AUTH_FAILURE"),
        ("AVAILABLE", ""),
        ("UNAVAILABLE", "PENDING_PROXY_CAPACITY"),
    ]


def test_a_proxy_before_a_database_that_is_not_there_any_more_is_not_run(made: Made) -> None:
    made.create()
    made.proxies.register("one", "default", ["shop"])

    later = made.open(replace(SHOP, identifier="store"))

    assert later.to_run() == []
    state = later.target_state(later.get("one"))
    assert (state.state, state.reason) == ("UNAVAILABLE", "UNREACHABLE")
    assert "its database is store" in state.description
    later.register("one", "default", ["store"])
    assert [proxy.name for proxy in later.to_run()] == ["one"]


def test_a_reader_that_is_away_is_told_though_the_database_is_available(made: Made) -> None:
    reader = replace(SHOP.instances[0], identifier="shop-instance-2", server="127.0.0.1:5434")
    proxies = made.open(replace(SHOP, instances=(*SHOP.instances, reader)))
    proxy = proxies.create(DbProxy(name="one", auth=AUTH))
    proxies.register("one", "default", [], ["shop"])
    away = TargetState("UNAVAILABLE", "UNREACHABLE", "It does not answer.")
    servers = {
        SHOP.instances[0].server: ServerState(AVAILABLE, TargetRole.READ_WRITE),
        reader.server: ServerState(away, TargetRole.READ_ONLY),
    }

    proxies.told(HostState("latest", {proxy.id: HostedState({}, AVAILABLE, None, servers)}), is_latest=True)

    (status,) = proxies.statuses()
    assert (status.target, status.why) == ("AVAILABLE", "shop-instance-2: It does not answer.")


def test_the_writer_is_whom_the_first_proxy_that_knows_calls_so(made: Made) -> None:
    reader = replace(SHOP.instances[0], identifier="shop-instance-2", server="127.0.0.1:5434")
    proxies = made.open(replace(SHOP, instances=(*SHOP.instances, reader)))
    configured = SHOP.instances[0]

    def told(*writing: str) -> HostState:
        """Of proxies that each take another for the writer; none: they do not know."""
        states = [{name: ServerState(AVAILABLE, TargetRole.READ_WRITE)} if name else {} for name in writing]
        return HostState("x", {str(n): HostedState({}, AVAILABLE, None, servers) for n, servers in enumerate(states)})

    found = []
    for writing in ((), ("",), ("", reader.server), (reader.server, configured.server)):
        proxies.told(told(*writing), is_latest=True)
        found.append(proxies.writer().identifier)

    assert found == ["shop", "shop", "shop-instance-2", "shop-instance-2"]


STEPS = st.lists(
    st.tuples(st.sampled_from(["create", "delete", "rename", "endpoint", "register", "confirm"]), st.integers(0, 3)),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_names_and_addresses_are_never_shared_and_what_is_on_disk_is_what_there_is(
    steps: list[tuple[str, int]],
) -> None:
    with TemporaryDirectory() as folder:
        made = Made(Path(folder))
        for number, (step, which) in enumerate(steps):
            with suppress(WorkshapeError):
                take_step(made, step, which, number)

            present = made.proxies.all()
            names = [proxy.name for proxy in present]
            addresses = [endpoint.listens_at for proxy in present for endpoint in proxy.endpoints]
            assert len(set(names)) == len(names)
            assert len(set(addresses)) == len(addresses)
        made.confirm()

        assert made.open().all() == made.proxies.all()


def take_step(made: Made, step: str, which: int, number: int) -> None:
    proxies, name = made.proxies, f"p{which}"
    match step:
        case "create":
            made.create(name)
        case "delete":
            proxies.delete(name)
        case "rename":
            proxies.modify(replace(proxies.get(name), name=f"p{(which + 1) % 4}"))
        case "endpoint":
            proxies.create_endpoint(name, f"e{number}", [], [], {})
        case "register":
            proxies.register(name, "default", ["shop"])
        case _:
            made.confirm()


def test_names_are_taken_once_and_numbers_are_bounded(made: Made) -> None:
    for number in range(PROXIES_MAX):
        made.create(f"p{number}")
    for number in range(ENDPOINTS_MAX):
        made.proxies.create_endpoint("p0", f"e{number}", [], [], {})

    with pytest.raises(ProxyExists):
        made.create("workshape")
    with pytest.raises(ProxyQuotaExceeded):
        made.create("one-more")
    with pytest.raises(ProxyExists):
        made.proxies.modify(replace(made.proxies.get("p1"), name="p2"))
    with pytest.raises(EndpointExists):
        made.proxies.create_endpoint("p1", "e3", [], [], {})
    with pytest.raises(EndpointExists):
        made.proxies.create_endpoint("p1", "default", [], [], {})
    with pytest.raises(EndpointQuotaExceeded):
        made.proxies.create_endpoint("p0", "e-one-more", [], [], {})


def test_a_proxy_stands_before_the_apps_database_and_no_other(made: Made) -> None:
    made.create()
    with pytest.raises(InstanceNotFound, match="the app's database, shop"):
        made.proxies.register("one", "default", ["other"])
    with pytest.raises(TargetGroupNotFound):
        made.proxies.register("one", "second", ["shop"])
    made.proxies.register("one", "default", ["shop"])

    with pytest.raises(TargetRegistered):
        made.proxies.register("one", "default", ["shop"])
    with pytest.raises(TargetNotFound):
        made.proxies.deregister("one", "default", ["other"])
    made.proxies.deregister("one", "default", ["shop"])
    assert made.proxies.get("one").group.target == ""


def test_the_apps_own_proxy_is_shown_and_changed_nowhere_but_in_its_file(made: Made) -> None:
    assert [proxy.name for proxy in made.proxies.all()] == ["workshape"]
    assert made.proxies.get("workshape").endpoints[0].address == "127.0.0.1:6432"

    with pytest.raises(WrongState, match=r"workshape\.toml"):
        made.proxies.delete("workshape")
    with pytest.raises(WrongState, match=r"workshape\.toml"):
        made.proxies.change_pool("workshape", "default", PoolChange(max_connections_percent=10))
    assert made.proxies.to_run() == []


def test_endpoints_are_renamed_and_deleted_but_for_the_default_one(made: Made) -> None:
    made.create()
    _, endpoint = made.proxies.create_endpoint("one", "reports", [], [], {})

    made.proxies.modify_endpoint("reports", replace(endpoint, name="jobs", security_group_ids=("sg-1",)))

    assert made.proxies.endpoint("jobs")[1].security_group_ids == ("sg-1",)
    made.proxies.delete_endpoint("jobs")
    assert len(made.proxies.get("one").endpoints) == 1
    for name in ("jobs", "default"):
        with pytest.raises(EndpointNotFound):
            made.proxies.delete_endpoint(name)


def test_tags_are_kept_by_arn(made: Made) -> None:
    proxy = made.create()
    made.proxies.create_endpoint("one", "reports", [], [], {})
    arns = [proxy.arn, proxy.group.arn, made.proxies.endpoint("reports")[1].arn]

    for number, arn in enumerate(arns):
        made.proxies.retag(arn, lambda tags, number=number: {**tags, "number": str(number)})  # type: ignore[misc]

    again = made.open()
    assert [again.retag(arn, lambda tags: tags) for arn in arns] == [{"number": "0"}, {"number": "1"}, {"number": "2"}]
    assert again.retag("arn:none", lambda tags: tags) is None


def test_the_plan_has_what_stands_before_a_database_with_its_settings(made: Made) -> None:
    made.create("idle")
    made.create("busy")
    made.proxies.change_pool("busy", "default", PoolChange(40, borrow_timeout_s=5, init_query="SET x = 1"))
    made.proxies.register("busy", "default", ["shop"])

    (hosted,) = hosted_proxies(made.proxies.to_run(), ProxySettings(clients_max=77))

    pool = hosted.settings
    assert (hosted.name, [user.secret for user in hosted.users]) == ("busy", [AUTH[0].secret_arn])
    assert (pool.max_connections_percent, pool.max_idle_connections_percent) == (40, 20)
    assert (pool.connection_borrow_timeout_s, pool.init_query, pool.clients_max) == (5.0, "SET x = 1", 77)
    assert {endpoint.host for endpoint in hosted.endpoints} <= set(hosted.hosts)
