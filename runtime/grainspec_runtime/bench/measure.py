"""How right an edit is, against its exact target.

Dimensions: F frames, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import cv2
import numpy as np
import torch

from grainspec_runtime.bench.clips import Mask, RenderedCase
from grainspec_runtime.demo.dataset import mask_box
from grainspec_runtime.demo.judge import Judge
from grainspec_runtime.measures.fidelity import psnr
from grainspec_runtime.measures.warping import warp_error
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.media.tensors import to_tensor

BESIDE = 8
"""Pixels beside an edited region, two of the VAE's cells, that its decoder smears the edit over:
they are not counted as kept."""
RIGHT = 0.75
"""A case is right if all that it asks for is, on at least this share of its frames."""
_VISIBLE = 40
"""Levels, of 255, by which some colour of two pixels must differ for them to look different."""
_ALIKE = 60
"""Levels by which every colour of two pixels differs less for them to look alike."""


@dataclass(frozen=True)
class Score:
    """One edit, measured.

    right: the share of frames on which all is as the case asks. figures: the share of edited
    figures, over the frames, that are right by themselves; None where none is edited. leaked: see
    :func:`leakage`. pose: the overlap (IoU) of the edited figures' silhouettes with the
    exact target's; None where the place is edited too, whose new details differ from the target's.
    pose_source: the same of the source's figures, which an edit has that keeps every outline.
    kept_psnr: dB against the source outside the edited regions, and kept_psnr_vae: the same of the
    VAE's round trip; kept_psnr_pixels: after blending in pixels. warp, warp_target: mean squared
    error along the exact motion × 10³, of the edit and of the target's VAE round trip. seconds:
    sampling and decoding.
    """

    right: float
    figures: float | None
    leaked: float | None
    pose: float | None
    pose_source: float | None
    kept_psnr: float | None
    kept_psnr_vae: float | None
    kept_psnr_pixels: float | None
    warp: float | None
    warp_target: float | None
    seconds: float

    def as_json(self) -> dict[str, float | None]:
        """By name; infinite PSNR as 99."""
        return {
            name: None if value is None else round(min(float(value), 99.0), 4)
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True)
class Edited:
    """What a method made of a case: the edit, the same blended in pixels, the VAE's round trips of
    the source and of the exact target, all uint8 ``[F, H, W, 3]``, and the edited regions, bool
    ``[F, H, W]``."""

    frames: Frames
    pixel_blended: Frames
    source_round_trip: Frames
    target_round_trip: Frames
    regions: Mask
    seconds: float


def score(rendered: RenderedCase, edited: Edited, judge: Judge) -> Score:
    """Measure one edit."""
    case = rendered.case
    figures_right, place_right = _verdicts(rendered, edited.frames, judge)
    asked = figures_right[list(case.edited)]
    everything = place_right & figures_right.all(0)
    source, kept = rendered.source[0], ~_widened(edited.regions, BESIDE)
    posed = case.grain in ("instance", "class", "part")
    return Score(
        right=float(everything.mean()),
        figures=float(asked.mean()) if len(asked) else None,
        leaked=leakage(rendered, edited.frames),
        pose=pose(rendered, edited.frames) if posed else None,
        pose_source=pose(rendered, source) if posed else None,
        kept_psnr=psnr(source, edited.frames, kept),
        kept_psnr_vae=psnr(source, edited.source_round_trip, kept),
        kept_psnr_pixels=psnr(source, edited.pixel_blended, kept),
        warp=warp_error(edited.frames, rendered.target_flow),
        warp_target=warp_error(edited.target_round_trip, rendered.target_flow),
        seconds=edited.seconds,
    )


def _verdicts(
    rendered: RenderedCase, frames: Frames, judge: Judge
) -> tuple[np.ndarray, np.ndarray]:
    """Which figures ``[figures, F]`` and places ``[F]`` are as in the exact target.

    The judge looks at each figure where the target has it. Of a figure that no edit names it must
    say the same as of the target: it has to stay.
    """
    case, tensor = rendered.case, to_tensor(frames)
    masks = rendered.target[1]
    rows = []
    for number, figure in enumerate(case.target.figures):
        boxes = np.array([mask_box(mask) for mask in masks[f"figure{number}"]], np.float32)
        seen = judge.figures(tensor, torch.from_numpy(boxes))
        wanted = (figure.kind, figure.colour, figure.hat, figure.sunglasses)
        rows.append([(v.kind, v.colour, v.hat, v.sunglasses) == wanted for v in seen])
    places = judge.places(tensor)
    wanted_place = (case.target.ground, case.target.background)
    return np.array(rows), np.array([(p.ground, p.background) == wanted_place for p in places])


def leakage(rendered: RenderedCase, frames: Frames) -> float | None:
    """The share of an instance's pixels that took on another instance's target.

    The target is rendered once more with the looks of its two figures exchanged. Of the pixels that
    belong to figures in both and differ visibly, those have leaked that are nearer to the exchanged
    one and look like it, within :data:`_ALIKE` levels of every colour. None where nothing could.

    >>> from grainspec_runtime.bench.cases import make_cases
    >>> case = RenderedCase(make_cases(1, "held-out")[0])
    >>> leakage(case, case.target[0]), leakage(case, case.swapped[0])
    (0.0, 1.0)
    """
    if rendered.swapped is None:
        return None
    target, swapped = rendered.target[0], rendered.swapped[0]
    both = np.any(_figures(rendered.target[1]), axis=0)
    both &= np.any(_figures(rendered.swapped[1]), axis=0)
    counted = both & (_gap(target, swapped).max(-1) > _VISIBLE)
    if not counted.any():
        return None
    to_swapped = _gap(frames, swapped)
    nearer = np.square(to_swapped).sum(-1) < np.square(_gap(frames, target)).sum(-1)
    return float((nearer & (to_swapped.max(-1) < _ALIKE))[counted].mean())


def pose(rendered: RenderedCase, frames: Frames) -> float | None:
    """The overlap (IoU) of the edited figures' silhouettes with those of the exact target.

    A silhouette is where a frame visibly differs from the target's place without figures; both are
    found the same way, around the figures that are edited.
    """
    empty, found = rendered.empty_target, rendered.target[1]
    here, there = (_gap(each, empty).max(-1) > _VISIBLE for each in (frames, rendered.target[0]))
    overlaps = []
    for number in rendered.case.edited:
        near = _around(found[f"figure{number}"], rendered.source[1][f"figure{number}"])
        joined = ((here | there) & near).sum()
        overlaps.append(((here & there) & near).sum() / joined if joined else 0.0)
    return float(np.mean(overlaps)) if overlaps else None


def _widened(regions: Mask, pixels: int) -> Mask:
    """All within so many rows and columns of the regions."""
    kernel = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return np.stack([cv2.dilate(one.astype(np.uint8), kernel) for one in regions]) > 0


def _around(one: Mask, other: Mask, margin: int = 4) -> Mask:
    """The box around two masks on each frame, widened by ``margin`` pixels."""
    near = np.zeros_like(one)
    for frame, joined in enumerate(one | other):
        rows, columns = np.flatnonzero(joined.any(1)), np.flatnonzero(joined.any(0))
        top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
        near[frame, top : rows[-1] + margin + 1, left : columns[-1] + margin + 1] = True
    return near


def _figures(found: dict[str, Mask]) -> list[Mask]:
    return [mask for name, mask in found.items() if name.startswith("figure") and "." not in name]


def _gap(one: Frames, other: Frames) -> np.ndarray:
    return np.abs(one.astype(np.int32) - other.astype(np.int32))


def is_right(score: float) -> bool:
    """Whether a case with this share of right frames counts as right."""
    return score >= RIGHT
