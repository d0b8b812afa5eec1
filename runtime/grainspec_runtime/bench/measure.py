"""Score an edit against its exact target.

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
"""The VAE's decoder smears an edit over this many pixels (two latent cells) around its region;
they do not count as unedited."""
RIGHT = 0.75
"""A case is right if everything it asks for is right in at least this share of its frames."""
_VISIBLE = 40
"""Two pixels look different if a colour channel differs by more than this, of 255."""
_ALIKE = 60
"""Two pixels look alike if every colour channel differs by less than this, of 255."""


@dataclass(frozen=True)
class Score:
    """The scores of one edit.

    right: the share of frames in which everything is as the case asks. figures: the share of edited
    figures, over all frames, that are right individually; None if no figure is edited. Both leave
    out figures of which a frame does not show enough. leaked: see
    :func:`leakage`. pose: the IoU of the edited figures' silhouettes and the exact target's; None
    if the place is edited too, because its new details differ from the target's. pose_source: the
    IoU for the unedited source, which an edit that keeps every outline would have. kept_psnr: PSNR
    in dB to the source outside the edited regions. kept_psnr_vae: the same for the VAE's round
    trip. kept_psnr_pixels: the same after blending in pixel space. warp: mean squared error along
    the exact motion × 10³. warp_target: the same for the VAE's round trip of the target. seconds:
    the time for sampling and decoding.
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
        """The scores by name; an infinite PSNR becomes 99."""
        return {
            name: None if value is None else round(_finite(name, float(value)), 4)
            for name, value in asdict(self).items()
        }


def _finite(name: str, value: float) -> float:
    return min(value, 99.0) if name.startswith("kept_psnr") else value


@dataclass(frozen=True)
class Edited:
    """A method's result for a case.

    The edit, the edit blended in pixel space, and the VAE's round trips of the source and of the
    exact target are uint8 ``[F, H, W, 3]``; the edited regions are bool ``[F, H, W]``.
    """

    frames: Frames
    pixel_blended: Frames
    source_round_trip: Frames
    target_round_trip: Frames
    regions: Mask
    seconds: float


def score(rendered: RenderedCase, edited: Edited, judge: Judge) -> Score:
    """Compute the scores of one edit."""
    case = rendered.case
    figures_right, place_right = _verdicts(rendered, edited.frames, judge)
    visible, named = rendered.visible, list(case.edited)
    seen = figures_right[named][visible[named]]
    everything = place_right & (figures_right | ~visible).all(0)
    source, kept = rendered.source[0], ~widened(edited.regions, BESIDE)
    posed = case.grain in ("instance", "class", "part")
    return Score(
        right=float(everything.mean()),
        figures=float(seen.mean()) if len(seen) else None,
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
    """Which figures ``[figures, F]`` and places ``[F]`` match the exact target, by the judge.

    The judge looks at each figure where the target has it, in the frames that show enough of it.
    Figures that no edit names must match too: they have to stay unchanged.
    """
    case, tensor = rendered.case, to_tensor(frames)
    masks, visible = rendered.target[1], rendered.visible
    right = np.zeros(visible.shape, bool)
    for number, figure in enumerate(case.target.figures):
        where = np.flatnonzero(visible[number])
        if not len(where):
            continue
        boxes = np.array([mask_box(masks[f"figure{number}"][i]) for i in where], np.float32)
        seen = judge.figures(tensor[torch.from_numpy(where)], torch.from_numpy(boxes))
        wanted = (figure.kind, figure.colour, figure.hat, figure.sunglasses)
        right[number, where] = [(v.kind, v.colour, v.hat, v.sunglasses) == wanted for v in seen]
    places = judge.places(tensor)
    wanted_place = (case.target.ground, case.target.background)
    return right, np.array([(p.ground, p.background) == wanted_place for p in places])


def leakage(rendered: RenderedCase, frames: Frames) -> float | None:
    """The share of an instance's pixels that show another instance's target.

    The target is rendered again with the looks of its figures exchanged (``Case.exchanged``).
    Pixels count if they belong to figures in both renders and differ visibly between them. A pixel
    has leaked if it is nearer to an exchanged render and looks like it, within :data:`_ALIKE` per
    colour channel. None if no pixel counts.

    >>> from grainspec_runtime.bench.cases import make_cases
    >>> case = RenderedCase(make_cases(1, "held-out")[0])
    >>> leakage(case, case.target[0]), leakage(case, case.swapped[0])
    (0.0, 1.0)
    """
    target, in_target = rendered.target[0], np.any(_figures(rendered.target[1]), axis=0)
    counted, leaked = np.zeros_like(in_target), np.zeros_like(in_target)
    for exchanged, masks in rendered.exchanged:
        comparable = in_target & np.any(_figures(masks), axis=0)
        comparable &= _gap(target, exchanged).max(-1) > _VISIBLE
        to_exchanged = _gap(frames, exchanged)
        nearer = np.square(to_exchanged).sum(-1) < np.square(_gap(frames, target)).sum(-1)
        counted |= comparable
        leaked |= comparable & nearer & (to_exchanged.max(-1) < _ALIKE)
    return float(leaked[counted].mean()) if counted.any() else None


def pose(rendered: RenderedCase, frames: Frames) -> float | None:
    """The IoU of the edited figures' silhouettes and those of the exact target.

    A silhouette is the area around an edited figure where a frame differs visibly from the target's
    place without figures, in the frames that show enough of the figure.
    """
    empty, target_masks = rendered.empty_target, rendered.target[1]
    here, there = (_gap(clip, empty).max(-1) > _VISIBLE for clip in (frames, rendered.target[0]))
    overlaps = []
    for number in rendered.case.edited:
        name = f"figure{number}"
        near = _around(target_masks[name], rendered.source[1][name])
        near &= rendered.visible[number][:, None, None]
        joined = ((here | there) & near).sum()
        if joined:
            overlaps.append((here & there & near).sum() / joined)
    return float(np.mean(overlaps)) if overlaps else None


def widened(regions: Mask, pixels: int) -> Mask:
    """Dilate regions by this many pixels in every direction."""
    kernel = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return np.stack([cv2.dilate(mask.astype(np.uint8), kernel) for mask in regions]) > 0


def _around(a: Mask, b: Mask, margin: int = 4) -> Mask:
    """The bounding box of two masks in each frame, widened by ``margin`` pixels."""
    near = np.zeros_like(a)
    for frame, joined in enumerate(a | b):
        if not joined.any():
            continue
        rows, columns = np.flatnonzero(joined.any(1)), np.flatnonzero(joined.any(0))
        top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
        near[frame, top : rows[-1] + margin + 1, left : columns[-1] + margin + 1] = True
    return near


def _figures(masks: dict[str, Mask]) -> list[Mask]:
    return [mask for name, mask in masks.items() if name.startswith("figure") and "." not in name]


def _gap(a: Frames, b: Frames) -> np.ndarray:
    return np.abs(a.astype(np.int32) - b.astype(np.int32))


def is_right(score: float) -> bool:
    """Whether a case with this share of right frames counts as right."""
    return score >= RIGHT
