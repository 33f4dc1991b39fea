"""Holds random conversations until one does not go as it must; then looks for the shortest that goes wrong alike."""

import asyncio
from types import TracebackType
from typing import Self

import uvloop
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Flaky

from tests.conversations.playing import ANSWER_S_MAX
from tests.conversations.said import Conversation
from tests.conversations.stage import Differs, Stage
from tests.conversations.vocabulary import CONVERSATIONS
from tests.integration.pgproxy.conftest import Server

ANSWER_SHORTENING_S_MAX = 3.0
"""While a shorter one is looked for: most are tried in vain."""


class Search:
    """On one server, on a loop of its own."""

    def __init__(self, server: Server) -> None:
        self.stage = Stage(server)
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._found: Differs | None = None

    def __enter__(self) -> Self:
        self._runner.run(self.stage.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._runner.run(self.stage.__aexit__(kind, error, traceback))
        self._runner.close()

    def play(self, conversation: Conversation) -> None:
        """Hold one.

        Raises:
            Differs: it did not go as it must.
        """
        self._runner.run(self.stage.play(conversation))

    def look(self, seed_number: int, conversations: int) -> Differs | None:
        """Hold so many, always the same for a seed; return the shortest that goes wrong, if one does."""
        self._found, self.stage.answer_s_max = None, ANSWER_S_MAX
        one_by_one = settings(
            max_examples=conversations,
            phases=(Phase.generate, Phase.shrink),
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        )
        try:
            seed(seed_number)(one_by_one(given(CONVERSATIONS)(self._try)))()
        except (Differs, Flaky):
            return self._found
        return None

    def _try(self, conversation: Conversation) -> None:
        try:
            self.play(conversation)
        except Differs as error:
            self._found, self.stage.answer_s_max = error, ANSWER_SHORTENING_S_MAX
            raise
