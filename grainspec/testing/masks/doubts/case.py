"""A case: files of masks that are drawn, and the finding that is due, or that none is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from grainspec.regions.layout import Mask

WIDTH, HEIGHT, FRAMES = 160, 120, 3
"""The clip of all cases: large enough for edges to be a small part of it."""


def box(left: int, top: int, right: int, bottom: int) -> Mask:
    """A box on one frame, bool ``[H, W]``."""
    found = np.zeros((HEIGHT, WIDTH), np.bool_)
    found[top:bottom, left:right] = True
    return found


ONE = np.stack([box(20 + 4 * k, 20, 60 + 4 * k, 90) for k in range(FRAMES)])
OTHER = np.stack([box(90, 30 + 3 * k, 140, 80 + 3 * k) for k in range(FRAMES)])
"""Two objects that move, bool ``[F, H, W]``."""

Write = Callable[[Path], str]
"""Writes files into a folder, and returns the spec's regions: an expression, or several that are
separated by `;`."""


@dataclass(frozen=True)
class Case:
    """What is written, and the finding that is due.

    ``code`` is that of the only finding, None for no finding. Its message or its cure must have
    the words ``says``. ``region`` are the pixels of the first region, if they are known. ``video``
    is the clip, with settings; the default is that of all cases. The last ``kept`` regions are kept
    instead of edited.
    """

    write: Write
    code: str | None = None
    says: tuple[str, ...] = ()
    region: Mask | None = None
    video: str = '"../clip"'
    kept: int = 0


def good(write: Write, region: Mask | None = None, video: str = Case.video) -> Case:
    """A case that must have no finding."""
    return Case(write, region=region, video=video)


def doubtful(code: str, write: Write, *says: str, video: str = Case.video, kept: int = 0) -> Case:
    """A case that must have this finding, with these words."""
    return Case(write, code, says, video=video, kept=kept)
