"""The control images of a spec: computed from the source clip, or read from the user's own clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from grainspec.clip.crop import FrameCrop
from grainspec.clip.facts import ClipFacts, probe
from grainspec.clip.matching import match_frames
from grainspec.model.spec import Control
from grainspec.regions.layout import Mask
from grainspec_runtime.conditioning.annotate import annotator
from grainspec_runtime.media.decode import Frames, decode_frames


def control_pictures(
    control: Control,
    source: Frames,
    *,
    base: Path,
    clip: Path,
    model: str,
    frames: Sequence[int],
    crop: FrameCrop,
    facts: ClipFacts,
    device: torch.device,
    edited_FHW: Mask | None = None,
) -> Frames:
    """Return the control images for ``source``, uint8 ``[F, H, W, 3]``.

    ``clip`` is the source's file, ``facts`` are its size and rate, ``frames`` its frame numbers.
    For `control inpaint` the images are masks, white where the clip is edited: ``edited_FHW``. A
    control clip of the user's is matched to it by number or time, as :func:`match_frames` does, and
    cropped and scaled by the same ``crop``, adjusted to its own size. Raises GrainError as
    :func:`annotator` and :func:`decode_frames` do.
    """
    if control.clip is None and control.kind == "inpaint":
        assert edited_FHW is not None
        return np.repeat(np.where(edited_FHW, 255, 0).astype(np.uint8)[..., None], 3, axis=3)
    if control.clip is None:
        return annotator(control, base, model, device=device)(source)
    path = base / control.clip
    own = probe(path, span=control.span_of("clip"))
    match = match_frames(clip, facts, path, own, frames)
    numbers = np.array(match.numbers if match else frames)
    across, down = own.width / facts.width, own.height / facts.height
    left, top, right, bottom = crop.box
    scaled = replace(crop, box=(left * across, top * down, right * across, bottom * down))
    decoded = sorted({*numbers.tolist()})
    return decode_frames(path, decoded, scaled)[np.searchsorted(decoded, numbers)]
