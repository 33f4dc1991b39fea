"""The log groups that functions write to: each its own, or one that several share.

What a function writes is kept by function; a group is whatever its functions have written, in the order of time.

Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-loggroups.html
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from pathlib import Path

from workshape.functions.log_line import LogLine
from workshape.functions.log_reader import read_lines
from workshape.functions.logs import FunctionLogs
from workshape.functions.model import FunctionName


@dataclass(frozen=True, slots=True)
class LogGroup:
    """One group, with what is there of it now."""

    name: str
    files: Mapping[FunctionName, list[Path]]
    """Of each function, oldest first."""

    def lines(self, since: float, until: float) -> Iterator[LogLine]:
        """Read from `since` until before `until` (Unix time), oldest first. For a thread of its own."""
        each = [read_lines(function, files, since, until) for function, files in self.files.items()]
        return each[0] if len(each) == 1 else merge(*each, key=lambda line: line.time)

    @property
    def stored_bytes(self) -> int:
        """How large its files are."""
        return sum(path.stat().st_size for files in self.files.values() for path in files if path.exists())


class LogGroups:
    """All of them that have been written to. Used on the event loop's thread."""

    def __init__(self, logs: FunctionLogs, group_of: Callable[[FunctionName], str]) -> None:
        """`group_of` names the group of a function, also of one that is no longer there."""
        self._logs = logs
        self._group_of = group_of

    def __repr__(self) -> str:
        return f"<LogGroups of {self._logs!r}>"

    def names(self) -> list[str]:
        """Their names, sorted."""
        return sorted({self._group_of(function) for function in self._logs.names()})

    def find(self, name: str) -> LogGroup | None:
        """Find one by its name."""
        return next(iter(self.find_all((name,))), None)

    def find_all(self, names: Collection[str]) -> list[LogGroup]:
        """Find those of these names that there are, in their order, while looking through the logs once."""
        files: dict[str, dict[FunctionName, list[Path]]] = {name: {} for name in names}
        for function in self._logs.names():
            group = files.get(self._group_of(function))
            if group is not None:
                group[function] = self._logs.files(function)
        return [LogGroup(name, files[name]) for name in names if files[name]]
