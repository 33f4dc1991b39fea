"""The program that `jars.py` runs: the jars of a Maven coordinate, resolved once a machine, and where they are.

jgo takes the jars of an environment away and links them again whenever it is asked for one that has modules only, as
DynamoDB Local's: a Java that is just starting from there does not find its classes. So what it has built is linked
into a folder of ours, which appears whole and is not changed any more; and one program at a time asks jgo.

    python -m workshape.parts.jars_program COORDINATE

Source: https://github.com/apposed/jgo
"""

import fcntl
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import jgo


def kept(folder: Path, build: Callable[[], Iterable[Path]]) -> list[Path]:
    """Return the files of `folder`, by name; where it is not there yet, make it of what `build` returns."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go of when the file is closed, or this program dies
        if not folder.is_dir():
            fresh = folder.with_name(f"{folder.name}.new")
            shutil.rmtree(fresh, ignore_errors=True)  # of one that was killed
            fresh.mkdir()
            for file in build():
                _link(file, fresh / file.name)
            fresh.rename(folder)
    return sorted(folder.iterdir())


def _link(file: Path, place: Path) -> None:
    try:
        place.hardlink_to(file)
    except OSError:  # on another file system
        shutil.copy2(file, place)


def _built(coordinate: str) -> list[Path]:
    environment = jgo.build(coordinate)
    native = [file for file in environment.jars_dir.iterdir() if file.suffix != ".jar"]
    return [*environment.all_jars, *native]


def _main() -> None:
    coordinate = sys.argv[1]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "workshape" / "jars" / re.sub(r"[^\w.+-]", "_", coordinate)
    files = kept(folder, lambda: _built(coordinate))
    sys.stdout.write(json.dumps([[str(file) for file in files if file.suffix == ".jar"], str(folder)]))


if __name__ == "__main__":
    _main()
