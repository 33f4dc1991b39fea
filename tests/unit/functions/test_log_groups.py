"""Log groups: a function's own, and one that several share, looked up one by one or many at once."""

from pathlib import Path

from workshape.functions.log_groups import LogGroups
from workshape.functions.logs import FunctionLogs
from workshape.functions.model import FunctionName

STREAM, AT = "2026/10/08/[$LATEST]22be", 1_791_442_429.0


class CountingLogs(FunctionLogs):
    """Counts how often all of them are looked through."""

    looked_through = 0

    def names(self) -> list[FunctionName]:
        """See `FunctionLogs.names`."""
        self.looked_through += 1
        return super().names()


async def test_many_groups_are_found_by_looking_through_the_logs_once(tmp_path: Path) -> None:
    logs = CountingLogs(tmp_path)
    for number in range(20):
        logs.write(FunctionName(f"f{number}"), STREAM, f"of {number}".encode(), AT)
    shared = {"f1": "/both", "f2": "/both"}
    groups = LogGroups(logs, lambda function: shared.get(function, f"/aws/lambda/{function}"))

    found = groups.find_all(["/both", "/none", *(f"/aws/lambda/f{number}" for number in range(3, 20))])

    assert logs.looked_through == 1
    assert [group.name for group in found][:2] == ["/both", "/aws/lambda/f3"]
    assert len(found) == 18
    assert sorted(line.message for line in found[0].lines(0.0, AT + 1)) == ["of 1", "of 2"]
    assert groups.find("/none") is None
    logs.close()
