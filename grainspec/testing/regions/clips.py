"""Small clips on disk, with masks, for specs that tests draw."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

MASKS = ("blob", "gaps")
"""Folders of masks beside a clip: one for each frame; and one without those of odd frames."""


@cache
def _root() -> Path:
    root = Path(tempfile.mkdtemp(prefix="grainspec-clips-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root


@cache
def clip_folder(frames: int, width: int, height: int) -> Path:
    """A folder with a black clip ``clip`` of this size, and with the masks ``blob`` and ``gaps``.

    It is written once, and deleted when Python ends.

    >>> folder = clip_folder(3, 40, 24)
    >>> [path.name for path in sorted((folder / "gaps").iterdir())]
    ['00000.png', '00002.png']
    """
    import numpy as np
    from PIL import Image

    folder = _root() / f"{frames}x{width}x{height}"
    for name in ("clip", *MASKS):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    coarse = rng.random((frames, -(-height // 4), -(-width // 4))) < 0.4
    masks = coarse.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]
    for frame in range(frames):
        Image.new("RGB", (width, height)).save(folder / "clip" / f"{frame:05}.png")
        image = Image.fromarray(masks[frame].astype(np.uint8) * 255)
        image.save(folder / "blob" / f"{frame:05}.png")
        if frame % 2 == 0:
            image.save(folder / "gaps" / f"{frame:05}.png")
    return folder
