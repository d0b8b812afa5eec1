"""Draw a study as images and a clip: attention heat maps, segments and feature colours."""

from __future__ import annotations

import numpy as np
from PIL import Image

from grainspec.palette import PALETTE
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.study.record import Floats, Study
from grainspec_runtime.views.levels import at_level, latent_frames
from grainspec_runtime.views.sheet import sheet, side_by_side

_RAMP = np.array(  # from 0 to the maximum: dark blue, violet, red, orange, pale yellow
    [(10, 8, 40), (90, 20, 110), (190, 55, 80), (245, 130, 30), (252, 250, 165)], np.float32
)
_WIDEST = 1920


def attention_picture(study: Study, plan: MaskPlan, edited: Frames) -> Image.Image:
    """A contact sheet: the edit, and attention to each phrase without and with modulation."""
    rows: dict[str, Frames] = {"edit": edited}
    for index, phrase in edits_with_phrase(study):
        for number, kind in enumerate(("without modulation", "with modulation")):
            rows[f"“{phrase}” ({study.regions[index]}), {kind}"] = heat(
                study, plan, edited, index, number
            )
    return sheet(rows)


def attention_clip(study: Study, plan: MaskPlan, edited: Frames) -> Frames:
    """The edit side by side with the attention to each edit's phrase, with modulation."""
    maps = [heat(study, plan, edited, index, 1) for index, _ in edits_with_phrase(study)]
    least = max(96, min(288, _WIDEST // (1 + len(maps)) * edited.shape[1] // edited.shape[2]))
    clip = side_by_side(edited, *maps, least=least)
    every = -(-clip.shape[2] // (2 * _WIDEST))
    return np.ascontiguousarray(clip[:, ::every, ::every])


def segments_picture(study: Study, plan: MaskPlan, source: Frames) -> Image.Image:
    """A contact sheet: the source, its features in clusters, and their principal components."""
    height, width = source.shape[1:3]
    rows: dict[str, Frames] = {"source": source}
    colours = np.array(PALETTE, np.uint8)
    for count, labels in study.segments.items():
        rows[f"{count} clusters"] = _grown(colours[labels], height, width)[latent_frames(plan)]
    if study.colours is not None:
        tinted = (study.colours * 255).round().astype(np.uint8)
        rows["principal components"] = _grown(tinted, height, width)[latent_frames(plan)]
    return sheet(rows)


def edits_with_phrase(study: Study) -> list[tuple[int, str]]:
    """The edits that have a phrase, by index; free regions have none."""
    return [(index, phrase) for index, phrase in enumerate(study.phrases) if phrase]


def heat(study: Study, plan: MaskPlan, frames: Frames, edit: int, kind: int) -> Frames:
    """Overlay attention to an edit's phrase on grey frames, with its region outlined in white.

    ``kind`` is 0 without modulation and 1 with it. Both share one colour scale, which ends at their
    99.5th percentile.
    """
    both = study.maps[:, edit]
    most = max(float(np.quantile(both, 0.995)), 1e-12)
    height, width = frames.shape[1:3]
    shares = np.clip(study.maps[kind, edit] / most, 0, 1)
    level = _smooth(shares, height, width)[latent_frames(plan)]
    place = level * (len(_RAMP) - 1)
    below = np.minimum(place.astype(int), len(_RAMP) - 2)
    part = (place - below)[..., None]
    colour = _RAMP[below] * (1 - part) + _RAMP[below + 1] * part
    grey = frames.astype(np.float32).mean(axis=3, keepdims=True)
    shown = 0.35 * grey + 0.65 * colour
    shown[_outline(at_level(plan, plan.levels[0]).mask(study.regions[edit]))] = 255
    return np.asarray(shown.round().clip(0, 255).astype(np.uint8))


def _outline(mask_FHW: np.ndarray) -> np.ndarray:
    inner = mask_FHW.copy()
    inner[:, 1:] &= mask_FHW[:, :-1]
    inner[:, :-1] &= mask_FHW[:, 1:]
    inner[:, :, 1:] &= mask_FHW[:, :, :-1]
    inner[:, :, :-1] &= mask_FHW[:, :, 1:]
    return np.asarray(mask_FHW & ~inner)


def _smooth(maps_Fhw: Floats, height: int, width: int) -> Floats:
    return np.stack(
        [
            np.asarray(
                Image.fromarray(map_hw.astype(np.float32)).resize(
                    (width, height), Image.Resampling.BILINEAR
                )
            )
            for map_hw in maps_Fhw
        ]
    )


def _grown(pictures_Fhw3: Frames, height: int, width: int) -> Frames:
    rows = np.arange(height) * pictures_Fhw3.shape[1] // height
    columns = np.arange(width) * pictures_Fhw3.shape[2] // width
    return np.asarray(pictures_Fhw3[:, rows[:, None], columns])
