"""Find the files of a glob, below the folder that its beginning names, within a limit."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import translate
from pathlib import Path

from grainspec.limits import MAX_FILES, MAX_WALKED

_WILD = re.compile(r"[*?\[]")


_LINK = 20
"""A link counts as so many names: following it takes as long."""


class Astray(ValueError):
    """A glob leads out of its folder, or has too much to look at."""


def is_glob(written: str) -> bool:
    """Whether a path has wildcards."""
    return bool(_WILD.search(written))


def files_of(written: str, base: Path, *, most: int | None = None) -> list[Path]:
    """The files that a glob matches; relative ones start at ``base``.

    ``*``, ``?`` and ``[…]`` match within a name, ``**`` any number of folders; none matches a name
    that begins with a dot. ``**`` follows no links to folders, the others only such as stay below
    the folder that the glob names before its first wildcard. Raises Astray for ``..`` after a
    wildcard, and after looking at ``most`` names: as many as a folder may have, fewer for several.
    """
    plain, wild = _split(written)
    if ".." in wild:
        raise Astray("`..` stands after a wildcard")
    folder = base.joinpath(*plain)
    if most is None:
        most = MAX_WALKED if _walks(wild) else MAX_FILES
    search = _Search(Path(os.path.realpath(folder)), most)
    return [path for path in search.matches(folder, wild) if path.is_file()]


def top_of(written: str, base: Path) -> Path:
    """The folder that a glob names before its first wildcard."""
    return base.joinpath(*_split(written)[0])


def leads_deep(written: str) -> bool:
    """Whether a glob leads into folders below that at its top."""
    return _walks(_split(written)[1])


def _split(written: str) -> tuple[list[str], list[str]]:
    """The names of a glob before its first wildcard, and the others."""
    names = list(Path(written).parts)
    first = next((i for i, name in enumerate(names) if _WILD.search(name)), len(names))
    return names[:first], names[first:]


def _walks(names: list[str]) -> bool:
    """Whether names with wildcards lead into several folders."""
    return "**" in names or any(_WILD.search(name) for name in names[:-1])


class _Search:
    def __init__(self, top: Path, most: int) -> None:
        self.top = top
        self.most = most
        self.seen = 0

    def matches(self, folder: Path, names: list[str]) -> Iterator[Path]:
        if not names:
            yield folder
            return
        name, *rest = names
        if name == "**":
            for below in self._folders(folder):
                yield from self.matches(below, rest or ["*"])
        elif not _WILD.search(name):
            if (folder / name).exists():
                yield from self.matches(folder / name, rest)
        else:
            fits = re.compile(translate(name)).match
            for entry in self._entries(folder):
                if not fits(entry.name) or (entry.name[0] == "." and name[0] != "."):
                    continue
                if not rest or (entry.is_dir() and self._inside(entry)):
                    yield from self.matches(folder / entry.name, rest)

    def _folders(self, folder: Path) -> Iterator[Path]:
        """The folder and all those below it, without links."""
        waiting = [folder]
        while waiting:
            current = waiting.pop()
            yield current
            waiting += [
                current / entry.name
                for entry in self._entries(current)
                if entry.name[0] != "." and entry.is_dir(follow_symlinks=False)
            ]

    def _entries(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self.seen += 1
                    if self.seen > self.most:
                        raise Astray(f"there are more than {self.most:,} files to look at")
                    yield entry
        except OSError:  # not a folder, or not readable: nothing in it matches
            return

    def _inside(self, entry: os.DirEntry[str]) -> bool:
        if not entry.is_symlink():
            return True
        self.seen += _LINK
        return Path(os.path.realpath(entry.path)).is_relative_to(self.top)
