"""Plain mask pictures read without the library's own readers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from grainspec.model.expressions import MaskFiles
from grainspec.regions.layout import Mask


def pictures(source: MaskFiles, base: Path, frames: Sequence[int]) -> Mask | None:
    """The pixels of masks on source frames, bool ``[frames, height, width]``.

    Only of folders of 8-bit grey pictures called ``00000.png``, ``00001.png``, … and only for
    sources without other options than `invert`, `missing` and `resize`; otherwise None.
    """
    from PIL import Image

    plain = MaskFiles(
        path=source.path, invert=source.invert, missing=source.missing, resize=source.resize
    )
    folder = base / source.path
    if source != plain or not folder.is_dir():
        return None
    files = {int(file.stem): file for file in folder.iterdir() if file.stem.isdecimal()}
    if len(files) != sum(1 for _ in folder.iterdir()) or not files:
        return None
    if {file.suffix for file in files.values()} != {".png"}:
        return None
    masks: dict[int, Mask] = {}
    for frame in frames:
        if frame in files:
            with Image.open(files[frame]) as image:
                if image.mode != "L":
                    return None
                masks[frame] = (np.asarray(image) > 127) != source.invert
    shapes = {mask.shape for mask in masks.values()}
    if len(shapes) != 1 or (len(masks) < len(set(frames)) and source.missing != "empty"):
        return None
    nothing = np.zeros(shapes.pop(), np.bool_)  # also with `invert`
    return np.stack([masks.get(frame, nothing) for frame in frames])
