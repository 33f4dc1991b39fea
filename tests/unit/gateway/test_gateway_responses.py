"""What REST APIs answer by themselves: failures, MOCK integrations, keys that are used up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshape.apis.rest_api import GatewayResponse, Integration, IntegrationResponse
from workshape.apis.usage import ApiKey, PlanStage, Quota, Throttle, Usage, UsagePlan, period_of
from workshape.gateway.gateway_responses import Kind, Trouble, answer
from workshape.gateway.metering import Metering
from workshape.gateway.mock import mock_response
from workshape.http1.message import Request, Response

GET = Request("GET", "/", (("origin", "https://a"),))
KEY = ApiKey("key-id", "k", "v" * 20, 0.0, 0.0, enabled=True)
CORS = {"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"}


def answered(kind: Kind, *defined: GatewayResponse, message: str | None = None) -> Response:
    by_type = {one.response_type: one for one in defined}
    return answer(Trouble(kind, message), by_type, GET, {"requestId": "id-1"})


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        (Kind.MISSING_AUTHENTICATION_TOKEN, 403, b'{"message":"Missing Authentication Token"}'),
        (Kind.UNAUTHORIZED, 401, b'{"message":"Unauthorized"}'),
        (Kind.THROTTLED, 429, b'{"message":"Too Many Requests"}'),
        (Kind.INTEGRATION_TIMEOUT, 504, b'{"message":"Endpoint request timed out"}'),
        (Kind.DEFAULT_5XX, 502, b'{"message":"Internal server error"}'),
        (Kind.AUTHORIZER_FAILURE, 500, b'{"message":null}'),
    ],
)
def test_failures_have_their_default_answers(kind: Kind, status: int, body: bytes) -> None:
    response = answered(kind)

    assert (response.status, response.body) == (status, body)
    assert ("content-type", "application/json") in response.headers


def test_every_kind_of_failure_is_one_of_its_own() -> None:
    assert len({kind.value for kind in Kind}) == len(Kind.__members__)


def test_an_apis_own_answer_goes_before_the_default_one() -> None:
    own = GatewayResponse(
        "UNAUTHORIZED",
        "418",
        {**CORS, "gatewayresponse.header.X-Origin": "method.request.header.Origin"},
        {"application/json": '{"why": $context.error.messageString, "id": "$context.requestId"}'},
    )

    response = answered(Kind.UNAUTHORIZED, own, GatewayResponse("DEFAULT_4XX", "400"), message='say "no"')

    assert (response.status, response.body) == (418, b'{"why": "say \\"no\\"", "id": "id-1"}')
    assert {("access-control-allow-origin", "*"), ("x-origin", "https://a")} <= set(response.headers)


def test_the_default_types_stand_in_for_all_of_their_class() -> None:
    default = GatewayResponse("DEFAULT_4XX", "400", CORS)

    refused, failed = answered(Kind.ACCESS_DENIED, default), answered(Kind.DEFAULT_5XX, default)

    assert refused.status == 400
    assert ("access-control-allow-origin", "*") in refused.headers
    assert failed.status == 502


def test_a_mock_answers_with_what_is_written_down() -> None:
    allow = {"method.response.header.Access-Control-Allow-Origin": "'*'"}
    integration = Integration(
        "MOCK",
        request_templates={"application/json": "{ statusCode: 200 }"},
        integration_responses={
            "200": IntegrationResponse("200", response_parameters=allow, response_templates={"application/json": "{}"}),
            "404": IntegrationResponse("404", selection_pattern="404"),
        },
    )

    assert mock_response(integration) == Response(
        200, (("access-control-allow-origin", "*"), ("content-type", "application/json")), b"{}"
    )
    assert mock_response(Integration("MOCK", request_templates={"application/json": "{}"})) is None


def plan(**more: object) -> UsagePlan:
    return UsagePlan("plan", "p", api_stages=(PlanStage("a", "s"),), **more)  # type: ignore[arg-type]  # its fields


def test_a_key_must_be_there_and_enabled_and_in_a_plan() -> None:
    metering = Metering()

    assert metering.check(KEY, plan(), 0.0, 0.0) is None
    for key, of_plan in ((None, plan()), (KEY, None), (ApiKey("i", "k", "v", 0.0, 0.0), plan())):
        assert metering.check(key, of_plan, 0.0, 0.0) == Trouble(Kind.INVALID_API_KEY)


def test_a_quota_is_for_its_period_and_a_throttle_for_the_moment() -> None:
    metering, day = Metering(), 86_400.0
    limited = plan(quota=Quota(2, "DAY"), throttle=Throttle(1.0, 1))

    found = [metering.check(KEY, limited, at, wall) for at, wall in ((0, 0), (0, 0), (1, 1), (2, 2), (3, day))]

    assert found == [None, Trouble(Kind.THROTTLED), None, Trouble(Kind.QUOTA_EXCEEDED), None]
    assert metering.used(KEY.id, "plan") == 1


def test_what_was_used_before_counts_in_its_period_and_changes_are_told_once() -> None:
    limited, day = plan(quota=Quota(3, "DAY")), 86_400.0
    metering = Metering([Usage("plan", KEY.id, "1970-01-01", 2)])

    found = [metering.check(KEY, limited, 0.0, wall) for wall in (0.0, 1.0)]
    told = [metering.changed(10), metering.changed(10)]
    metering.check(KEY, limited, 0.0, day)

    assert found == [None, Trouble(Kind.QUOTA_EXCEEDED)]
    assert told == [[Usage("plan", KEY.id, "1970-01-01", 3)], []]
    assert metering.changed(10) == [Usage("plan", KEY.id, "1970-01-02", 1)]


def test_nothing_is_told_of_plans_without_a_quota() -> None:
    metering = Metering()

    metering.check(KEY, plan(), 0.0, 0.0)

    assert metering.changed(10) == []


@pytest.mark.parametrize(("period", "name"), [("DAY", "2026-11-26"), ("WEEK", "2026-11-22"), ("MONTH", "2026-11")])
def test_periods_begin_with_the_day_the_sunday_and_the_month(period: str, name: str) -> None:
    assert period_of(Quota(1, period), 1_795_651_200.0) == name


@given(st.integers(0, 20), st.lists(st.integers(0, 3), max_size=40))
def test_no_more_pass_in_a_period_than_the_quota_says(limit: int, days: list[int]) -> None:
    metering, limited, passed = Metering(), plan(quota=Quota(limit, "DAY")), dict[int, int]()

    for day in sorted(days):
        if metering.check(KEY, limited, 0.0, day * 86_400.0) is None:
            passed[day] = passed.get(day, 0) + 1

    assert all(count == min(limit, days.count(day)) for day, count in passed.items())
