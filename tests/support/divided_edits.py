"""A program: one of two processes that edit a clip in windows, divided and not.

    python divided_edits.py NUMBER PORT FOLDER

The first process prints a line for each case: its name, how many frames the denoiser ran on in one
process and here, the largest difference of the latents, the step that a run resumed at, and whether
both processes have the same frames. Both print how an edit ends whose denoiser gives NaN in one,
and one of a single window.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from clips import EXAMPLES
from torch import Tensor

from grainspec import EditSpec, GrainError, load
from grainspec.text.override import override
from grainspec_runtime import Editor
from grainspec_runtime.backbones.families.animatediff.checkpoint import AnimateDiff
from grainspec_runtime.backbones.families.sd_unet.checkpoint import StableDiffusion
from grainspec_runtime.editing import edit, frames, resume
from grainspec_runtime.editing.result import EditResult

SHORT = (
    *("sampler.steps=2", "sampler.eta=0.5", "video.frames=0..6", "video.size=48x48"),
    *("context.overlap=1", "context.keys=1", "context.frames=4"),  # three windows
)
CASES = {
    "demo-image": ("inject.features=50%",),
    "demo-motion": (),
    "fatezero": ("method.name=fatezero", "method.local_blend=0%", "sampler.eta=0"),
}
seen: dict[str, Any] = {"frames": 0, "latents": None, "factor": 1.0}


def spec_of(case: str) -> EditSpec:
    spec = load(EXAMPLES / "instance.grain")
    model = case if case.startswith("demo") else "demo-image"
    return override(spec.replaced({}, model=model), [*SHORT, *CASES[case]])


def edited(spec: EditSpec, *, divided: bool, stop: int = 0, cache: bool = False) -> EditResult:
    """Make an edit; ``stop`` ends it after so many sampling steps."""
    seen.update(frames=0, latents=None)

    def progress(stage: str, done: int, total: int) -> None:
        if stop and (stage, done) == ("sample", stop * total // spec.sampler.steps) and done:
            raise KeyboardInterrupt

    editor = Editor(spec.model, device="cpu", divided=divided, use_cache=cache)
    return editor.run(spec, base=EXAMPLES, progress=progress)


def watch() -> None:
    """See the denoiser's frames and the latents of every edit."""
    for kind in (StableDiffusion, AnimateDiff):
        kind.predict = counted(kind.predict)  # type: ignore[method-assign]

    def decoded(checkpoint: Any, latents: Tensor, ranks: Any) -> Any:
        seen["latents"] = latents
        return frames.decoded(checkpoint, latents, ranks)

    edit.decoded = decoded


def counted(predict: Any) -> Any:
    def counting(self: Any, x: Tensor, *arguments: Any, **named: Any) -> Tensor:
        seen["frames"] += len(x)
        out: Tensor = predict(self, x, *arguments, **named) * seen["factor"]
        return out

    return counting


def compared(case: str, result: EditResult, wanted: Tensor | None, alone: int) -> None:
    """Print the line of a case."""
    other = torch.from_numpy(result.edited.copy())
    dist.broadcast(other, 1)
    if wanted is not None:
        apart = float((seen["latents"] - wanted).abs().max())
        same = np.array_equal(other.numpy(), result.edited)
        print(case, alone, seen["frames"], apart, result.resumed_at, same, flush=True)


def stopped(spec: EditSpec) -> None:
    """Make an edit that is stopped after its first step."""
    try:
        edited(spec, divided=True, stop=1, cache=True)
    except KeyboardInterrupt:
        return
    raise AssertionError("it was not stopped")


def main() -> None:
    number, port, folder = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    torch.set_num_threads(1)
    resume._SECONDS_BETWEEN = 0.0
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=number, world_size=2)
    watch()
    for case in CASES:
        spec, wanted, alone = spec_of(case), None, 0
        if number == 0:
            edited(spec, divided=False)
            wanted, alone = seen["latents"], seen["frames"]
        compared(case, edited(spec, divided=True), wanted, alone)
        if case != "demo-image":
            continue
        os.environ["GRAINSPEC_CACHE"] = str(folder / "both")
        stopped(spec)
        if number == 0:
            shutil.copytree(folder / "both", folder / "0")
        dist.barrier()
        compared("resumed", edited(spec, divided=True, cache=True), wanted, alone)
        # one of two has an inversion and a state: none may use them
        os.environ["GRAINSPEC_CACHE"] = str(folder / str(number))
        compared("unshared", edited(spec, divided=True, cache=True), wanted, alone)
    seen["factor"] = float("nan") if number else 1.0
    try:
        edited(spec_of("demo-image"), divided=True)
    except GrainError as error:
        print(error.diagnostics[0].code, flush=True)
    try:
        edited(spec_of("demo-image").replaced({}, context=None), divided=True)
    except GrainError as error:
        print(error.diagnostics[0].code, flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
