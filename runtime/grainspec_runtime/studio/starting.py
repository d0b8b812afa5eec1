"""From a clip to a spec: clips of the folder, uploads, and the first spec of a clip."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from grainspec.analysis.new_spec import clip_name, new_spec
from grainspec.clip.facts import IMAGE_SUFFIXES, probe
from grainspec.diagnostics import GrainError, fail, visible
from grainspec.loading import read_text
from grainspec.regular_file import files_in
from grainspec.text.parse import parse_all
from grainspec_runtime.studio.limits import MAX_UPLOAD_BYTES, MAX_UPLOADS
from grainspec_runtime.studio.readable import Readable

_VIDEOS = frozenset(
    ".mp4 .mov .m4v .mkv .webm .avi .mpg .mpeg .ts .m2ts .flv .wmv .ogv .mxf .y4m .gif".split()
)
"""Suffixes of files that are offered as clips; whether one is a video, its content tells."""
_STRANGE = re.compile(r"[^\w. -]+")
_LONGEST_NAME = 100
_TRIES = 1000
_MOST = 500
_ROOM = 1 << 30
"""Bytes that an upload leaves free on the disk."""


def clips_in(readable: Readable) -> list[str]:
    """The clips in the spec's folder and in its subfolders, by their paths."""
    found = []
    below = [path for path in _subfolders(readable.folder) if readable.contains(path)]
    for folder in (readable.folder, *below):
        for path in _visible(folder):
            suffix = path.suffix.lower()
            if suffix in _VIDEOS and path.is_file() and readable.contains(path):
                found.append(readable.relative(path))
    return sorted(found)[:_MOST]


def specs_in(readable: Readable) -> list[str]:
    """The specs in the folder, by their names."""
    found = (path for path in _visible(readable.folder) if path.suffix == ".grain")
    return sorted(path.name for path in found if path.is_file() and readable.contains(path))[:_MOST]


def spec_beside(clip: Path, folder: Path) -> Path:
    """The spec of a clip's name, or of one like it, that is for this clip; raises GrainError.

    It is written if there is none. One whose clip cannot be read is its, to be mended.
    """
    for path in _names(clip, folder):
        if not path.exists():
            break
        try:
            draft = parse_all(read_text(path)).draft
        except GrainError:
            return path
        video = draft.video if draft is not None else None
        if video is None or video.span is None or _same(folder / video.path, clip):
            return path
    return spec_for(clip, folder)


def spec_for(clip: Path, folder: Path) -> Path:
    """Write a first spec for a clip into a folder, under a free name; returns its path.

    Raises GrainError as :func:`grainspec.analysis.new_spec.new_spec` does, G310 if it cannot be
    written.
    """
    for path in _names(clip, folder):
        text = new_spec(clip, path)
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            continue
        except OSError as error:
            message = f"cannot write {path}: {error.strerror or error}"
            raise fail("G310", message, "Make the folder writable.") from error
        return path
    raise fail("G310", f"{folder} has too many specs of this name", "Rename the clip.")


def _same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file."""
    return one.resolve() == other.resolve()


def _names(clip: Path, folder: Path) -> Iterator[Path]:
    """The paths that a clip's spec may have, in a folder."""
    stem = clip.stem if clip.is_file() else clip_name(clip)
    for count in range(1, _TRIES):
        yield folder / f"{stem}{f'-{count}' * (count > 1)}.grain"


@dataclass
class Uploads:
    """Clips that are sent by the page: one at a time, each whole or not at all."""

    readable: Readable
    count: int = 0
    _one: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def store(self, name: str, stated: int, pieces: AsyncIterator[bytes]) -> Path:
        """Store a clip in the spec's folder under its name, or a free one like it.

        ``stated`` is the size that the request states. Raises GrainError: G728 for too many
        uploads, G725 if there is no room, G724 for a name or an upload that cannot be used, and
        what a file that is no clip raises.
        """
        if self._one.locked() or self.count >= MAX_UPLOADS:
            message = f"an upload is in progress, or there were {MAX_UPLOADS}"
            cure = "Wait, or copy the clip into the folder of the spec."
            raise fail("G728", message, cure)
        async with self._one:
            self.count += 1
            path = self._free(name)
            free = shutil.disk_usage(self.readable.folder).free - _ROOM
            if min(stated, MAX_UPLOAD_BYTES) > free:
                raise _no_room()
            try:
                return await self._written(path, pieces, free)
            except OSError as error:
                message = f"cannot write {path}: {error.strerror or error}"
                raise fail("G310", message, "Make the folder writable.") from error

    async def _written(self, path: Path, pieces: AsyncIterator[bytes], free: int) -> Path:
        # The suffix of the partial file is that of the clip: readers go by it.
        partial = path.with_name(f".{secrets.token_hex(8)}.part{path.suffix}")
        total = 0
        try:
            with partial.open("xb") as file:
                async for piece in pieces:
                    total += len(piece)
                    if total > free:
                        raise _no_room()
                    await asyncio.to_thread(file.write, piece)
            try:
                await asyncio.to_thread(probe, partial)
            except GrainError as error:
                first = error.diagnostics[0]
                message = first.message.replace(str(partial), visible(path.name))
                raise fail(first.code, message, first.cure) from error
            _place(partial, path)
            return path
        finally:
            partial.unlink(missing_ok=True)

    def _free(self, name: str) -> Path:
        """A free path for a file of this name; raises GrainError (G724) for one that is no clip."""
        given = PurePosixPath(name.replace("\\", "/")).name
        stem = _STRANGE.sub("_", PurePosixPath(given).stem).strip(" .")[:_LONGEST_NAME] or "clip"
        suffix = PurePosixPath(given).suffix.lower()
        if suffix not in _VIDEOS | IMAGE_SUFFIXES:
            message = f"`{visible(given)[:_LONGEST_NAME]}` is not named like a clip"
            raise fail("G724", message, "Send a video, such as an .mp4 file.")
        for count in range(1, _TRIES):
            path = self.readable.folder / f"{stem}{f'-{count}' * (count > 1)}{suffix}"
            if not os.path.lexists(path):
                return path
        raise fail("G310", "there are too many clips of this name", "Rename the clip.")


def _place(partial: Path, path: Path) -> None:
    """Give a file its name; raises FileExistsError if another one has it by now."""
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:  # not every file system has links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "another file has its name", str(path)) from None
        partial.rename(path)


def _subfolders(folder: Path) -> list[Path]:
    left_out = {"masks", "runs"}
    return [path for path in _visible(folder) if path.is_dir() and path.name not in left_out]


def _visible(folder: Path) -> list[Path]:
    try:
        return [path for path in files_in(folder) if not path.name.startswith(".")]
    except (OSError, ValueError):
        return []


def _no_room() -> GrainError:
    return fail("G725", "the disk has no room for the clip", "Make room on the disk.")
