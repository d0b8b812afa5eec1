"""Compare the estimated memory of runs with the peak of whole runs with the demo model on a CPU.

    python runtime/benchmarks/memory.py

Each run is a process of its own; its peak is the resident set that the system reports. The table
has size, frames, the estimate, the peak, and their ratio.
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

SIZES = ((96, 8), (192, 8), (96, 32), (288, 4), (480, 2))
"""Side in pixels, and number of frames."""

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
Editor(device="cpu", use_cache=False).run_prepared(prepared)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps([sum(needs.main_parts.values()), peak]))
"""


def main() -> None:
    """Run all sizes and print the table."""
    print(f"{'size':>9} {'frames':>6} {'estimate':>9} {'peak':>9} {'ratio':>6}")
    for side, frames in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder), side, frames)
            run = [sys.executable, "-c", _RUN, folder]
            done = subprocess.run(run, capture_output=True, text=True, check=True, env=os.environ)
        needed, peak = json.loads(done.stdout.splitlines()[-1])
        row = f"{side:>4}x{side:<4} {frames:>6} {needed / 1e6:>6.0f} MB {peak / 1e6:>6.0f} MB"
        print(f"{row} {needed / peak:>6.2f}", flush=True)


def _write(folder: Path, side: int, frames: int) -> None:
    """Write a clip of noise and a spec of one step."""
    (folder / "clip").mkdir()
    random = np.random.default_rng(0)
    for number in range(frames):
        pixels = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "clip" / f"{number:05}.png")
    (folder / "edit.grain").write_text(
        f'grain 1\nvideo "clip" {{ size {side}x{side} }}\ntarget "a green robot on grass"\n'
        'region left = box(0%, 0%, 50%, 100%)\nedit left -> "green robot"\nsampler { steps 1 }\n'
    )


if __name__ == "__main__":
    main()
