"""Which lines are shown: by what they say, and by the request they were written for."""

from workshape.functions.log_line import LogLine
from workshape.functions.log_selection import LogSelection
from workshape.functions.model import FunctionName

LOG = [
    ("a", "START RequestId: id-1 Version: $LATEST"),
    ("b", "START RequestId: id-2 Version: $LATEST"),
    ("a", "one says hello"),
    ("b", "two says hello"),
    ("a", "END RequestId: id-1"),
    ("a", "REPORT RequestId: id-1\tDuration: 1.00 ms"),
    ("a", "START RequestId: id-3 Version: $LATEST"),
    ("a", "three says hello"),
    ("c", '{"time":"t","type":"platform.start","record":{"requestId":"id-4","version":"1"}}'),
    ("c", "four says hello"),
    ("c", '{"time":"t","type":"platform.report","record":{"requestId":"id-4"}}'),
]


def chosen(selection: LogSelection) -> list[str]:
    lines = [LogLine(FunctionName("f"), float(number), stream, text) for number, (stream, text) in enumerate(LOG)]
    return [line.message.split("\t")[0] for line in lines if selection.takes(line)]


def test_every_line_is_shown_when_nothing_is_asked() -> None:
    assert len(chosen(LogSelection())) == len(LOG)
    assert LogSelection().is_everything


def test_a_requests_lines_are_those_between_its_start_and_the_next() -> None:
    assert chosen(LogSelection(request_id="id-1")) == [
        "START RequestId: id-1 Version: $LATEST",
        "one says hello",
        "END RequestId: id-1",
        "REPORT RequestId: id-1",
    ]
    assert len(chosen(LogSelection(request_id="id-4"))) == 3


def test_a_filter_and_a_request_both_hold() -> None:
    selection = LogSelection(lambda message: "hello" in message, "id-2")

    assert chosen(selection) == ["two says hello"]
    assert not selection.is_everything
