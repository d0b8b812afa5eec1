"""Blend the edit with the source: weights that fade out beside the edited regions.

Dimensions: F frames, H rows, W columns.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grainspec_runtime.media.decode import Frames

Mask = npt.NDArray[np.bool_]
Weights = npt.NDArray[np.float32]


def faded(edited_FHW: Mask, feather: float) -> Weights:
    """Return weights: 1 inside a mask, falling linearly to 0 at a distance of ``feather`` cells.

    >>> faded(np.array([[[True, False, False, False]]]), 2).tolist()
    [[[1.0, 0.5, 0.0, 0.0]]]
    """
    if feather <= 1:  # the cell next to the mask has distance 1
        return edited_FHW.astype(np.float32)
    import cv2

    found = np.zeros(edited_FHW.shape, np.float32)
    for frame, mask in enumerate(edited_FHW):
        if mask.any():
            away = cv2.distanceTransform(
                (~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
            )
            found[frame] = np.clip(1 - away / feather, 0, 1)
    return found


def blended(source: Frames, edited: Frames, weights_FHW: Weights) -> Frames:
    """Interpolate from the source (weight 0, bit-identical) to the edit (weight 1).

    >>> black, grey = np.zeros((1, 1, 3, 3), np.uint8), np.full((1, 1, 3, 3), 100, np.uint8)
    >>> blended(black, grey, np.array([[[1, 0.5, 0]]], np.float32))[0, 0, :, 0].tolist()
    [100, 50, 0]
    """
    found = np.empty_like(source)
    for frame, weights in enumerate(weights_FHW):  # one at a time: a clip of floats is large
        before, after = source[frame].astype(np.float32), edited[frame].astype(np.float32)
        found[frame] = np.rint(before + weights[..., None] * (after - before)).astype(np.uint8)
    return found
