"""Compare the estimated memory of runs with the peak of whole runs on a CPU.

    python runtime/benchmarks/memory.py

The models are the demo model, and a Wan 2.1 of medium width with random weights. Each run is a
process of its own; its peak is the resident set that the system reports. The table has model,
size, frames, the estimate, the peak, and their ratio.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from wan_cost import SIZES, save_checkpoint

VAE = {"base_dim": 16, "z_dim": 16}
DEMO_SIZES = ((96, 8), (192, 8), (96, 32), (288, 4), (480, 2))
WAN_SIZES = ((128, 9), (256, 9), (384, 5), (192, 33))
"""Side in pixels, and number of frames."""
MEDIUM = SIZES["tiny"]._replace(heads=8, head_size=64, layers=4, inner=2048, vae=VAE)

_RUN = """
import json, resource, sys
from pathlib import Path
import grainspec
from grainspec_runtime import Editor
from grainspec_runtime.memory.estimate import needs_of
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.prepare import prepare
folder = Path(sys.argv[1])
prepared = prepare(grainspec.load(folder / "edit.grain"), folder)
needs = needs_of(prepared, LoadOptions(device="cpu"))
Editor(prepared.spec.model, device="cpu", use_cache=False).run_prepared(prepared)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps([sum(needs.main_parts.values()), peak]))
"""


def main() -> None:
    """Run all sizes and print the table."""
    print(f"{'model':>5} {'size':>9} {'frames':>6} {'estimate':>9} {'peak':>9} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(Path(folder), MEDIUM, "cpu")
        for name, model, sizes in (("demo", "demo", DEMO_SIZES), ("wan", folder, WAN_SIZES)):
            for side, frames in sizes:
                needed, peak = _measured(model, side, frames)
                row = f"{side:>4}x{side:<4} {frames:>6} {needed / 1e6:>6.0f} MB"
                row += f" {peak / 1e6:>6.0f} MB {needed / peak:>6.2f}"
                print(f"{name:>5} {row}", flush=True)


def _measured(model: str, side: int, frames: int) -> tuple[int, int]:
    """Return the estimate and the peak of a run, in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), model, side, frames)
        run = [sys.executable, "-c", _RUN, folder]
        done = subprocess.run(run, capture_output=True, text=True, check=True, env=os.environ)
    needed, peak = json.loads(done.stdout.splitlines()[-1])
    return needed, peak


def _write(folder: Path, model: str, side: int, frames: int) -> None:
    """Write a clip of noise, and a spec of one step: `flow_edit` skips the first of two."""
    steps = 1 if model == "demo" else 2
    (folder / "clip").mkdir()
    random = np.random.default_rng(0)
    for number in range(frames):
        pixels = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "clip" / f"{number:05}.png")
    (folder / "edit.grain").write_text(
        f'grain 1\nvideo "clip" {{ size {side}x{side} }}\nmodel "{model}"\n'
        'source "a red box"\ntarget "a green robot on snow"\n'
        'region left = box(0%, 0%, 50%, 100%)\nedit left -> "green robot"\n'
        f"sampler {{ steps {steps} }}\n"
    )


if __name__ == "__main__":
    main()
