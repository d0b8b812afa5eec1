"""What is edited joined to what is not: weights that fade out beside the edited regions.

Dimensions: F frames, H rows, W columns.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grainspec_runtime.media.decode import Frames

Mask = npt.NDArray[np.bool_]
Weights = npt.NDArray[np.float32]


def faded(edited_FHW: Mask, feather: float) -> Weights:
    """1 inside a mask, 0 from a distance of ``feather`` cells on, and falling evenly between.

    >>> faded(np.array([[[True, False, False, False]]]), 2).tolist()
    [[[1.0, 0.5, 0.0, 0.0]]]
    """
    if feather <= 1:  # the cell beside the mask is a whole cell away
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
    """The edit where the weights are 1, the source, to the bit, where they are 0.

    >>> black, grey = np.zeros((1, 1, 3, 3), np.uint8), np.full((1, 1, 3, 3), 100, np.uint8)
    >>> blended(black, grey, np.array([[[1, 0.5, 0]]], np.float32))[0, 0, :, 0].tolist()
    [100, 50, 0]
    """
    found = np.empty_like(source)
    for frame, weights in enumerate(weights_FHW):  # one at a time: a clip in floats is large
        before, after = source[frame].astype(np.float32), edited[frame].astype(np.float32)
        found[frame] = np.rint(before + weights[..., None] * (after - before)).astype(np.uint8)
    return found
