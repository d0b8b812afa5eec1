"""A hash of a clip's content, to recognise it wherever it lies."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from grainspec.clip.facts import still_images
from grainspec.model.spec import Video
from grainspec.regular_file import open_regular

_WHOLE = 1 << 28
"""Bytes of the largest file that is hashed as a whole."""
_PIECES, _PIECE = 256, 1 << 20
"""Of a larger file, so many pieces of so many bytes, spread evenly, are hashed."""


def clip_hash(video: Video, base: Path, frames: range) -> str:
    """Hash the content of a clip: of a folder, the images of ``frames``; of a file, all of it.

    Of a file of more than 256 MB, its size and 256 pieces of 1 MB are hashed. The background colour
    of transparent frames is part of what a tracker sees, and of the hash. Raises GrainError if the
    clip cannot be read, OSError if a file cannot be.
    """
    path = base / video.path
    whole = hashlib.sha256()
    images = still_images(path)
    files = [path] if images is None else [image for _, image in images[frames.start : frames.stop]]
    for file in files:
        facts = file.stat()
        whole.update(file_hash(file.resolve(), facts.st_size, facts.st_mtime_ns).encode())
    if video.alpha is not None:
        whole.update(video.alpha.encode())
    return whole.hexdigest()


@lru_cache(maxsize=4096)
def file_hash(file: Path, size: int, changed: int) -> str:
    """Hash one file; it is read again only if its size or its date changes."""
    whole = hashlib.sha256(f"{size} ".encode())
    with open_regular(file) as opened:
        if size <= _WHOLE:
            while piece := opened.read(_PIECE):
                whole.update(piece)
        else:
            for index in range(_PIECES):
                opened.seek((size - _PIECE) * index // (_PIECES - 1))
                whole.update(opened.read(_PIECE))
    return whole.hexdigest()
