"""Localise and edit: where the words of an edit are attended to, and where its region is.

VideoGrain shows that cross-attention to the words of an instance spreads over other instances, and
that its modulation puts it right. Here this is a number: of each frame, as many latent tokens are
taken as the region has, those that pay the words the most attention, and their intersection over
union with the region is measured. It has no threshold to choose, and 1 is the best value.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from grainspec_runtime.bench.case import Case
from grainspec_runtime.bench.clips import RenderedCase
from grainspec_runtime.bench.methods import Method
from grainspec_runtime.bench.run import save_clip
from grainspec_runtime.editing.editor import Editor
from grainspec_runtime.prepare import prepare
from grainspec_runtime.study.pictures import edits_with_phrase, heat

KINDS = ("without modulation", "with modulation")


def localised(
    editor: Editor, case: Case, method: Method, steps: int, folder: Path
) -> list[dict[str, Any]]:
    """Study an edit of a case: one entry for each phrase, and its maps as clips in ``folder``.

    ``editor`` has the option ``study``. Without modulation is at the same steps and for the same
    latents: what the edit would attend to if this step were not modulated.
    """
    with tempfile.TemporaryDirectory(prefix="grain-bench-") as place:
        RenderedCase(case).write(Path(place))
        prepared = prepare(method.spec(case, steps, editor.model), Path(place))
        result = editor.run_prepared(prepared)
    study, plan = result.study, prepared.plan
    assert study is not None
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for number, phrase in edits_with_phrase(study):
        region_Fhw = plan.members_CE[plan.levels[0].labels_FHW, number]
        entry: dict[str, Any] = {"case": case.name, "phrase": phrase}
        for kind, words in enumerate(KINDS):
            clip = folder / f"map-{number}-{kind}.webp"
            save_clip(heat(study, plan, result.edited, number, kind), clip)
            inside = float(study.share(0)[kind, number])
            entry[words] = {
                "iou": overlap(study.maps[kind, number], region_Fhw),
                "inside": inside if np.isfinite(inside) else None,
                "clip": clip.name,
            }
        entries.append(entry)
    return entries


def overlap(map_Fhw: npt.NDArray[np.floating], region_Fhw: npt.NDArray[np.bool_]) -> float | None:
    """IoU of a region and its number of most attentive latent tokens, over the frames that have it.

    None if the region is empty in all frames, or fills all of them.

    >>> overlap(np.array([[[0.9, 0.8, 0.1, 0.2]]]), np.array([[[True, False, True, False]]]))
    0.3333333333333333
    """
    shares = []
    for map_hw, region_hw in zip(map_Fhw, region_Fhw, strict=True):
        count = int(region_hw.sum())
        if 0 < count < region_hw.size:
            order = np.argsort(-map_hw.ravel(), kind="stable")[:count]
            common = int(region_hw.ravel()[order].sum())
            shares.append(common / (2 * count - common))
    return float(np.mean(shares)) if shares else None
