"""Folders laid one over the other, as layers are in /opt: of two files by one name the later folder's is taken.

Source: https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path


def lay_over(folders: Sequence[Path], target: Path) -> None:
    """Copy the folders' contents into a new folder, in their order, never through a symbolic link."""
    target.mkdir()
    for folder in folders:
        _lay(folder, target)


def _lay(folder: Path, target: Path) -> None:
    for entry in os.scandir(folder):
        place = target / entry.name
        if entry.is_dir(follow_symlinks=False):
            if place.is_symlink() or not place.is_dir():
                place.unlink(missing_ok=True)
                place.mkdir()
            _lay(Path(entry.path), place)
            continue
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
        shutil.copy2(entry.path, place, follow_symlinks=False)
