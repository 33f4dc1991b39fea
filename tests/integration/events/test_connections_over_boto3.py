"""Connections and API destinations over a real boto3 client: what is kept and shown, and what is refused."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fakes.live_engine import ACCOUNT, REGION, ROLE, LiveEngine

ARN = f"arn:aws:events:{REGION}:{ACCOUNT}"
LATTICE = f"arn:aws:vpc-lattice:{REGION}:{ACCOUNT}:resourceconfiguration/rcfg-{'0' * 17}"
SECRET = "hunter2"
BASIC = {"BasicAuthParameters": {"Username": "me", "Password": SECRET}}
KEY = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": SECRET}}
INVOCATION = {
    "HeaderParameters": [
        {"Key": "X-Open", "Value": "shown"},
        {"Key": "X-Hidden", "Value": SECRET, "IsValueSecret": True},
    ],
    "BodyParameters": [{"Key": "team", "Value": "a"}],
}


@pytest.fixture(scope="module")
def events(engine: LiveEngine) -> Any:
    return engine.client("events")


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    """Call what must be refused; return its code and its words."""
    with pytest.raises(ClientError) as error:
        call(**parameters)
    answer = error.value.response["Error"]
    return answer["Code"], answer["Message"]


def create(events: Any, name: str, **more: Any) -> str:
    given = {"AuthorizationType": "API_KEY", "AuthParameters": KEY, **more}
    return str(events.create_connection(Name=name, **given)["ConnectionArn"])


def test_a_connection_is_shown_without_its_secrets(events: Any) -> None:
    made = events.create_connection(
        Name="shown",
        Description="first",
        AuthorizationType="BASIC",
        AuthParameters={**BASIC, "InvocationHttpParameters": INVOCATION},
    )

    described = events.describe_connection(Name="shown")
    listed = events.list_connections(NamePrefix="shown")["Connections"]

    assert made["ConnectionState"] == "AUTHORIZED"
    assert made["ConnectionArn"].startswith(f"{ARN}:connection/shown/")
    assert described["AuthParameters"] == {
        "BasicAuthParameters": {"Username": "me"},
        "InvocationHttpParameters": {
            "HeaderParameters": [
                {"Key": "X-Open", "IsValueSecret": False, "Value": "shown"},
                {"Key": "X-Hidden", "IsValueSecret": True},
            ],
            "BodyParameters": [{"Key": "team", "IsValueSecret": False, "Value": "a"}],
        },
    }
    assert described["Description"] == "first"
    assert described["SecretArn"].startswith(
        f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:events!connection/shown/"
    )
    assert described["LastAuthorizedTime"] == described["CreationTime"]
    assert listed[0]["AuthorizationType"] == "BASIC"
    assert SECRET not in str((made, described, listed))


def test_an_oauth_connection_is_shown_without_its_secrets(events: Any) -> None:
    oauth = {
        "ClientParameters": {"ClientID": "client", "ClientSecret": SECRET},
        "AuthorizationEndpoint": "http://127.0.0.1:9/token",
        "HttpMethod": "POST",
        "OAuthHttpParameters": {"BodyParameters": [{"Key": "scope", "Value": SECRET, "IsValueSecret": True}]},
    }
    made = events.create_connection(
        Name="oauth", AuthorizationType="OAUTH_CLIENT_CREDENTIALS", AuthParameters={"OAuthParameters": oauth}
    )

    described = events.describe_connection(Name="oauth")

    assert made["ConnectionState"] == "AUTHORIZING"
    assert described["AuthParameters"]["OAuthParameters"] == {
        "ClientParameters": {"ClientID": "client"},
        "AuthorizationEndpoint": "http://127.0.0.1:9/token",
        "HttpMethod": "POST",
        "OAuthHttpParameters": {"BodyParameters": [{"Key": "scope", "IsValueSecret": True}]},
    }
    assert SECRET not in str(described)


def test_an_update_changes_what_it_gives_and_parameters_of_another_type_do_nothing(events: Any) -> None:
    create(events, "updated", Description="old", AuthParameters={**KEY, "InvocationHttpParameters": INVOCATION})

    events.update_connection(Name="updated", Description="new", AuthParameters=BASIC)
    after_other_type = events.describe_connection(Name="updated")
    events.update_connection(Name="updated", AuthorizationType="BASIC", AuthParameters=BASIC)
    after_type = events.describe_connection(Name="updated")

    assert after_other_type["Description"] == "new"
    assert after_other_type["AuthParameters"]["ApiKeyAuthParameters"] == {"ApiKeyName": "X-Key"}
    assert after_type["AuthorizationType"] == "BASIC"
    assert after_type["AuthParameters"]["BasicAuthParameters"] == {"Username": "me"}
    assert "InvocationHttpParameters" in after_type["AuthParameters"]


def test_a_deauthorized_connection_has_nothing_left_until_it_gets_all_of_it_anew(events: Any) -> None:
    arn = create(events, "emptied", AuthParameters={**KEY, "InvocationHttpParameters": INVOCATION})
    events.create_api_destination(
        Name="emptied", ConnectionArn=arn, InvocationEndpoint="https://api.test/", HttpMethod="POST"
    )

    answer = events.deauthorize_connection(Name="emptied")
    described = events.describe_connection(Name="emptied")
    state = events.describe_api_destination(Name="emptied")["ApiDestinationState"]
    half = refused(
        events.update_connection, Name="emptied", AuthParameters={"ApiKeyAuthParameters": {"ApiKeyValue": "v"}}
    )
    again = events.update_connection(Name="emptied", AuthParameters=KEY)

    assert answer["ConnectionState"] == described["ConnectionState"] == "DEAUTHORIZED"
    assert "AuthParameters" not in described
    assert "SecretArn" not in described
    assert state == "INACTIVE"
    assert half[0] == "ValidationException"
    assert again["ConnectionState"] == "AUTHORIZED"
    assert events.describe_api_destination(Name="emptied")["ApiDestinationState"] == "ACTIVE"


def test_connections_are_listed_by_prefix_and_state_in_pages_and_deleted(events: Any) -> None:
    for name in ("page-1", "page-2", "page-3"):
        create(events, name)
    events.deauthorize_connection(Name="page-2")

    first = events.list_connections(NamePrefix="page-", Limit=2)
    rest = events.list_connections(NamePrefix="page-", Limit=2, NextToken=first["NextToken"])
    deauthorized = events.list_connections(NamePrefix="page-", ConnectionState="DEAUTHORIZED")["Connections"]
    deleted = events.delete_connection(Name="page-1")

    assert [one["Name"] for one in first["Connections"] + rest["Connections"]] == ["page-1", "page-2", "page-3"]
    assert [one["Name"] for one in deauthorized] == ["page-2"]
    assert deleted["ConnectionState"] == "AUTHORIZED"
    assert refused(events.describe_connection, Name="page-1") == (
        "ResourceNotFoundException",
        "Connection page-1 does not exist.",
    )
    assert refused(events.delete_connection, Name="page-1")[0] == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (
            {"AuthorizationType": "BASIC", "AuthParameters": KEY},
            "with AuthorizationType BASIC, AuthParameters must have BasicAuthParameters and none of its like.",
        ),
        (
            {"AuthorizationType": "API_KEY", "AuthParameters": {**KEY, **BASIC}},
            "AuthParameters must have ApiKeyAuthParameters and none of its like.",
        ),
        (
            {
                "AuthorizationType": "OAUTH_CLIENT_CREDENTIALS",
                "AuthParameters": {
                    "OAuthParameters": {
                        "ClientParameters": {"ClientID": "c", "ClientSecret": "s"},
                        "AuthorizationEndpoint": "http://auth.test/token",
                        "HttpMethod": "POST",
                    }
                },
            },
            "Parameter AuthorizationEndpoint is not valid. Reason: the URL must use HTTPS",
        ),
        (
            {
                "AuthorizationType": "API_KEY",
                "AuthParameters": KEY,
                "InvocationConnectivityParameters": {"ResourceParameters": {"ResourceConfigurationArn": LATTICE}},
            },
            "workshape does not do connections to private APIs of EventBridge",
        ),
    ],
)
def test_a_connection_that_cannot_authorize_is_refused(events: Any, parameters: dict[str, Any], words: str) -> None:
    code, message = refused(events.create_connection, Name="unauthorized", **parameters)

    assert code == "ValidationException"
    assert words in message
    assert refused(events.describe_connection, Name="unauthorized")[0] == "ResourceNotFoundException"


def test_names_are_taken_once(events: Any) -> None:
    arn = create(events, "taken")
    destination = {"ConnectionArn": arn, "InvocationEndpoint": "https://api.test/", "HttpMethod": "POST"}
    events.create_api_destination(Name="taken", **destination)

    again = refused(events.create_connection, Name="taken", AuthorizationType="API_KEY", AuthParameters=KEY)
    destination_again = refused(events.create_api_destination, Name="taken", **destination)

    assert again == ("ResourceAlreadyExistsException", "Connection taken already exists.")
    assert destination_again == ("ResourceAlreadyExistsException", "ApiDestination taken already exists.")


def test_an_api_destination_lives_from_its_creation_to_its_deletion(events: Any) -> None:
    one, other = create(events, "life-1"), create(events, "life-2")
    made = events.create_api_destination(
        Name="life", ConnectionArn=one, InvocationEndpoint="https://api.test/*", HttpMethod="POST", Description="first"
    )

    shown = events.describe_api_destination(Name="life")
    events.update_api_destination(
        Name="life", ConnectionArn=other, InvocationEndpoint="http://localhost:1/", InvocationRateLimitPerSecond=5
    )
    changed = events.describe_api_destination(Name="life")
    by_connection = events.list_api_destinations(ConnectionArn=other)["ApiDestinations"]
    by_name = events.list_api_destinations(NamePrefix="lif")["ApiDestinations"]
    events.delete_api_destination(Name="life")

    assert made["ApiDestinationArn"].startswith(f"{ARN}:api-destination/life/")
    assert (made["ApiDestinationState"], shown["InvocationRateLimitPerSecond"]) == ("ACTIVE", 300)
    assert (shown["Description"], shown["HttpMethod"]) == ("first", "POST")
    assert (changed["InvocationEndpoint"], changed["InvocationRateLimitPerSecond"]) == ("http://localhost:1/", 5)
    assert (changed["ConnectionArn"], changed["Description"]) == (other, "first")
    assert changed["ApiDestinationArn"] == made["ApiDestinationArn"]
    assert [one["Name"] for one in by_connection] == [one["Name"] for one in by_name] == ["life"]
    assert "Description" not in by_name[0]
    assert refused(events.describe_api_destination, Name="life")[0] == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (
            {"InvocationEndpoint": "http://api.test/"},
            "ValidationException",
            "Parameter InvocationEndpoint is not valid. Reason: the URL must use HTTPS; "
            "http:// is possible for this machine alone (127.0.0.1, localhost).",
        ),
        (
            {"ConnectionArn": f"{ARN}:connection/none/1"},
            "ResourceNotFoundException",
            f"Connection {ARN}:connection/none/1 does not exist.",
        ),
        ({"HttpMethod": "TRACE"}, "ValidationException", ""),
        ({"InvocationRateLimitPerSecond": 0}, "ValidationException", ""),
        ({"Name": "a b"}, "ValidationException", ""),
    ],
)
def test_an_api_destination_that_aws_would_refuse_is_refused(
    engine: LiveEngine, more: dict[str, Any], code: str, words: str
) -> None:
    events = engine.client("events", parameter_validation=False)
    if not events.list_connections(NamePrefix="for-refusals")["Connections"]:
        create(events, "for-refusals")
    arn = events.describe_connection(Name="for-refusals")["ConnectionArn"]
    good = {"Name": "no", "ConnectionArn": arn, "InvocationEndpoint": "https://api.test/", "HttpMethod": "POST"}

    answer = refused(events.create_api_destination, **{**good, **more})

    assert answer[0] == code
    assert words in answer[1]


def test_an_api_destination_is_shown_as_the_target_it_was_put(events: Any) -> None:
    target = {
        "Id": "d",
        "Arn": f"{ARN}:api-destination/later/0",
        "RoleArn": ROLE,
        "HttpParameters": {
            "PathParameterValues": ["$.detail.id"],
            "QueryStringParameters": {"q": "1"},
            "HeaderParameters": {"X-H": "$.source"},
        },
    }
    events.put_rule(Name="http-target", EventPattern='{"source": ["nobody"]}')

    events.put_targets(Rule="http-target", Targets=[target])

    assert events.list_targets_by_rule(Rule="http-target")["Targets"] == [target]
    assert events.list_rule_names_by_target(TargetArn=target["Arn"])["RuleNames"] == ["http-target"]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"Arn": f"{ARN}:api-destination/d/1"}, "RoleArn is required for target t, an API destination."),
        ({"Arn": f"{ARN}:api-destination/d"}, "it does not name a EventBridge API destination"),
        (
            {"Arn": f"arn:aws:events:{REGION}:000000000000:api-destination/d/1"},
            "arn:aws:events:REGION:ACCOUNT:api-destination/NAME/ID",
        ),
        (
            {"Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:q", "HttpParameters": {"PathParameterValues": ["a"]}},
            "workshape does not do HttpParameters of such targets of EventBridge: they are for API destinations here",
        ),
        (
            {
                "Arn": f"{ARN}:api-destination/d/1",
                "RoleArn": ROLE,
                "HttpParameters": {"QueryStringParameters": {"q": "$.detail["}},
            },
            "'$.detail[' is no JSON path",
        ),
    ],
)
def test_a_target_that_cannot_be_called_is_refused(events: Any, target: dict[str, Any], words: str) -> None:
    events.put_rule(Name="refuses", EventPattern='{"source": ["nobody"]}')

    code, message = refused(events.put_targets, Rule="refuses", Targets=[{"Id": "t", **target}])

    assert code == "ValidationException"
    assert words in message


def test_schedules_have_no_api_destinations_as_aws_documents(engine: LiveEngine) -> None:
    target = {"Arn": f"{ARN}:api-destination/d/1", "RoleArn": ROLE}

    code, message = refused(
        engine.client("scheduler").create_schedule,
        Name="no-http",
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=target,
    )

    assert code == "ValidationException"
    assert "events is no destination for this" in message
