"""SnapStart: what a runtime may ask of a snapshot, how long a restore may take, what logs and callers are told."""

import json
from dataclasses import replace

from tests.fakes.inside import RUNTIME, Inside, Poll
from workshape.functions.actions import Answer, Outcome, Queue, Start, Stop, StopReason
from workshape.functions.limits import PROVISIONED_INIT_S_MIN, RESTORE_S_MAX
from workshape.functions.model import (
    EnvironmentId,
    FunctionName,
    FunctionVersion,
    InitializationType,
    LogFormat,
    RequestId,
)
from workshape.functions.platform_log import (
    InitReport,
    Report,
    RestoreReport,
    end_lines,
    init_report_line,
    restore_report_line,
)
from workshape.functions.scheduler import Scheduler
from workshape.http1.message import Response
from workshape.settings import FunctionSettings

E1 = EnvironmentId(1)
A = RequestId("a")
AT = 1_791_442_429.256
VERSION = FunctionVersion(FunctionName("f"), "1", "arn", "python3.12", "a.b", "/code", 128, 3, "1", snap_start=True)
IN_JSON = replace(VERSION, log_format=LogFormat.JSON)


def starting() -> Scheduler:
    """One environment has begun its init phase, and an invocation waits for it."""
    core = Scheduler(FunctionSettings(), 0.0)
    assert core.invoke(VERSION, A, None, 0, 1.0) == [
        Start(E1, VERSION, initialization_type=InitializationType.SNAP_START),
        Queue(A),
    ]
    core.started(E1, 1.0)
    return core


def test_a_restored_runtime_goes_on_and_asks_for_its_first_event() -> None:
    inside = Inside(goes_on=True).open()

    answer = inside.ask("GET", RUNTIME + "restore/next")
    inside.next()

    assert isinstance(answer, Response)
    assert answer.status == 200
    assert inside.told == [("restores",), ("ready",)]


def test_a_runtime_of_which_the_snapshot_is_taken_is_never_answered() -> None:
    inside = Inside(goes_on=False).open()

    poll = inside.ask("GET", RUNTIME + "restore/next")

    assert isinstance(poll, Poll)
    assert poll.given is None


def test_only_a_function_with_snap_start_is_restored_and_only_once() -> None:
    without, twice = Inside(goes_on=None).open(), Inside(goes_on=True).open()
    twice.ask("GET", RUNTIME + "restore/next")

    assert without.refused("GET", RUNTIME + "restore/next") == (403, "InvalidStateTransition")
    assert twice.refused("GET", RUNTIME + "restore/next") == (403, "InvalidStateTransition")


def test_an_error_after_a_restore_is_no_error_of_the_init_phase() -> None:
    inside = Inside(goes_on=True).open()
    too_early = inside.refused("POST", RUNTIME + "restore/error", b"{}")
    inside.ask("GET", RUNTIME + "restore/next")
    too_late = inside.refused("POST", RUNTIME + "init/error", b"{}")

    error = {"lambda_runtime_function_error_type": "Runtime.AfterRestoreError"}
    in_time = inside.refused("POST", RUNTIME + "restore/error", b"{}", **error)

    assert (too_early[0], too_late[0], in_time) == (403, 403, (202, ""))
    assert inside.told == [("restores",), ("init failed", "Runtime.AfterRestoreError")]


def test_what_was_made_from_a_snapshot_begins_restored() -> None:
    inside = Inside(goes_on=True).open()

    inside.api.restored()
    inside.next()

    assert inside.told == [("restores",), ("ready",)]


def test_the_init_phase_before_a_restore_may_take_its_time_and_the_rest_ten_seconds() -> None:
    core = starting()
    before = core.tick(1.0 + PROVISIONED_INIT_S_MIN - 0.1)
    core.restored(E1, 100.0)

    in_time, too_late = core.tick(100.0 + RESTORE_S_MAX - 0.1), core.tick(100.0 + RESTORE_S_MAX)

    assert before == in_time == []
    assert too_late == [Answer(A, Outcome.RESTORE_TIMED_OUT, E1), Stop(E1, StopReason.INIT_TIMED_OUT)]


def test_an_init_phase_in_the_place_of_a_restore_is_not_begun_again_within_an_invocation() -> None:
    core = starting()

    too_late = core.tick(1.0 + PROVISIONED_INIT_S_MIN)

    assert too_late == [Answer(A, Outcome.RESTORE_TIMED_OUT, E1), Stop(E1, StopReason.INIT_TIMED_OUT)]


def test_a_hook_that_fails_after_the_restore_fails_the_invocation_that_waits() -> None:
    core = starting()
    core.restored(E1, 1.5)

    failed = core.init_failed(E1)

    assert failed == [Answer(A, Outcome.RESTORE_FAILED, E1), Stop(E1, StopReason.INIT_FAILED)]


def test_a_report_tells_the_restore_apart_from_the_init_phase() -> None:
    report = Report(A, "success", None, False, 159.87, 278, 1024, 88, None, 562.43, 118)

    text, event = end_lines(VERSION, report, AT)[1], json.loads(end_lines(IN_JSON, report, AT)[0])

    assert text == (
        b"REPORT RequestId: a\tDuration: 159.87 ms\tBilled Duration: 278 ms\tMemory Size: 1024 MB\t"
        b"Max Memory Used: 88 MB\tRestore Duration: 562.43 ms\tBilled Restore Duration: 118 ms\t"
    )
    assert event["record"]["metrics"]["restoreDurationMs"] == 562.43
    assert "initDurationMs" not in event["record"]["metrics"]


def test_a_restore_is_reported_when_it_is_over() -> None:
    well = RestoreReport("success", None, 1_326.771)
    badly = RestoreReport("error", "Runtime.AfterRestoreError", 12.3456)
    late = RestoreReport("timeout", None, 10_000.0)

    assert restore_report_line(VERSION, well, AT) == b"RESTORE_REPORT Restore Duration: 1326.77 ms"
    assert restore_report_line(VERSION, badly, AT).endswith(b"\tStatus: error\tError Type: Runtime.AfterRestoreError")
    assert restore_report_line(VERSION, late, AT).endswith(b"10000.00 ms\tStatus: timeout")
    assert json.loads(restore_report_line(IN_JSON, badly, AT)) == {
        "time": "2026-10-08T06:53:49.256Z",
        "type": "platform.restoreReport",
        "record": {"status": "error", "errorType": "Runtime.AfterRestoreError", "metrics": {"durationMs": 12.346}},
    }


def test_the_init_phase_before_a_snapshot_is_reported_although_it_went_well() -> None:
    report = InitReport("init", "success", None, 13_316.04, InitializationType.SNAP_START)

    assert init_report_line(VERSION, report, AT) == b"INIT_REPORT Init Duration: 13316.04 ms"
    assert json.loads(init_report_line(IN_JSON, report, AT))["record"]["initializationType"] == "snap-start"
