"""What an environment's runtime and extensions may say to each other's platform, and when it is ready."""

import json
from typing import Any

import pytest

from tests.fakes.inside import EXTENSION, RUNTIME, Inside, Poll, event
from workshape.functions.extension_sessions import EXTENSIONS_MAX, ShutdownReason
from workshape.functions.runtime_answers import RESPONSE_BYTES_MAX
from workshape.http1.message import Response


def test_a_lone_runtime_is_ready_when_it_asks() -> None:
    inside = Inside().open()

    poll = inside.next()
    inside.dispatch()

    assert inside.told == [("ready",)]
    assert event(poll) == {}


def test_a_result_may_ask_for_the_next_invocation_which_is_then_its_answer() -> None:
    inside = Inside().open()
    inside.next()
    inside.dispatch("r1")

    poll = inside.ask("POST", f"{RUNTIME}invocation/r1/response/next", b"1")
    told = list(inside.told)
    inside.dispatch("r2")
    after = inside.ask("POST", f"{RUNTIME}invocation/r2/error/next", b"{}", lambda_runtime_function_error_type="E")

    assert told == [("ready",), ("responded", "r1", b"1"), ("ready",)]
    assert event(poll) == {}
    assert isinstance(after, Poll)
    assert after.given is None
    assert inside.told[3:] == [("failed", "r2", "E", b"{}"), ("ready",)]


def test_a_result_that_is_refused_asks_for_nothing() -> None:
    inside = Inside().open()
    inside.next()
    inside.dispatch("r1")

    stranger = inside.refused("POST", f"{RUNTIME}invocation/r0/response/next", b"1")
    huge = inside.refused("POST", f"{RUNTIME}invocation/r1/response/next", b"1" * (RESPONSE_BYTES_MAX + 1))
    no_such = inside.refused("POST", f"{RUNTIME}invocation/r1/response/nothing", b"1")
    told = list(inside.told)
    inside.next()

    assert (stranger[0], huge[0], no_such[0]) == (400, 413, 404)
    assert [each[0] for each in told] == ["ready", "failed"]
    assert inside.told[-1] == ("ready",)


def test_the_init_phase_lasts_until_everybody_asks() -> None:
    inside = Inside().open("one", "two")
    one, _ = inside.register("one", "INVOKE")
    inside.next()
    two, _ = inside.register("two")
    inside.extension_next(one)
    before = list(inside.told)

    inside.extension_next(two)

    assert before == []
    assert inside.told == [("extension ready", "one"), ("extension ready", "two"), ("ready",)]


def test_the_runtime_may_start_when_every_program_has_registered() -> None:
    inside = Inside().open("one", "two")
    gate = inside.ask("GET", "/_workshape/supervisor/registered")
    assert isinstance(gate, Poll)

    inside.register("one")
    inside.register("internal")
    after_one = gate.given
    inside.register("two")

    assert after_one is None
    assert gate.given is not None
    assert gate.given.status == 200


def test_an_invocation_ends_when_runtime_and_extensions_ask_for_more() -> None:
    inside = Inside().open("one", "deaf")
    one, _ = inside.register("one", "INVOKE", "SHUTDOWN")
    deaf, _ = inside.register("deaf", "SHUTDOWN")
    inside.next()
    poll, silent = inside.extension_next(one), inside.extension_next(deaf)
    inside.told.clear()

    inside.dispatch("r1")
    inside.respond("r1")
    inside.next()
    inside.extension_next(one)

    assert event(poll) == {
        "eventType": "INVOKE",
        "deadlineMs": 1_000,
        "requestId": "r1",
        "invokedFunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:f",
        "tracing": {"type": "X-Amzn-Trace-Id", "value": "Root=1"},
    }
    assert isinstance(silent, Poll)
    assert silent.given is None
    assert inside.told == [("responded", "r1", b"1"), ("runtime done",), ("ready",)]


def test_an_extension_may_be_done_before_the_runtime() -> None:
    inside = Inside().open("one")
    one, _ = inside.register("one", "INVOKE")
    inside.next()
    inside.extension_next(one)
    inside.told.clear()

    inside.dispatch("r1")
    inside.extension_next(one)
    inside.respond("r1")
    inside.next()

    assert inside.told == [("responded", "r1", b"1"), ("ready",)]


def test_an_event_waits_for_an_extension_that_lost_its_connection() -> None:
    inside = Inside().open("one")
    one, _ = inside.register("one", "INVOKE")
    inside.next()
    lost = inside.extension_next(one)
    assert isinstance(lost, Poll)
    lost.has_gone = True

    inside.dispatch("r1")
    again = inside.extension_next(one)

    assert event(again)["requestId"] == "r1"


def test_registration_answers_who_the_function_is() -> None:
    inside = Inside().open()

    identifier, plain = inside.register("one")
    _, with_account = inside.register("two", lambda_extension_accept_feature="accountId")

    assert len(identifier) == 36
    assert plain == {"functionName": "f", "functionVersion": "$LATEST", "handler": "a.b"}
    assert with_account["accountId"] == "123456789012"


@pytest.mark.parametrize(
    ("name", "body", "status", "kind"),
    [
        ("", b"{}", 403, "Extension.InvalidExtensionName"),
        ("one", b"{", 400, "InvalidRequestFormat"),
        ("one", b"[" * 100_000 + b"]" * 100_000, 400, "InvalidRequestFormat"),
        ("one", b'{"events": "INVOKE"}', 400, "InvalidRequestFormat"),
        ("one", b'{"events": ["REBOOT"]}', 403, "Extension.InvalidEventType"),
        ("internal", b'{"events": ["SHUTDOWN"]}', 403, "Extension.InvalidEventType"),
        ("there", b"{}", 403, "Extension.AlreadyRegistered"),
    ],
)
def test_a_registration_that_is_none_is_refused(name: str, body: bytes, status: int, kind: str) -> None:
    inside = Inside().open("one")
    inside.register("there")

    assert inside.refused("POST", EXTENSION + "register", body, lambda_extension_name=name) == (status, kind)


def test_no_more_than_ten_extensions_register_and_none_after_the_init_phase() -> None:
    inside = Inside().open()
    identifiers = [inside.register(f"e{number}")[0] for number in range(EXTENSIONS_MAX)]

    _, eleventh = inside.register("one too many")
    inside.next()
    for identifier in identifiers:
        inside.extension_next(identifier)
    _, late = inside.register("late")

    assert eleventh["errorType"] == "Extension.TooManyExtensions"
    assert late["errorType"] == "Extension.RegistrationClosed"


def test_only_a_registered_extension_is_heard() -> None:
    inside = Inside().open("one")

    for method, verb in (("GET", "event/next"), ("POST", "init/error"), ("POST", "exit/error")):
        found = inside.refused(method, EXTENSION + verb, b"{}", lambda_extension_identifier="nobody")
        assert found == (403, "Extension.UnknownExtensionIdentifier")


def test_an_extension_that_reports_an_error_is_heard_no_more() -> None:
    inside = Inside().open("one")
    one, _ = inside.register("one", "INVOKE")
    who: dict[str, Any] = {"lambda_extension_identifier": one}

    without_type = inside.refused("POST", EXTENSION + "init/error", b"{}", **who)
    reported = inside.refused(
        "POST", EXTENSION + "init/error", b"{}", lambda_extension_function_error_type="A.B", **who
    )
    after = inside.refused("GET", EXTENSION + "event/next", **who)
    inside.exited("one", 0)

    assert (without_type[0], reported[0], after[0]) == (400, 202, 403)
    assert inside.told == [("extension failed", "one", "Extension.InitError", "A.B")]


def test_the_supervisor_tells_who_ended_and_how() -> None:
    inside = Inside().open("one", "two", "three")
    inside.register("two")

    inside.exited("one", 256)
    inside.exited("two", 9)
    inside.exited("nobody", 0)
    inside.exited("", 0)
    body = json.dumps({"name": "three", "error": "no such file"}).encode()
    inside.ask("POST", "/_workshape/supervisor/exited", body)
    nonsense = inside.refused("POST", "/_workshape/supervisor/exited", b"[]")

    assert inside.told == [
        ("extension failed", "one", "Extension.Crash", "exit status 1"),
        ("extension failed", "two", "Extension.Crash", "signal: killed"),
        ("runtime exited", "exit status 0"),
        ("extension failed", "three", "Extension.LaunchError", "no such file"),
    ]
    assert nonsense[0] == 400


@pytest.mark.parametrize("status", [-1, 0x10000, 1 << 31, 1 << 62])
def test_an_end_that_no_process_has_is_refused(status: int) -> None:
    inside = Inside().open("one")
    body = json.dumps({"name": "one", "status": status}).encode()

    assert inside.refused("POST", "/_workshape/supervisor/exited", body)[0] == 400


def test_shutdown_is_told_to_those_who_asked_for_it() -> None:
    inside = Inside().open("one", "busy")
    one, _ = inside.register("one", "SHUTDOWN")
    busy, _ = inside.register("busy", "INVOKE", "SHUTDOWN")
    inside.register("internal", "INVOKE")
    poll = inside.extension_next(one)

    told = inside.api.shut_down(ShutdownReason.TIMEOUT, 2_000)

    expected = {"eventType": "SHUTDOWN", "shutdownReason": "timeout", "deadlineMs": 2_000}
    assert told
    assert event(poll) == expected
    assert event(inside.extension_next(busy)) == expected
    assert not Inside().open().api.shut_down(ShutdownReason.SPINDOWN, 0)


def test_whoever_ends_in_the_shutdown_phase_has_not_crashed() -> None:
    inside = Inside().open("one", "two")
    one, _ = inside.register("one", "SHUTDOWN")
    inside.register("two")
    inside.extension_next(one)

    inside.api.begin_shutdown()
    inside.exited("two", 0)
    inside.api.shut_down(ShutdownReason.SPINDOWN, 2_000)
    inside.exited("one", 9)

    assert inside.told == []


def test_only_a_registered_extension_subscribes_and_only_in_the_init_phase() -> None:
    inside = Inside().open()
    one, _ = inside.register("one")

    unknown = inside.refused("PUT", "/2022-07-01/telemetry", b"{}", lambda_extension_identifier="nobody")
    unreadable = inside.refused("PUT", "/2022-07-01/telemetry/", b"{}", lambda_extension_identifier=one)
    inside.next()
    inside.extension_next(one)
    late = inside.refused("PUT", "/2022-07-01/telemetry", b"{}", lambda_extension_identifier=one)

    assert unknown == (403, "Extension.UnknownExtensionIdentifier")
    assert unreadable == (400, "ValidationError")
    assert late == (403, "Telemetry.SubscriptionClosed")


def test_the_logs_api_is_refused_with_the_remedy() -> None:
    answer = Inside().open().ask("PUT", "/2020-08-15/logs", b"{}")

    assert isinstance(answer, Response)
    assert answer.status == 404
    assert b"Telemetry API" in bytes(answer.body)  # type: ignore[arg-type]  # it is whole


def test_what_an_extension_writes_is_handed_on_by_the_line() -> None:
    inside = Inside().open("a b")

    for part in (b"one\ntw", b"o\nrest"):
        inside.ask("POST", "/_workshape/supervisor/output/a%20b", part)
    inside.ask("POST", "/_workshape/supervisor/output/nobody", b"lie\n")
    inside.api.begin_shutdown()
    inside.exited("a b", 0)

    assert inside.told == [("extension wrote", line) for line in (b"one", b"two", b"rest")]


def test_what_is_no_operation_is_refused_by_name() -> None:
    inside = Inside().open()

    for target in (RUNTIME + "nonsense", EXTENSION + "nonsense", "/_workshape/supervisor/x", "/", "nonsense"):
        assert inside.refused("GET", target) == (404, "NotFound")
