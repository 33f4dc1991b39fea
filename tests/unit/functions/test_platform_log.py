"""Lambda's own log lines, character by character."""

import json
from dataclasses import replace

from msgspec import structs

from workshape.functions import platform_log
from workshape.functions.model import FunctionName, FunctionVersion, LogFormat, RequestId
from workshape.functions.platform_log import (
    InitReport,
    Report,
    end_lines,
    init_report_line,
    log_stream,
    own_log_group,
    start_line,
)

AT = 1_791_442_429.256
TEXT = FunctionVersion(FunctionName("f"), "$LATEST", "arn", "python3.12", "a.b", "/code", 128, 3, "1")
JSON = replace(TEXT, log_format=LogFormat.JSON)
REPORT = Report(RequestId("id-1"), "success", None, False, 11.642, 12, 128, 67, None)


def test_an_invocation_opens_with_start() -> None:
    assert start_line(TEXT, RequestId("id-1"), AT) == b"START RequestId: id-1 Version: $LATEST"


def test_an_init_phase_opens_with_its_runtimes_version() -> None:
    function = replace(TEXT, arn="arn:aws:lambda:eu-west-1:123456789012:function:f")

    line = platform_log.init_start_line(function).decode()

    assert line.startswith(
        "INIT_START Runtime Version: python:3.12.v1\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:"
    )
    named = {"nodejs22.x": "nodejs:22.v1", "provided.al2023": "provided:al2023.v1", "java8.al2": "java:8.al2.v1"}
    for runtime, version in named.items():
        other = platform_log.init_start_line(replace(function, runtime=runtime)).decode()
        assert other.startswith(f"INIT_START Runtime Version: {version}\t")
    assert platform_log.init_start_line(replace(function, log_format=LogFormat.JSON)) == b""


def test_a_warm_report_has_no_init_duration() -> None:
    assert end_lines(TEXT, REPORT, AT) == [
        b"END RequestId: id-1",
        b"REPORT RequestId: id-1\tDuration: 11.64 ms\tBilled Duration: 12 ms\tMemory Size: 128 MB\t"
        b"Max Memory Used: 67 MB\t",
    ]


def test_a_timed_out_cold_report_ends_in_its_status() -> None:
    report = structs.replace(
        REPORT, status="timeout", error_type="Sandbox.Timedout", crashed=True, duration_ms=3000.0, billed_ms=3403,
        init_ms=402.04,
    )  # fmt: skip

    assert end_lines(TEXT, report, AT)[1] == (
        b"REPORT RequestId: id-1\tDuration: 3000.00 ms\tBilled Duration: 3403 ms\tMemory Size: 128 MB\t"
        b"Max Memory Used: 67 MB\tInit Duration: 402.04 ms\tStatus: timeout"
    )


def test_a_crash_names_its_error_type_and_a_functions_own_error_does_not() -> None:
    crash = structs.replace(REPORT, status="error", error_type="Runtime.ExitError", crashed=True)

    assert end_lines(TEXT, crash, AT)[1].endswith(b"\tStatus: error\tError Type: Runtime.ExitError")
    assert b"Status" not in end_lines(TEXT, structs.replace(crash, crashed=False), AT)[1]


def test_a_failed_init_phase_is_reported() -> None:
    timeout = InitReport("init", "timeout", None, 10_000.487)
    error = InitReport("invoke", "error", "Runtime.ImportModuleError", 99.65)

    assert (
        init_report_line(TEXT, timeout, AT) == b"INIT_REPORT Init Duration: 10000.49 ms\tPhase: init\tStatus: timeout"
    )
    assert init_report_line(TEXT, error, AT) == (
        b"INIT_REPORT Init Duration: 99.65 ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ImportModuleError"
    )


def test_the_json_format_has_start_and_report_events() -> None:
    report = structs.replace(REPORT, init_ms=174.055)

    assert json.loads(start_line(JSON, RequestId("id-1"), AT)) == {
        "time": "2026-10-08T06:53:49.256Z",
        "type": "platform.start",
        "record": {"requestId": "id-1", "version": "$LATEST"},
    }
    assert [json.loads(line) for line in end_lines(JSON, report, AT)] == [
        {
            "time": "2026-10-08T06:53:49.256Z",
            "type": "platform.report",
            "record": {
                "requestId": "id-1",
                "metrics": {
                    "durationMs": 11.642,
                    "billedDurationMs": 12,
                    "memorySizeMB": 128,
                    "maxMemoryUsedMB": 67,
                    "initDurationMs": 174.055,
                },
                "status": "success",
            },
        }
    ]


def test_a_json_init_report_says_why_it_failed() -> None:
    line = init_report_line(JSON, InitReport("init", "error", "Runtime.ExitError", 12.3456), AT)

    assert json.loads(line)["record"] == {
        "initializationType": "on-demand",
        "phase": "init",
        "status": "error",
        "errorType": "Runtime.ExitError",
        "metrics": {"durationMs": 12.346},
    }


def test_groups_and_streams_are_named_as_cloudwatch_has_them() -> None:
    shared = replace(TEXT, log_group="/shop")

    assert own_log_group(TEXT.name) == "/aws/lambda/f"
    assert log_stream(TEXT, AT, "22be53a8") == "2026/10/08/[$LATEST]22be53a8"
    assert log_stream(shared, AT, "22be53a8") == "2026/10/08/f[$LATEST][22be53a8]"
