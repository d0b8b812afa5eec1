"""The control images of a spec: computed from the source clip, or read from the user's own clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from grainspec.clip.crop import FrameCrop
from grainspec.clip.facts import ClipFacts, probe
from grainspec.model.spec import Control
from grainspec_runtime.conditioning.annotate import annotator
from grainspec_runtime.media.decode import Frames, decode_frames


def control_pictures(
    control: Control,
    source: Frames,
    *,
    base: Path,
    model: str,
    frames: Sequence[int],
    crop: FrameCrop,
    facts: ClipFacts,
    device: torch.device,
) -> Frames:
    """Return the control images for ``source``, uint8 ``[F, H, W, 3]``.

    ``frames`` are the source's frame numbers and ``facts`` its size. A control clip of the user's
    is cropped and scaled by the same ``crop`` as the source, adjusted to the control clip's own
    size. Raises GrainError as :func:`annotator` and :func:`decode_frames` do.
    """
    if control.clip is None:
        return annotator(control, base, model, device=device)(source)
    path = base / control.clip
    own = probe(path, needed=frames[-1], span=control.span_of("clip"))
    across, down = own.width / facts.width, own.height / facts.height
    left, top, right, bottom = crop.box
    scaled = replace(crop, box=(left * across, top * down, right * across, bottom * down))
    return decode_frames(path, frames, scaled)
