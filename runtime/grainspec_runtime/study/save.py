"""Save a study in a run's folder (shares, maps, images and a clip), and read its shares back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from grainspec.diagnostics import fail
from grainspec.limits import MAX_RECORD_BYTES
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regular_file import read_json
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.media.encode import encode_video
from grainspec_runtime.media.times import FrameTimes
from grainspec_runtime.study.pictures import attention_clip, attention_picture, segments_picture
from grainspec_runtime.study.record import Study

NUMBERS, MAPS = "study.json", "attention.safetensors"
ATTENTION_PICTURE, ATTENTION_VIDEO, SEGMENTS = "attention.png", "attention.mp4", "segments.png"
STUDY_FILES = frozenset({NUMBERS, MAPS, ATTENTION_PICTURE, ATTENTION_VIDEO, SEGMENTS})


def save_study(
    study: Study,
    plan: MaskPlan,
    source: Frames,
    edited: Frames,
    folder: Path,
    *,
    fps: float | FrameTimes,
) -> None:
    """Write a study into a folder; raises OSError if it cannot be written.

    ``attention.safetensors`` contains ``without`` and ``with``, float16 ``[E, F, h, w]``, with the
    edits in the order of ``study.json``, and ``segments.K``, uint8 ``[F, h, w]``. F counts latent
    frames.
    """
    text = json.dumps(numbers(study), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / NUMBERS).write_text(text + "\n", encoding="utf-8", errors="replace")
    arrays = {
        "without": study.maps[0].astype(np.float16),
        "with": study.maps[1].astype(np.float16),
        **{f"segments.{k}": labels.astype(np.uint8) for k, labels in study.segments.items()},
    }
    (folder / MAPS).write_bytes(save(arrays))
    attention_picture(study, plan, edited).save(folder / ATTENTION_PICTURE)
    encode_video(attention_clip(study, plan, edited), folder / ATTENTION_VIDEO, fps=fps)
    if study.segments:
        segments_picture(study, plan, source).save(folder / SEGMENTS)


def numbers(study: Study) -> dict[str, Any]:
    """A study's shares as JSON values; null if an edit has no phrase or no latent tokens."""
    words, tokens = study.share(0), study.share(1)
    return {
        "steps": list(study.steps),
        "edits": [
            {
                "region": region,
                "phrase": phrase,
                "words_inside": _pair(words[:, index]),
                "tokens_inside": _pair(tokens[:, index]),
                "by_step": {
                    "words_inside": [_pair(step[:, 0, index]) for step in study.tally],
                    "tokens_inside": [_pair(step[:, 1, index]) for step in study.tally],
                },
            }
            for index, (region, phrase) in enumerate(zip(study.regions, study.phrases, strict=True))
        ],
    }


def _pair(values: np.ndarray) -> dict[str, float | None]:
    without, with_it = (
        round(float(value), 5) if math.isfinite(value) else None for value in values
    )
    return {"without": without, "with": with_it}


def read_study(folder: Path) -> list[dict[str, Any]]:
    """Read the shares that ``save_study`` wrote, one entry per edit; empty if there is no study.

    Raises GrainError (G317) if the file cannot be read.
    """
    path = folder / NUMBERS
    if not path.exists():
        return []
    try:
        return [
            {
                "region": str(edit["region"]),
                "phrase": str(edit["phrase"]),
                **{
                    kind: [_share(edit[kind][name]) for name in ("without", "with")]
                    for kind in ("words_inside", "tokens_inside")
                },
            }
            for edit in read_json(path, most=MAX_RECORD_BYTES, bounded=True)["edits"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"cannot read {path}: {str(error).splitlines()[0] if str(error) else error!r}"
        raise fail("G317", message, "Run its spec again with `--study`.") from error


def _share(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise TypeError(f"invalid share {value!r}: expected a number from 0 to 1, or null")
    return float(value)
