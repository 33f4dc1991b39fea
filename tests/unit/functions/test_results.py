"""What callers get when a function did not answer."""

import json

from workshape.functions import results
from workshape.functions.model import RequestId

REQUEST = RequestId("6c14aac6")


def test_a_timeout_names_the_configured_seconds() -> None:
    assert results.timed_out(REQUEST, 3) == (
        b'{"errorType":"Sandbox.Timedout",'
        b'"errorMessage":"RequestId: 6c14aac6 Error: Task timed out after 3.00 seconds"}'
    )


def test_an_exit_names_its_status() -> None:
    assert results.exited(REQUEST, "exit status 1") == (
        b'{"errorType":"Runtime.ExitError",'
        b'"errorMessage":"RequestId: 6c14aac6 Error: Runtime exited with error: exit status 1"}'
    )


def test_an_exit_without_an_error_gives_no_reason() -> None:
    message = json.loads(results.exited(REQUEST, "exit status 0"))["errorMessage"]

    assert message == "RequestId: 6c14aac6 Error: Runtime exited without providing a reason"


def test_the_error_type_is_the_bodys_else_the_headers_else_unknown() -> None:
    assert results.error_type(b'{"errorType":"ValueError"}', "Unhandled") == "ValueError"
    assert results.error_type(b"{}", "Function.Odd") == "Function.Odd"
    assert results.error_type(b"not json", "") == "Runtime.Unknown"
    assert results.error_type(b'{"errorType":7}', "") == "Runtime.Unknown"
    assert results.error_type(b'{"errorType":"\xff"}', "") == "Runtime.Unknown"
