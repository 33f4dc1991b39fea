"""Laws of the conversation inside an environment, whatever its runtime and extensions say, in whatever order."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.fakes.inside import EXTENSION, RUNTIME, Inside, Poll
from workshape.functions.model import RequestId
from workshape.http1.message import BodySink, Response
from workshape.http1.pieces import Pieces

NAMES = ("one", "two", "internal")
FATAL = ("init failed", "extension failed", "runtime exited")
EVENTS = st.lists(st.sampled_from(["INVOKE", "SHUTDOWN"]), max_size=2)


class Conversation(RuleBasedStateMachine):
    """A runtime and extensions that say anything; an owner who dispatches when, and only when, it hears "ready"."""

    polls = Bundle("polls")
    bodies = Bundle("bodies")

    @initialize(external=st.booleans())
    def begin(self, external: bool) -> None:
        self.inside = Inside().open(*(("one",) if external else ()))
        self.identifiers: dict[str, str] = {}
        self.invocations: list[str] = []
        self.events: dict[str, list[str]] = {}
        self.waiting: set[str] = set()
        """Who has asked for what comes next, and not got it."""
        self.polled: list[Poll] = []

    @rule(dispatches=st.booleans())
    def everybody_behaves_for_once(self, dispatches: bool) -> None:
        """So that lies meet every state, not only the first."""
        if any(told[0] in FATAL for told in self.inside.told):
            self.begin(external=bool(len(self.invocations) % 2))  # as the owner does: another environment
        if "one" not in self.identifiers:
            self.extension_registers("one", ["INVOKE"])
        self.runtime_answers(0, "response")
        for name in self.identifiers:
            self.extension_asks(name)
        self.runtime_asks()
        if dispatches and self._may_dispatch():
            self.owner_dispatches(reads=True)

    @rule(target=polls)
    def runtime_asks(self) -> Poll | None:
        return self._kept("runtime", self.inside.next())

    @rule(target=polls, name=st.sampled_from(NAMES))
    def extension_asks(self, name: str) -> Poll | None:
        return self._kept(name, self.inside.extension_next(self.identifiers.get(name, "nobody")))

    @rule(name=st.sampled_from(NAMES), events=EVENTS)
    def extension_registers(self, name: str, events: list[str]) -> None:
        identifier, _ = self.inside.register(name, *events)
        if identifier:
            assert name not in self.identifiers, "nobody registers twice"
            self.identifiers[name], self.events[name] = identifier, events

    @rule(poll=polls)
    def client_goes_away(self, poll: Poll | None) -> None:
        if poll is not None:
            poll.has_gone = True

    @rule(late=st.integers(0, 2), verb=st.sampled_from(["response", "error"]))
    def runtime_answers(self, late: int, verb: str) -> None:
        self.inside.ask("POST", f"{RUNTIME}invocation/{self._some(late)}/{verb}", b"{}")

    @rule(target=polls, late=st.integers(0, 2), verb=st.sampled_from(["response", "error"]))
    def runtime_answers_and_asks(self, late: int, verb: str) -> Poll | None:
        target = f"{RUNTIME}invocation/{self._some(late)}/{verb}/next"
        return self._kept("runtime", self.inside.ask("POST", target, b"{}"))

    @rule(target=bodies, late=st.integers(0, 2))
    def runtime_streams(self, late: int) -> BodySink | None:
        body = self.inside.stream(self._some(late))
        assert body is not None
        return body

    @rule(body=bodies, how=st.sampled_from(["data", "end", "error", "lost"]))
    def body_goes_on(self, body: BodySink, how: str) -> None:
        match how:
            case "data":
                body.data(b"x")
            case "lost":
                body.lost()
            case _:
                trailers = (("lambda-runtime-function-error-type", "E"),) if how == "error" else ()
                assert body.end(trailers).status in (202, 400, 403)

    @rule(verb=st.sampled_from(["init/error", "exit/error"]), name=st.sampled_from(NAMES))
    def extension_reports(self, verb: str, name: str) -> None:
        who = self.identifiers.get(name, "nobody")
        headers = {"lambda_extension_identifier": who, "lambda_extension_function_error_type": "E"}
        self.inside.ask("POST", EXTENSION + verb, b"{}", **headers)

    @rule(name=st.sampled_from([*NAMES, ""]), status=st.integers(0, 300))
    def supervisor_tells(self, name: str, status: int) -> None:
        self.inside.exited(name, status)

    @rule()
    def runtime_reports_init_error(self) -> None:
        self.inside.ask("POST", RUNTIME + "init/error", b"{}")

    @precondition(lambda self: self._may_dispatch())
    @rule(reads=st.booleans())
    def owner_dispatches(self, reads: bool) -> None:
        request = f"r{len(self.invocations) + 1}"
        self.invocations.append(request)
        if reads:
            self.inside.readers[RequestId(request)] = Pieces()
        self.waiting -= {"runtime", *(name for name, events in self.events.items() if "INVOKE" in events)}
        self.inside.dispatch(request)

    @invariant()
    def every_invocation_settles_at_most_once(self) -> None:
        settled = [told[1] for told in self.inside.told if told[0] in ("responded", "failed")]
        assert len(settled) == len(set(settled))
        assert set(settled) <= set(self.invocations)

    @invariant()
    def ready_comes_once_for_the_init_phase_and_once_for_each_settled_invocation(self) -> None:
        ready = self.inside.told.count(("ready",))
        settled = sum(told[0] in ("responded", "failed") for told in self.inside.told)
        assert ready <= settled + 1
        assert len(self.invocations) <= ready <= len(self.invocations) + 1

    @invariant()
    def nobody_is_ready_before_everybody_waits(self) -> None:
        if self._may_dispatch() and not any(told[0] in FATAL for told in self.inside.told):
            assert self.waiting >= {"runtime", *self.identifiers}

    @invariant()
    def an_event_is_delivered_to_the_runtime_at_most_once(self) -> None:
        seen = [poll.given.headers for poll in self.polled if poll.given is not None and poll.given.status == 200]
        requests = [value for headers in seen for name, value in headers if name == "Lambda-Runtime-Aws-Request-Id"]
        assert len(requests) == len(set(requests))

    def _may_dispatch(self) -> bool:
        return self.inside.told.count(("ready",)) > len(self.invocations)

    def _some(self, late: int) -> str:
        return self.invocations[-1 - late] if late < len(self.invocations) else "nonsense"

    def _kept(self, whose: str, answer: Response | Poll) -> Poll | None:
        if isinstance(answer, Poll):
            self.waiting.add(whose)
            self.polled.append(answer)
            return answer
        return None


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
