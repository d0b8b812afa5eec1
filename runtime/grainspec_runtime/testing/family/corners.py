"""Corners of a frame, which tell one order of rows and columns from another.

Dimensions: h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

CORNERS = ("top left", "top right", "bottom left", "bottom right")

MIRRORED = {
    "as they are": dict(zip(CORNERS, CORNERS, strict=True)),
    "mirrored, left and right": dict(zip(CORNERS, [CORNERS[i] for i in (1, 0, 3, 2)], strict=True)),
    "mirrored, top and bottom": dict(zip(CORNERS, [CORNERS[i] for i in (2, 3, 0, 1)], strict=True)),
    "rotated by half a turn": dict(zip(CORNERS, reversed(CORNERS), strict=True)),
}
"""Where each corner is in a frame that is mirrored."""


def corner_mask(corner: str, size: Sequence[int]) -> Tensor:
    """1 in a corner of a frame, without the middle row and column of odd sizes.

    >>> corner_mask("top right", (2, 3))
    tensor([[0., 0., 1.],
            [0., 0., 0.]])
    """
    rows, columns = size
    mask = torch.zeros(rows, columns)
    of_rows = slice(rows // 2) if "top" in corner else slice((rows + 1) // 2, None)
    of_columns = slice(columns // 2) if "left" in corner else slice((columns + 1) // 2, None)
    mask[of_rows, of_columns] = 1
    return mask


def means_of_corners(away_hw: Tensor) -> dict[str, float]:
    """The mean of every corner."""
    masks = {corner: corner_mask(corner, away_hw.shape) for corner in CORNERS}
    return {corner: float((away_hw * mask).sum() / mask.sum()) for corner, mask in masks.items()}
