"""What VideoGrain's published code makes of masks and scores, from its formulas, in double.

Masks are scaled to the latents by nearest neighbours, and from there to each level; regions are
multiplied pair by pair and added up. Nothing of the compiler is used.

One thing is not the code's: where regions that overlap have more area than there is, its strengths
turn negative; here they are 0.

Dimensions: E regions, F frames, N tokens of a frame, T text tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grainspec import EditSpec, parse
from grainspec.regions.layout import Layout
from grainspec.testing import word_backbone

Doubles = npt.NDArray[np.float64]

CROSS, SELF, POWER, STEPS, MODULATED, TRAINED = 1.0, 0.3, 5, 50, 15, 1000
LEVELS = (1, 2, 3)
"""The finest level is not modulated."""


@dataclass(frozen=True)
class Level:
    """Which pairs are positive at a level, and λ before the schedule, one for each query."""

    self_NN: npt.NDArray[np.bool_]
    cross_NT: npt.NDArray[np.bool_]
    self_N: Doubles
    cross_N: Doubles


def nearest(masks: Doubles, rows: int, columns: int) -> Doubles:
    """Scale the last two axes: pixel i is pixel ⌊i · scale⌋ of the larger image."""
    height, width = masks.shape[-2:]
    y = [int(np.floor(row * (height / rows))) for row in range(rows)]
    x = [int(np.floor(column * (width / columns))) for column in range(columns)]
    return masks[..., y, :][..., x]


def level(masks_EFHW: Doubles, words_ET: npt.NDArray[np.bool_], number: int) -> Level:
    """A level of a clip whose regions have these masks and words; a region may have no words."""
    regions, frames, height, width = masks_EFHW.shape
    latents = nearest(masks_EFHW, height // 8, width // 8)
    rows, columns = (side // 8 // 2**number for side in (height, width))
    of_level = nearest(latents, rows, columns).reshape(regions, frames, rows * columns)
    clip = of_level.reshape(regions, -1)
    in_clip = np.einsum("ex,ey->xy", clip, clip)
    in_frame = np.einsum("efx,efy->fxy", of_level, of_level).sum(-1).reshape(-1)
    squared = rows * frames * columns * frames
    cross_NT = np.zeros((clip.shape[1], words_ET.shape[1]))
    for region, tokens in zip(clip, words_ET, strict=True):
        cross_NT[:, tokens] += region[:, None]
    return Level(
        in_clip > 0,
        cross_NT > 0,
        np.maximum(1 - in_clip.sum(-1) / squared, 0) * SELF,
        np.maximum(1 - in_frame / (rows * columns), 0) * CROSS,
    )


def schedule(step: int, timestep: float) -> float:
    """ξ of a step; 0 if it is not modulated."""
    return ((timestep - 1) / TRAINED) ** POWER if step < MODULATED else 0.0


def modulated(
    scores_NM: Doubles, positive_NM: npt.NDArray[np.bool_], strength_N: Doubles
) -> Doubles:
    """Scores under a relation, with λ of each row."""
    most, least = (end(-1, keepdims=True) for end in (scores_NM.max, scores_NM.min))
    pull = strength_N[:, None]
    moved = scores_NM + positive_NM * pull * (most - scores_NM)
    return np.asarray(moved - ~positive_NM * pull * (moved - least))


BACKBONE = word_backbone(levels=4, pixels_per_latent=8)
PHRASES = ("red cat", "dog", "tall trees", "sky")
TARGET = "a red cat and the dog near tall trees under a dog sky"


def spec_of(regions: int, free: bool, settings: str = "") -> EditSpec:
    """A spec whose last region is `free`, or all of whose regions have words."""
    lines = [f'grain 1 video "c" target "{TARGET}" attention videograin {settings}']
    lines += [f"region r{number} = all" for number in range(regions)]
    for number in range(regions):
        wordless = free and number == regions - 1
        lines.append(f"free r{number}" if wordless else f'edit r{number} -> "{PHRASES[number]}"')
    return parse("\n".join(lines))


def layout_of(rng: np.random.Generator, regions: int) -> Layout:
    """Boxes that overlap, and speckles, which differ from pixel to pixel of a latent."""
    frames, rows, columns = rng.integers(1, 5), rng.integers(1, 3), rng.integers(1, 3)
    height, width = 64 * rows, 64 * columns
    masks = {}
    for number in range(regions):
        mask = rng.random((frames, height, width)) < rng.choice([0, 0.02, 0.5])
        for frame in range(frames):
            top, bottom = np.sort(rng.integers(0, height + 1, 2))
            left, right = np.sort(rng.integers(0, width + 1, 2))
            mask[frame, top:bottom, left:right] |= rng.random() < 0.9
        masks[f"r{number}"] = mask
    return Layout.of(masks)
