"""A root folder that layers are written into. Nothing is ever written, linked or removed outside of it.

Names in an image are looked up as the image itself would look them up: a symbolic link in the middle of a path leads
where it leads inside the root, `/` and `..` included; at the end of a path none is followed.

Nobody else writes to the folder meanwhile, so what was looked at is still there when it is used.
"""

import os
import shutil
import stat
from pathlib import Path

from workshape.errors import Invalid

LINKS_MAX = 40  # followed on one path, as Linux has it
FOLDER_MODE = 0o755

Parts = tuple[str, ...]
"""A path inside the image, as its components."""


class InvalidLayer(Invalid):
    """InvalidImage: {name!r} of layer {layer} {reason}"""

    name: str
    layer: str
    reason: str


class Impossible(Exception):
    """Why an entry cannot be written; `layers.py` tells which and where."""


class RootFolder:
    """One root folder while layers are applied to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._root = os.fspath(path)
        self._found: dict[Parts, str] = {}
        self._written: set[str] = set()
        """By the present layer; with every folder above it."""

    def __repr__(self) -> str:
        return f"<RootFolder {self._root}>"

    def begin_layer(self) -> None:
        """Whatever is there now belongs to the layers below."""
        self._written = set()

    def place(self, parts: Parts) -> str:
        """Return the path to write an entry at; the folders above it are there then.

        Raises:
            Impossible: something that is no folder lies above it.
        """
        path = os.path.join(self.folder(parts[:-1]), parts[-1])
        self._note(path)
        return path

    def vacate(self, path: str, *, for_folder: bool = False) -> bool:
        """Make way for an entry; tell whether there is a folder already where one is wanted."""
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return False
        if stat.S_ISDIR(mode):
            if for_folder:
                return True
            shutil.rmtree(path)
            self._found.clear()
        else:
            os.unlink(path)
            if stat.S_ISLNK(mode):
                self._found.clear()
        return False

    def forget_links(self) -> None:
        """A symbolic link has been written: it may lie in the middle of paths that were looked up."""
        self._found.clear()

    def linked(self, parts: Parts) -> str | None:
        """Return what a hard link is to point to; None when it is not there or is a folder."""
        path = os.path.join(self.folder(parts[:-1]), parts[-1]) if parts else self._root
        try:
            return None if stat.S_ISDIR(os.lstat(path).st_mode) else path
        except FileNotFoundError:
            return None

    def remove_below(self, parts: Parts) -> None:
        """Remove what layers below have put somewhere; what this layer put there stays."""
        path = os.path.join(self.folder(parts[:-1]), parts[-1]) if parts else self._root
        self._remove(path)
        self._found.clear()

    def empty_below(self, parts: Parts) -> None:
        """Remove what layers below have put into a folder."""
        folder = self.folder(parts)
        for name in os.listdir(folder):
            self._remove(os.path.join(folder, name))
        self._found.clear()

    def folder(self, parts: Parts) -> str:
        """Find a folder, and make what is missing of it.

        Raises:
            Impossible: something that is no folder lies on the way, or links lead around in a ring.
        """
        found = self._found.get(parts)
        if found is None:
            found = self._found[parts] = self._walk(parts)
        return found

    def _walk(self, parts: Parts) -> str:
        ahead, at, links = list(reversed(parts)), list[str](), 0
        while ahead:
            part = ahead.pop()
            if part == "..":
                at = at[:-1]
                continue
            path = os.path.join(self._root, *at, part)
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:
                os.mkdir(path, FOLDER_MODE)
                self._note(path)
                mode = stat.S_IFDIR
            if stat.S_ISDIR(mode):
                at.append(part)
                continue
            links += 1
            if not stat.S_ISLNK(mode) or links > LINKS_MAX:
                raise Impossible(f"lies below {'/'.join((*at, part))!r}, which is no folder")
            target = os.readlink(path)
            at = [] if target.startswith("/") else at
            ahead += reversed(components(target))
        return os.path.join(self._root, *at)

    def _note(self, path: str) -> None:
        while path not in self._written and path != self._root:
            self._written.add(path)
            path = os.path.dirname(path)

    def _remove(self, path: str) -> None:
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return
        if path not in self._written and path != self._root:
            shutil.rmtree(path) if stat.S_ISDIR(mode) else os.unlink(path)
        elif stat.S_ISDIR(mode):
            for name in os.listdir(path):
                self._remove(os.path.join(path, name))


def components(path: str) -> Parts:
    """Split a path; `..` stays."""
    return tuple(part for part in path.split("/") if part not in ("", "."))
