"""Jars stay where they are, whatever their builder does with its own."""

import threading
from pathlib import Path

from workshape.parts.jars_program import kept


class Builder:
    """As jgo: takes its files away and makes them anew, each time it is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked = 0
        self.at_work = threading.Lock()

    def build(self) -> list[Path]:
        assert self.at_work.acquire(blocking=False), "asked by two at once"
        try:
            self.asked += 1
            for file in self.folder.iterdir():
                file.unlink()
            made = [self.folder / "program.jar", self.folder / "native.so"]
            for file in made:
                file.write_text(f"{file.name} of build {self.asked}")
            return made
        finally:
            self.at_work.release()


def test_what_was_built_once_is_not_built_again_and_outlives_its_builder(tmp_path: Path) -> None:
    (tmp_path / "built").mkdir()
    builder = Builder(tmp_path / "built")

    first = kept(tmp_path / "jars" / "a_b_1", builder.build)
    builder.build()
    second = kept(tmp_path / "jars" / "a_b_1", builder.build)

    assert first == second == [tmp_path / "jars" / "a_b_1" / name for name in ("native.so", "program.jar")]
    assert [file.read_text() for file in second] == ["native.so of build 1", "program.jar of build 1"]


def test_what_one_left_half_made_is_made_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "built").mkdir()
    (tmp_path / "jars" / "a_b_1.new").mkdir(parents=True)
    (tmp_path / "jars" / "a_b_1.new" / "program.jar").write_text("half")

    files = kept(tmp_path / "jars" / "a_b_1", Builder(tmp_path / "built").build)

    assert [file.read_text() for file in files] == ["native.so of build 1", "program.jar of build 1"]


def test_of_many_at_once_one_builds(tmp_path: Path) -> None:
    (tmp_path / "built").mkdir()
    builder = Builder(tmp_path / "built")
    found: list[list[Path]] = []
    callers = [
        threading.Thread(target=lambda: found.append(kept(tmp_path / "jars" / "a_b_1", builder.build)))
        for _ in range(8)
    ]

    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)

    assert builder.asked == 1
    assert len(found) == 8
    assert all(one == found[0] for one in found)
