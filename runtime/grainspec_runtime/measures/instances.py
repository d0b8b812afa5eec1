"""Whether each instance shows its own caption: measures of multi-instance editing.

MIVE (Teodoro et al., arXiv 2412.12877) crops every instance out of the edited frames and compares
each crop with the captions of all instances by CLIP. The similarity to its own caption is its Local
Textual Faithfulness (LTF). Cross-Instance Accuracy (CIA) is that paper's figure 11: in the matrix
of crops by captions, 1 in each row where the LTF is largest and 0 elsewhere; CIA is the mean of the
diagonal. So it is the share of crops that are nearest to their own caption. MIVE writes both as
fractions, here they are × 100.

Its authors have published no code of it that we know of. Their paper confirms the matrix, its rows
and the mean of its diagonal, and that crops are CLIP's images. Three choices are ours, where a
figure's caption says nothing: each frame's crops count by themselves, not a mean over frames, since
leakage comes and goes; instances with equal captions share one, which cannot be told apart; and a
crop is the square around the bounding box of a mask, because CLIP's image processor would cut off
the ends of a box that is not square. Numbers are therefore not comparable with those of its tables,
which have another CLIP and other clips besides.

Dimensions: F frames, H rows, W columns, I instances, D the dimension of CLIP's embedding space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from grainspec_runtime.media.decode import Frames

if TYPE_CHECKING:
    from grainspec_runtime.measures.clip_model import Clip

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Instance:
    """An instance of the edit: its target caption, and its pixels, bool ``[F, H, W]``."""

    caption: str
    mask_FHW: Mask


@dataclass(frozen=True, slots=True)
class InstanceScores:
    """Means over all crops.

    accuracy: the share of crops nearest to their own caption, × 100; None for fewer than two
    different captions. similarity: cosine similarity to the own caption, × 100.
    """

    accuracy: float | None
    similarity: float


def instance_scores(
    clip: Clip, frames_FHW3: Frames, instances: Sequence[Instance]
) -> InstanceScores | None:
    """Compare all crops with all captions; None if no instance is visible in any frame.

    Instances with equal captions share one: their crops need not be told apart.
    """
    captions = list(dict.fromkeys(instance.caption for instance in instances))
    crops: list[npt.NDArray[np.uint8]] = []
    own: list[int] = []
    for instance in instances:
        for frame, mask_HW in zip(frames_FHW3, instance.mask_FHW, strict=True):
            if mask_HW.any():
                crops.append(square_crop(frame, mask_HW))
                own.append(captions.index(instance.caption))
    if not crops:
        return None
    of_crops = _unit(np.concatenate([clip.of_frames(crop[None]) for crop in crops]))
    of_captions = _unit(np.stack([clip.of_text(caption) for caption in captions]))
    likeness = of_crops @ of_captions.T
    nearest = likeness.argmax(1) == np.array(own)
    return InstanceScores(
        accuracy=float(nearest.mean() * 100) if len(captions) > 1 else None,
        similarity=float(likeness[np.arange(len(own)), own].mean() * 100),
    )


def square_crop(frame_HW3: npt.NDArray[np.uint8], mask_HW: Mask) -> npt.NDArray[np.uint8]:
    """The square around a mask's bounding box, shifted into the frame.

    Where the frame is too small for the square, the crop is smaller.

    >>> mask = np.zeros((10, 20), bool)
    >>> mask[2:8, 18:20] = True
    >>> square_crop(np.zeros((10, 20, 3), np.uint8), mask).shape
    (6, 6, 3)
    """
    rows, columns = np.flatnonzero(mask_HW.any(1)), np.flatnonzero(mask_HW.any(0))
    side = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    places = []
    for ends, size in zip((rows, columns), mask_HW.shape, strict=True):
        start = (int(ends[0]) + int(ends[-1]) + 1 - int(side)) // 2
        start = max(0, min(start, size - int(side)))
        places.append(slice(start, start + int(side)))
    return frame_HW3[places[0], places[1]]


def _unit(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    wide = embeddings.astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=-1, keepdims=True), 1e-12))
