"""A result that is to come, and costs neither a task nor a turn of the event loop."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable
from typing import Any, Generic, Self, TypeVar, cast

T = TypeVar("T")
U = TypeVar("U")


class Later(Generic[T]):
    """Await it, or be called with it the moment it is there.

    Whoever gives it does so once. Whoever stops awaiting it stops nobody else. It is used on the event loop's thread.
    """

    __slots__ = ("_failure", "_takers", "_value", "done")

    def __init__(self) -> None:
        self.done = False
        """It has been given, or has failed."""
        self._value: T | None = None
        self._failure: Exception | None = None
        self._takers: tuple[Callable[[Later[T]], None], ...] = ()

    def __repr__(self) -> str:
        state = "to come" if not self.done else "given" if self._failure is None else f"failed: {self._failure!r}"
        return f"<Later {state}>"

    @classmethod
    def given(cls, value: T) -> Self:
        """Make one that is there already."""
        made = cls()
        made.give(value)
        return made

    def give(self, value: T) -> None:
        """It is there: tell everybody before this returns."""
        self._value = value
        self._tell()

    def fail(self, failure: Exception) -> None:
        """It will not come: tell everybody why."""
        self._failure = failure
        self._tell()

    def result(self) -> T:
        """Return it, or raise what it failed with; for when it is done."""
        assert self.done, "asked too early"
        if self._failure is not None:
            raise self._failure
        return cast(T, self._value)

    def when_done(self, taker: "Callable[[Later[T]], None]") -> None:
        """Call `taker` when it is done, which may be now.

        The call is inside the giver's own work: it must not raise, and should begin nothing new.
        """
        if self.done:
            taker(self)
        else:
            self._takers += (taker,)

    def then(self, convert: Callable[[T], U]) -> "Later[U]":
        """Make one of what `convert` makes of it."""
        converted: Later[U] = Later()
        self.when_done(lambda done: converted._convert(done, convert))
        return converted

    def _convert(self, done: "Later[U]", convert: Callable[[U], T]) -> None:
        try:
            value = convert(done.result())
        except Exception as failure:  # noqa: BLE001 - handed on to whoever takes the result
            self.fail(failure)
        else:
            self.give(value)

    def __await__(self) -> Generator[Any, None, T]:
        if not self.done:
            waiting = asyncio.get_running_loop().create_future()
            self.when_done(lambda _: _wake(waiting))
            yield from waiting
        return self.result()

    def _tell(self) -> None:
        assert not self.done, "given twice"
        self.done = True
        takers, self._takers = self._takers, ()
        for taker in takers:
            taker(self)


def _wake(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


async def together(coming: Iterable[Awaitable[T]]) -> list[T]:
    """Await them all at once, begun in their order; one alone costs no task.

    Raises:
        What the first of them failed with; the others are cancelled then.
    """
    them = list(coming)
    if len(them) == 1:
        return [await them[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_awaited(each)) for each in them]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return [task.result() for task in tasks]


async def _awaited(coming: Awaitable[T]) -> T:
    return await coming
