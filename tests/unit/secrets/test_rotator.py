"""Rotations on a real store, in seconds that pass fast: who is invoked when, and where the labels are at the end."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.fast_time import FastClock, run_fast
from workshape.errors import Denied
from workshape.secrets.model import (
    CURRENT,
    DAY_S,
    LABELS_MAX,
    PENDING,
    PREVIOUS,
    InvalidRequest,
    RotationRules,
    Secret,
    SecretValue,
    VersionNotFound,
)
from workshape.secrets.registry import Secrets
from workshape.secrets.rotation import ATTEMPTS_MAX, STEPS
from workshape.secrets.rotator import Rotator
from workshape.store.documents import Documents

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:rotate"
FIRST, SECOND = "1" * 32, "2" * 32
FOREVER = RotationRules(after_days=30)


class Clock(FastClock):
    """Fast, and moved by the test."""

    def __init__(self) -> None:
        self.ahead_s = 20_000 * DAY_S + 1_000

    def wall_s(self) -> float:
        return self.monotonic_s() + self.ahead_s


class World:
    """A secret, and a rotation function that does what functions do, or fails."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.documents = Documents(path / "store.sqlite")
        self.fails_at = ""
        self.holds_at = ""
        """The step that does not end."""
        self.cancels_at = self.cancelled = ""
        self.forgets_to_finish = False
        self.allowed = True
        self.breaks = False
        self.steps: list[tuple[str, str]] = []
        self.open()

    def open(self) -> None:
        self.secrets = Secrets(self.documents, self.clock, region="us-east-1", account="123456789012")
        self.rotator = Rotator(self.secrets, self.clock, self.invoke, self.check)

    def create(self) -> Secret:
        return self.secrets.create(Secret(name="shop", arn="", created_at=0, changed_at=0), SecretValue("old"), FIRST)

    @property
    def secret(self) -> Secret:
        return self.secrets.find("shop")

    def rotate(self, *, is_immediate: bool = True, rules: RotationRules | None = FOREVER, token: str = SECOND) -> None:
        self.rotator.rotate("shop", FUNCTION, rules, token, is_immediate=is_immediate)

    def check(self, function_arn: str, secret_arn: str) -> None:
        if not self.allowed:
            raise Denied(reason=f"{function_arn} may not rotate {secret_arn}")

    async def invoke(self, function_arn: str, payload: bytes) -> str:
        await asyncio.sleep(0.1)
        event = json.loads(payload)
        arn, token, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
        self.steps.append((step, token))
        if step == self.cancels_at:
            self.cancelled = self.rotator.cancel(arn)[1] or ""
        if self.breaks:
            raise RuntimeError(step)
        if step == self.fails_at:
            return "ValueError"
        if step == self.holds_at:
            await asyncio.Event().wait()
        if step == "createSecret":
            try:
                self.secrets.value(arn, token, PENDING)
            except VersionNotFound:
                self.secrets.put_value(arn, SecretValue(f"new {token}"), token, (PENDING,))
        if step == "finishSecret" and not self.forgets_to_finish:
            self.secrets.move_label(arn, CURRENT, source=self.secret.labels[CURRENT], target=token)
            self.secrets.move_label(arn, PENDING, source=token, target=None)
        return ""

    async def until(self, condition: Callable[[], object], within_s: float = 3_000.0) -> None:
        running = asyncio.create_task(self.rotator.run())
        try:
            async with asyncio.timeout(within_s):
                while not condition():
                    assert not running.done(), running
                    await asyncio.sleep(0.5)
        finally:
            running.cancel()
            await asyncio.wait((running,))

    def is_over(self) -> bool:
        return self.secret.rotation is not None and self.secret.rotation.run is None


def in_world(tmp_path: Path, act: Callable[[World], object]) -> None:
    """Do something in a world of its own, on its loop's time."""

    async def run() -> None:
        world = World(tmp_path)
        world.create()
        done = act(world)
        if asyncio.iscoroutine(done):
            await done
        world.documents.close()

    run_fast(run())


def test_a_rotation_goes_through_its_steps_and_the_next_window_counts_from_it(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.rotate()
        begun = world.secret
        await world.until(world.is_over)

        assert begun.labels == {CURRENT: FIRST, PENDING: SECOND}
        assert world.steps == [(step, SECOND) for step in STEPS]
        assert world.secret.labels == {CURRENT: SECOND, PREVIOUS: FIRST}
        assert world.secrets.value("shop")[2] == SecretValue(f"new {SECOND}")
        rotation = world.secret.rotation
        assert rotation is not None
        assert rotation.rotated_at is not None
        assert rotation.opens_at == rotation.rotated_at - rotation.rotated_at % DAY_S + 30 * DAY_S

    in_world(tmp_path, act)


def test_a_step_that_fails_has_all_of_it_done_again_until_it_is_given_up(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.fails_at = "setSecret"
        world.rotate()
        began = world.clock.wall_s()
        await world.until(world.is_over)

        assert world.steps == [("createSecret", SECOND), ("setSecret", SECOND)] * ATTEMPTS_MAX
        assert world.clock.wall_s() - began > 10 + 20 + 40 + 80
        assert world.secret.labels == {CURRENT: FIRST, PENDING: SECOND}
        with pytest.raises(InvalidRequest, match="previous rotation"):
            world.rotate(token="3" * 32)

    in_world(tmp_path, act)


def test_what_was_given_up_is_taken_up_again_in_the_next_window(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.fails_at = "testSecret"
        world.rotate()
        await world.until(world.is_over)
        world.fails_at = ""
        world.clock.ahead_s += 30 * DAY_S
        await world.until(lambda: world.secret.labels.get(CURRENT) == SECOND and world.is_over())

        assert world.secret.labels == {CURRENT: SECOND, PREVIOUS: FIRST}

    in_world(tmp_path, act)


def test_what_was_given_up_in_a_window_waits_for_the_next(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.rotate()
        await world.until(world.is_over)
        world.fails_at = "createSecret"
        world.clock.ahead_s += 30 * DAY_S
        await world.until(lambda: len(world.steps) == len(STEPS) + ATTEMPTS_MAX and world.is_over())

        rotation = world.secret.rotation
        assert rotation is not None
        assert rotation.opens_at is not None
        assert 29 * DAY_S < rotation.opens_at - world.clock.wall_s() < 30 * DAY_S

    in_world(tmp_path, act)


def test_a_rotation_that_cannot_begin_waits_for_the_next_window(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def act(world: World) -> None:
        world.rotate()
        await world.until(world.is_over)
        for number in range(LABELS_MAX - len(world.secret.labels)):
            world.secrets.move_label("shop", f"label-{number}", source=None, target=FIRST)
        world.clock.ahead_s += 30 * DAY_S
        before = world.secret.rotation
        await world.until(lambda: world.secret.rotation != before)

        rotation = world.secret.rotation
        assert rotation is not None
        assert rotation.opens_at is not None
        assert rotation.opens_at > world.clock.wall_s()

    in_world(tmp_path, act)

    assert caplog.text.count("secret_rotation_broke") == 1


def test_a_function_that_moves_no_label_has_not_rotated(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.forgets_to_finish = True
        world.rotate()
        await world.until(lambda: len(world.steps) > len(STEPS))

        assert world.secret.rotation is not None
        assert world.secret.rotation.rotated_at is None

    in_world(tmp_path, act)


def test_a_window_that_opens_begins_a_rotation_with_a_version_of_its_own(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.rotate()
        await world.until(world.is_over)
        world.clock.ahead_s += 29 * DAY_S
        with pytest.raises(TimeoutError):
            await world.until(lambda: len(world.steps) > len(STEPS), within_s=60)
        world.clock.ahead_s += DAY_S
        await world.until(lambda: world.secret.labels.get(CURRENT) != SECOND and world.is_over())

        assert world.secret.labels[PREVIOUS] == SECOND
        assert len(world.steps) == 2 * len(STEPS)

    in_world(tmp_path, act)


def test_a_value_given_by_hand_counts_as_a_rotation(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.rotate()
        await world.until(world.is_over)
        world.clock.ahead_s += 10 * DAY_S
        before = world.secret.rotation
        world.secrets.put_value("shop", SecretValue("by hand"), "4" * 32, (CURRENT,))
        after = world.secret.rotation

        assert before is not None
        assert after is not None
        assert (before.opens_at, after.opens_at) != (None, None)
        assert (after.opens_at or 0) - (before.opens_at or 0) == 10 * DAY_S

    in_world(tmp_path, act)


def test_a_rotation_goes_on_after_a_restart_with_the_same_version(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.holds_at = "setSecret"
        world.rotate()
        await world.until(lambda: len(world.steps) == 2)
        world.holds_at = ""
        world.open()
        await world.until(world.is_over)

        assert world.secret.labels == {CURRENT: SECOND, PREVIOUS: FIRST}
        assert {token for _, token in world.steps} == {SECOND}

    in_world(tmp_path, act)


def test_a_rotation_that_is_cancelled_ends_and_leaves_its_labels(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.cancels_at = "createSecret"
        world.rotate()
        with pytest.raises(TimeoutError):
            await world.until(lambda: len(world.steps) > 1, within_s=60)
        world.clock.ahead_s += 40 * DAY_S
        with pytest.raises(TimeoutError):
            await world.until(lambda: len(world.steps) > 1, within_s=60)

        assert world.cancelled == SECOND
        assert world.secret.labels == {CURRENT: FIRST, PENDING: SECOND}
        assert world.secret.rotation is not None
        assert not world.secret.rotation.is_enabled

    in_world(tmp_path, act)


def test_a_configuration_is_tried_out_on_a_version_that_goes_again(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.rotate(is_immediate=False)
        pending = world.secrets.value("shop", label=PENDING)[2]
        await world.until(world.is_over)

        assert pending == SecretValue("old")
        assert [step for step, _ in world.steps] == ["testSecret"]
        assert world.secret.labels == {CURRENT: FIRST}
        assert list(world.secret.versions) == [FIRST]
        rotation = world.secret.rotation
        assert rotation is not None
        assert rotation.opens_at is not None

    in_world(tmp_path, act)


def test_the_same_request_again_begins_nothing(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.rotate()
        world.rotate()
        with pytest.raises(InvalidRequest, match="previous rotation"):
            world.rotate(token="3" * 32)
        await world.until(world.is_over)
        world.rotate()
        with pytest.raises(InvalidRequest, match="exists already"):
            world.rotate(token=FIRST)

        assert world.is_over()
        assert len(world.steps) == len(STEPS)
        assert world.secrets.value("shop", FIRST)[2] == SecretValue("old")

    in_world(tmp_path, act)


def test_what_breaks_in_a_step_is_a_failure_of_that_rotation_alone(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.breaks = True
        world.rotate()
        await world.until(
            lambda: world.secret.rotation and world.secret.rotation.run and world.secret.rotation.run.attempts
        )
        world.breaks = False
        await world.until(world.is_over)

        assert world.secret.labels[CURRENT] == SECOND

    in_world(tmp_path, act)


def test_a_function_that_may_not_be_invoked_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    def act(world: World) -> None:
        world.allowed = False
        with pytest.raises(Denied):
            world.rotate()
        with pytest.raises(InvalidRequest, match="No Lambda"):
            world.rotator.rotate("shop", "", FOREVER, SECOND, is_immediate=True)
        with pytest.raises(InvalidRequest, match="not configured"):
            world.rotator.cancel("shop")

        assert world.secret.rotation is None

    in_world(tmp_path, act)


def test_a_secret_that_is_to_be_deleted_is_not_rotated(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.rotate()
        world.secrets.delete("shop", 7)
        with pytest.raises(TimeoutError):
            await world.until(lambda: world.steps, within_s=60)

    in_world(tmp_path, act)
