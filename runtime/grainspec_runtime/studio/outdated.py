"""Painted masks that nothing needs any more: strokes that later ones of the frame replaced."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from grainspec_runtime.studio.painted import PAINTED, is_painted

_NAME = re.compile(r"(?P<first>\d{5}|frames)(?:-(?P<number>\d+))?(?:\.png)?")
_NAMED = re.compile(rb"masks/painted/[^\"'\\\n]*")
_TEXTS = frozenset({".grain", ".json", ".py", ".ipynb", ".md", ".sh", ".txt", ".yaml", ".toml"})
_MOST_FILES, _MOST_BYTES = 20_000, 4_000_000
_SECONDS = 24 * 3600
"""An open page may go back to a stroke as long as it lives; a day is thought to be longer."""


def remove_outdated(folder: Path) -> None:
    """Delete strokes below the folder of a spec that later ones replaced, and that nobody names.

    The last stroke of each frame stays, and so does what is younger than a day, was not written by
    the studio, or is named in a text of the folder: a spec, a run, a program. Links are not
    followed, and what cannot be read or deleted stays too.
    """
    with suppress(OSError):
        folder = folder.resolve()
        old = [path for path in _replaced(folder) if time.time() - path.stat().st_mtime > _SECONDS]
        named = _named_in_texts(folder) if old else None
        for path in old:
            if named is None or _is_named(path.relative_to(folder).as_posix(), named):
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _replaced(folder: Path) -> Iterator[Path]:
    """The strokes of each frame but the last one: `SPEC/REGION/00012.png`, `…/frames-2`."""
    for region in folder.joinpath(*PAINTED).glob("*/*"):
        if region.resolve() != region or not region.is_dir():
            continue
        strokes: dict[str, list[tuple[int, Path]]] = {}
        for path in region.iterdir():
            name = _NAME.fullmatch(path.name)
            if name and not path.is_symlink() and _is_own(path):
                number = int(name["number"] or 1)
                strokes.setdefault(name["first"], []).append((number, path))
        for found in strokes.values():
            yield from (path for _, path in sorted(found)[:-1])


def _is_own(path: Path) -> bool:
    """Whether the studio wrote a mask, or a folder of masks."""
    if path.is_dir():
        return any(is_painted(file) for file in path.iterdir())
    return is_painted(path)


def _named_in_texts(folder: Path) -> set[str] | None:
    """The painted masks that texts below a folder name; None if there are too many to look at."""
    named: set[str] = set()
    count = 0
    for parent, _, names in os.walk(folder):
        count += len(names)
        if count > _MOST_FILES:
            return None
        for path in (Path(parent, name) for name in names if Path(name).suffix in _TEXTS):
            try:
                if path.stat().st_size > _MOST_BYTES:
                    return None
                content = path.read_bytes()
            except OSError:
                return None
            named |= {match.decode("utf-8", "replace") for match in _NAMED.findall(content)}
    return named


def _is_named(path: str, named: set[str]) -> bool:
    """Whether a text names a mask, a mask in its folder, or a folder or pattern that it is in."""
    for text in named:
        last = text.rstrip("/").rpartition("/")[2]
        top = text.rstrip("/") if _NAME.fullmatch(last) else text.rpartition("/")[0]
        if top == path or top.startswith(f"{path}/") or path.startswith(f"{top}/"):
            return True
        if path.startswith(f"{text.rstrip('/')}/"):
            return True
    return False
