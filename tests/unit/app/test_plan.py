"""From what there is to what is wanted."""

from hypothesis import given
from hypothesis import strategies as st

from workshape.app.model import App, Bucket, Function, Key, Layer, Mapping, Queue, Redrive, Table
from workshape.app.plan import (
    Change,
    CreateBucket,
    CreateMapping,
    CreateQueue,
    CreateTable,
    DeleteMapping,
    Made,
    Present,
    PresentMapping,
    PutFunction,
    PutLayer,
    RemoveFunction,
    RemoveLayer,
    UpdateMapping,
    UpdateQueue,
    plan,
)


def function(name: str) -> Function:
    return Function(name=name, runtime="python3.12", handler="a.b", code="/code")


APP = App(
    name="app",
    functions=(function("events"),),
    queues=(Queue("events", redrive=Redrive("events-dlq", 3)), Queue("events-dlq")),
    mappings=(Mapping("events", "events"),),
    tables=(Table("events", Key("pk")),),
    buckets=(Bucket("uploads"),),
)


def test_a_first_time_makes_everything_in_an_order_that_works() -> None:
    changes = plan(APP, Present())

    assert changes == [
        CreateQueue(Queue("events-dlq")),
        CreateQueue(APP.queues[0]),
        CreateTable(APP.tables[0]),
        CreateBucket(APP.buckets[0]),
        PutFunction(function("events")),
        CreateMapping(APP.mappings[0]),
    ]


def test_a_second_time_only_offers_the_functions_to_their_catalogue() -> None:
    present = Present(
        queues=APP.queues,
        mappings=(PresentMapping("m1", APP.mappings[0]),),
        tables=frozenset({"events"}),
        buckets=frozenset({"uploads"}),
        made=Made(("events",), ("m1",)),
    )

    assert plan(APP, present) == [PutFunction(function("events"))]


def test_what_changed_is_updated_in_place() -> None:
    present = Present(
        queues=(Queue("events"), Queue("events-dlq")),
        mappings=(PresentMapping("m1", Mapping("events", "events", batch_size=1)),),
        tables=frozenset({"events"}),
        buckets=frozenset({"uploads"}),
    )

    changes = plan(APP, present)

    assert UpdateQueue(APP.queues[0]) in changes
    assert UpdateMapping("m1", APP.mappings[0]) in changes


def test_what_the_app_made_and_names_no_more_goes_and_data_stays() -> None:
    present = Present(
        queues=APP.queues,
        mappings=(PresentMapping("m1", APP.mappings[0]), PresentMapping("m2", Mapping("events", "others"))),
        tables=frozenset({"events"}),
        buckets=frozenset({"uploads"}),
        made=Made(("events",), ("m1",)),
    )

    changes = plan(App("app"), present)

    assert changes == [DeleteMapping("m1", APP.mappings[0]), RemoveFunction("events")]


def test_layers_come_before_their_functions_and_go_after_them() -> None:
    layer = Layer("shared", "/shared")
    app = App("app", functions=(function("events"),), layers=(layer,))

    assert plan(app, Present()) == [PutLayer(layer), PutFunction(function("events"))]
    assert plan(App("app"), Present(made=Made(("events",), (), ("shared",)))) == [
        RemoveFunction("events"),
        RemoveLayer("shared"),
    ]


NAMES = st.sampled_from(["a", "b", "c", "d"])


@st.composite
def apps(draw: st.DrawFn) -> App:
    queues = draw(st.lists(NAMES, unique=True))
    ranks = {name: rank for rank, name in enumerate(queues)}
    chosen = [(name, draw(st.sampled_from(queues))) for name in queues]
    functions = draw(st.lists(NAMES, unique=True))
    pairs = draw(
        st.lists(st.tuples(st.sampled_from(queues or ["a"]), st.sampled_from(functions or ["a"])), unique=True)
    )
    return App(
        name="app",
        functions=tuple(function(name) for name in functions),
        queues=tuple(
            Queue(name, redrive=Redrive(target, 3) if ranks[target] > ranks[name] else None) for name, target in chosen
        ),
        mappings=tuple(Mapping(*pair) for pair in pairs) if queues and functions else (),
    )


@given(apps(), apps())
def test_nothing_is_referred_to_before_it_is_there_and_applying_twice_changes_nothing(before: App, after: App) -> None:
    present = carry_out(Present(), plan(before, Present()), before)

    changes = plan(after, present)
    present = carry_out(present, changes, after)

    assert {queue.name for queue in present.queues} >= {queue.name for queue in after.queues}
    assert {(one.mapping.queue, one.mapping.function) for one in present.mappings} == {
        (mapping.queue, mapping.function) for mapping in after.mappings
    }
    assert present.made.functions == tuple(sorted(one.name for one in after.functions))
    assert [change for change in plan(after, present) if not isinstance(change, PutFunction)] == []


def carry_out(present: Present, changes: list[Change], app: App) -> Present:
    """What the catalogues would do, with their refusals."""
    queues = {queue.name: queue for queue in present.queues}
    functions = set(present.made.functions)
    mappings = {there.id: there.mapping for there in present.mappings}
    for change in changes:
        match change:
            case CreateQueue(queue) | UpdateQueue(queue):
                assert queue.redrive is None or queue.redrive.dead_letter_queue in queues
                queues[queue.name] = queue
            case PutFunction(one):
                functions.add(one.name)
            case RemoveFunction(name):
                assert all(mapping.function != name for mapping in mappings.values())
                functions.discard(name)
            case CreateMapping(mapping):
                assert mapping.queue in queues
                assert mapping.function in functions
                mappings[f"{mapping.queue}/{mapping.function}"] = mapping
            case UpdateMapping(mapping_id, mapping):
                mappings[mapping_id] = mapping
            case DeleteMapping(mapping_id, _):
                del mappings[mapping_id]
    return Present(
        queues=tuple(queues.values()),
        mappings=tuple(PresentMapping(mapping_id, mapping) for mapping_id, mapping in mappings.items()),
        made=Made(tuple(sorted(one.name for one in app.functions)), tuple(mappings)),
    )
