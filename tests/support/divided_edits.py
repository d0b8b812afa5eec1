"""A program in which two processes edit a clip in windows, divided and not.

    python divided_edits.py FOLDER

FOLDER is for caches. Prints a line of JSON for each process. It has, for each case: how many frames
the denoiser ran on, and how many were decoded, in one process and here, the largest difference of
the latents (the first process alone knows these), the step that a run resumed at, whether both
processes have the same frames, and the division. Then come the codes of the errors that end an edit
whose denoiser gives NaN in one process, one by ring attention, and one of a single window.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from clips import EXAMPLES
from forked import in_forks
from torch import Tensor

from grainspec import EditSpec, GrainError, load
from grainspec.text.override import override
from grainspec_runtime import Editor
from grainspec_runtime.backbones.families.animatediff.checkpoint import AnimateDiff
from grainspec_runtime.backbones.families.sd_unet.checkpoint import StableDiffusion
from grainspec_runtime.backbones.unets.checkpoint import UNetCheckpoint
from grainspec_runtime.editing import edit, resume
from grainspec_runtime.editing.result import EditResult
from grainspec_runtime.models.options import Parallel
from grainspec_runtime.processes import frames

SHORT = (
    *("sampler.steps=2", "sampler.eta=0.5", "video.frames=0..6", "video.size=48x48"),
    *("context.overlap=1", "context.keys=1", "context.frames=4"),  # three windows
)
CASES = {
    "demo-image": ("inject.features=50%",),
    "demo-motion": (),
    "smoothed": ("sampler.smooth_from=0%",),
    "fatezero": ("method.name=fatezero", "method.local_blend=0%", "sampler.eta=0"),
}
seen: dict[str, Any] = {"frames": 0, "decoded": 0, "latents": None, "factor": 1.0}


def spec_of(case: str) -> EditSpec:
    spec = load(EXAMPLES / "instance.grain")
    model = case if case.startswith("demo") else "demo-image"
    return override(spec.replaced({}, model=model), [*SHORT, *CASES[case]])


def edited(
    spec: EditSpec, parallel: Parallel | None, *, stop: int = 0, cache: bool = False
) -> EditResult:
    """Make an edit; ``stop`` ends it after so many sampling steps."""
    seen.update(frames=0, decoded=0, latents=None)

    def progress(stage: str, done: int, total: int) -> None:
        if stop and (stage, done) == ("sample", stop * total // spec.sampler.steps) and done:
            raise KeyboardInterrupt

    editor = Editor(spec.model, device="cpu", parallel=parallel, use_cache=cache)
    return editor.run(spec, base=EXAMPLES, progress=progress)


def watch() -> None:
    """See the denoiser's frames and the latents of every edit."""
    for kind in (StableDiffusion, AnimateDiff):
        kind.predict = counted(kind.predict)  # type: ignore[method-assign]

    def decoded(checkpoint: Any, latents: Tensor, ranks: Any) -> Any:
        seen["latents"] = latents
        return frames.decoded(checkpoint, latents, ranks)

    edit.decoded = decoded
    decode = UNetCheckpoint.decode_clip

    def decoding(checkpoint: Any, latents: Tensor) -> Any:
        seen["decoded"] += len(latents)
        return decode(checkpoint, latents)

    UNetCheckpoint.decode_clip = decoding  # type: ignore[method-assign]


def counted(predict: Any) -> Any:
    def counting(self: Any, x: Tensor, *arguments: Any, **named: Any) -> Tensor:
        seen["frames"] += len(x)
        out: Tensor = predict(self, x, *arguments, **named) * seen["factor"]
        return out

    return counting


def compared(result: EditResult, wanted: Tensor | None, alone: list[int]) -> list[object]:
    """Return what is said of a case; ``wanted`` are the latents of one process."""
    other = torch.from_numpy(result.edited.copy())
    dist.broadcast(other, 1)
    same = bool(np.array_equal(other.numpy(), result.edited))
    apart = None if wanted is None else float((seen["latents"] - wanted).abs().max())
    here = [seen["frames"], seen["decoded"]]
    return [alone, here, apart, result.resumed_at, same, result.division]


def stopped(spec: EditSpec) -> None:
    """Make an edit that is stopped after its first step."""
    try:
        edited(spec, "auto", stop=1, cache=True)
    except KeyboardInterrupt:
        return
    raise AssertionError("it was not stopped")


def refused(spec: EditSpec, parallel: Parallel = "auto") -> str:
    """Return the code of the error that an edit ends with."""
    try:
        edited(spec, parallel)
    except GrainError as error:
        return error.diagnostics[0].code
    raise AssertionError("it was not refused")


def work(folder: Path) -> list[object]:
    """Make all edits in this process."""
    number = dist.get_rank()
    resume._SECONDS_BETWEEN = 0.0
    watch()
    cases: dict[str, list[object]] = {}
    for case in CASES:
        spec, wanted, alone = spec_of(case), None, [0, 0]
        if number == 0:
            edited(spec, None)
            wanted, alone = seen["latents"], [seen["frames"], seen["decoded"]]
        cases[case] = compared(edited(spec, "auto"), wanted, alone)
        if case != "demo-image":
            continue
        os.environ["GRAINSPEC_CACHE"] = str(folder / "both")
        stopped(spec)
        if number == 0:
            shutil.copytree(folder / "both", folder / "0")
        dist.barrier()
        cases["resumed"] = compared(edited(spec, "auto", cache=True), wanted, alone)
        # one of two has an inversion and a state: none may use them
        os.environ["GRAINSPEC_CACHE"] = str(folder / str(number))
        cases["unshared"] = compared(edited(spec, "auto", cache=True), wanted, alone)
    seen["factor"] = float("nan") if number else 1.0
    spec = spec_of("demo-image")
    one_window = spec.replaced({}, context=None)
    return [cases, refused(spec), refused(spec, "ring"), refused(one_window)]


if __name__ == "__main__":
    for found in in_forks(2, partial(work, Path(sys.argv[1]))):
        print(json.dumps(found))
