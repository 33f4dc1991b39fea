"""Lines of access logs: what variables become, and that nothing else is touched."""

from hypothesis import given
from hypothesis import strategies as st

from workshape.gateway.access_log import Outcome, access_line
from workshape.gateway.arrival import Arrival, IamCaller, JwtCaller, LambdaCaller
from workshape.http1.message import Request, Response

ARRIVAL = Arrival(
    Request("GET", "/prod/a%0Ab?x=1", (("host", "h"), ("user-agent", "u")), b"", "192.0.2.1"),
    "api",
    "prod",
    "id-1",
    "1" * 12,
    0.0,
)


def line(form: str, outcome: Outcome | None = None, response: Response | None = None) -> str:
    return access_line(form, ARRIVAL, "GET /a", response or Response(200, (), b"four"), outcome or Outcome(), 0.0123)


def test_a_common_log_line_is_as_in_the_documentations_example() -> None:
    form = '$context.identity.sourceIp - - [$context.requestTime] "$context.httpMethod $context.routeKey '
    form += '$context.protocol" $context.status $context.responseLength $context.requestId'

    assert line(form) == '192.0.2.1 - - [01/Jan/1970:00:00:00 +0000] "GET GET /a HTTP/1.1" 200 4 id-1'


def test_who_called_and_what_went_wrong_are_told() -> None:
    form = "$context.authorizer.principalId $context.authorizer.n $context.authorizer.claims.sub"
    form += " $context.identity.userArn $context.integrationLatency $context.responseLatency"

    assert line(form, Outcome(LambdaCaller("me", {"n": 1}), 0.005)) == "me 1 - - 5 12"
    assert line(form, Outcome(JwtCaller({"sub": "you"}))) == "- - you - - 12"
    assert line(form, Outcome(IamCaller("K", "1" * 12))) == f"- - - arn:aws:iam::{'1' * 12}:user/K - 12"
    errors = "$context.error.responseType|$context.error.messageString|$context.integrationStatus"
    assert line(errors, Outcome(None, 0.1, 'a "b"', "", "DEFAULT_5XX")) == 'DEFAULT_5XX|"a \\"b\\""|-'


def test_nothing_makes_two_lines_of_one() -> None:
    assert line("$context.path") == "/prod/a b"


@given(st.text(alphabet=st.characters(exclude_characters="$"), max_size=40))
def test_what_is_no_variable_stays_as_it_is(text: str) -> None:
    assert line(f"{text} $context.status {text}") == f"{text} 200 {text}"
