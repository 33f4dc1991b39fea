"""Patch operations: what they change, and what they never do."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.apis.patch import InvalidPatch, patched
from workshape.apis.rest_api import EndpointConfiguration, MethodSetting, Properties, Stage
from workshape.apis.usage import Quota, Throttle, UsagePlan
from workshape.errors import Invalid

STAGE = Stage("prod", "d1", 0.0, 0.0, "text", {"color": "red"}, {"*/*": MethodSetting(throttling_burst_limit=5)})
WRITABLE = ("deploymentId", "description", "variables", "methodSettings", "tracingEnabled")


def changed(*operations: tuple[str, str, Any]) -> Stage:
    return patched(STAGE, [{"op": op, "path": path, "value": value} for op, path, value in operations], WRITABLE)


def test_members_are_replaced_and_text_becomes_what_they_are() -> None:
    stage = changed(("replace", "/description", "new"), ("replace", "/tracingEnabled", "true"))

    assert (stage.description, stage.tracing_enabled) == ("new", True)


def test_members_of_members_are_added_and_removed() -> None:
    stage = changed(
        ("add", "/variables/size", "big"),
        ("remove", "/variables/color", None),
        ("replace", "/methodSettings/~01pets~1GET/throttlingRateLimit", "1.5"),
    )

    assert stage.variables == {"size": "big"}
    assert stage.method_settings["~1pets/GET"] == MethodSetting(throttling_rate_limit=1.5)


def test_elements_of_lists_are_named_by_value_or_number() -> None:
    api = Properties("id", "n", 0.0, "root", endpoint_configuration=EndpointConfiguration(("EDGE",)))
    by_number = {"op": "replace", "path": "/endpointConfiguration/types/0", "value": "REGIONAL"}
    by_value = {"op": "replace", "path": "/endpointConfiguration/types/EDGE", "value": "REGIONAL"}

    for operation in (by_number, by_value):
        assert patched(api, [operation], ("endpointConfiguration",)).endpoint_configuration.types == ("REGIONAL",)


def test_what_was_not_there_is_made() -> None:
    plan = UsagePlan("id", "p")
    operations = [
        {"op": "add", "path": "/throttle/rateLimit", "value": "10"},
        {"op": "replace", "path": "/quota/limit", "value": "5"},
        {"op": "replace", "path": "/quota/period", "value": "DAY"},
    ]

    made = patched(plan, operations, ("throttle", "quota"))

    assert (made.throttle, made.quota) == (Throttle(10.0), Quota(5, "DAY"))


@pytest.mark.parametrize(
    ("op", "path", "value"),
    [
        ("replace", "/stageName", "other"),
        ("replace", "stageName", "other"),
        ("replace", "", "other"),
        ("move", "/description", "x"),
        ("replace", "/description/x", "y"),
        ("replace", "/variables/a/b/c/d/e/f", "y"),
        ("remove", "/methodSettings/x/y/z", None),
        ("remove", "/variables/none", None),
        ("replace", "/methodSettings/*~1*/nothing", "1"),
    ],
)
def test_what_may_not_be_changed_is_refused_by_its_path(op: str, path: str, value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        changed((op, path, value))

    assert not isinstance(refused.value, InvalidPatch) or repr(path).strip("'") in str(refused.value)


def test_what_would_be_no_value_is_refused() -> None:
    with pytest.raises(Invalid):
        changed(("replace", "/tracingEnabled", "perhaps"))


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "op": st.sampled_from(["add", "replace", "remove", "copy"]),
                "path": st.lists(
                    st.sampled_from(["variables", "stageName", "description", "a", "~1", "0"]), max_size=4
                ).map(lambda parts: "".join(f"/{part}" for part in parts)),
            },
            optional={"value": st.none() | st.text(max_size=4)},
        ),
        max_size=4,
    )
)
def test_only_writable_members_ever_change(operations: list[dict[str, Any]]) -> None:
    try:
        stage = patched(STAGE, operations, ("variables", "description"))
    except Invalid:
        return

    assert (stage.stage_name, stage.deployment_id, stage.method_settings) == ("prod", "d1", STAGE.method_settings)
