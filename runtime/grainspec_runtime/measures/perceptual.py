"""A perceptual distance outside the edited regions, by features of CLIP's vision transformer.

It has the form of LPIPS (Zhang et al., CVPR 2018, arXiv 1801.03924, equation 1), but neither its
networks nor its learned weights per channel: its values cannot be compared with those of LPIPS.

Dimensions: F frames, H rows, W columns, N patches, C channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from grainspec_runtime.media.decode import Frames

if TYPE_CHECKING:
    from grainspec_runtime.measures.clip_model import Clip

Mask = npt.NDArray[np.bool_]


def feature_distance(
    clip: Clip, source_FHW3: Frames, edited_FHW3: Frames, kept_FHW: Mask
) -> float | None:
    """Mean squared distance of unit-length patch features, over layers, frames and patches.

    In [0, 4]; 0 for clips that are identical where ``kept_FHW`` is set. Attention mixes all of a
    frame, so the source's pixels are put where it is not set: what an edit changes there has no
    influence. A patch counts by the share of its pixels that is set; None if no pixel is.
    """
    outside = np.where(kept_FHW[..., None], edited_FHW3, source_FHW3)
    total, count = 0.0, 0.0
    for frame in np.flatnonzero(kept_FHW.any((1, 2))):
        weights_N = cv2.resize(
            kept_FHW[frame].astype(np.float64), (clip.grid, clip.grid), interpolation=cv2.INTER_AREA
        ).ravel()
        for features_2NC in clip.patch_features(np.stack([source_FHW3[frame], outside[frame]])):
            gap_N = np.square(features_2NC[0] - features_2NC[1]).sum(-1)
            total += float((weights_N * gap_N).sum())
            count += float(weights_N.sum())
    return total / count if count else None
