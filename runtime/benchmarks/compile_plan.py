"""Measure the time to compile a mask plan, and its size.

    python runtime/benchmarks/compile_plan.py --frames 16 --latent 64 --regions 5

The regions are discs that move over the clip, one edit each, on the four levels of a Stable
Diffusion UNet. The layout is built before timing; compiling and saving are timed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np

from grainspec import ALL, Builder
from grainspec.plan.compile import compile_plan
from grainspec.plan.save import load_plan, save_plan
from grainspec.regions.layout import Layout
from grainspec.testing import word_backbone

ANIMALS = (
    "robot bear cat alien penguin wolf fish bird rose lamp boat drum kite moon star apple "
    "bread chair cloud dress eagle field ghost horse iron juice knife lemon mouse night ocean piano"
).split()


def discs(frames: int, side: int, count: int) -> Layout:
    """Make discs that move in circles, bool ``[F, side, side]`` each; neighbours overlap."""
    y, x = np.mgrid[:side, :side] / side
    masks = {}
    for index in range(count):
        angle = 2 * np.pi * (index / count + np.arange(frames) / 60)
        centre_x, centre_y = 0.5 + 0.3 * np.cos(angle), 0.5 + 0.3 * np.sin(angle)
        away = (x - centre_x[:, None, None]) ** 2 + (y - centre_y[:, None, None]) ** 2
        masks[f"disc{index}"] = away < 0.2**2
    return Layout.of(masks)


def main() -> None:
    """Compile several times; print the best and worst time, the peak memory and the sizes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--latent", type=int, default=64, help="side of the latent grid")
    parser.add_argument("--regions", type=int, default=5, help=f"at most {len(ANIMALS)}")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    layout = discs(arguments.frames, 8 * arguments.latent, arguments.regions)
    words = ANIMALS[: arguments.regions]
    builder = Builder("clip.mp4").target(" and ".join(words))
    for region, word in zip(layout.names, words, strict=True):
        builder = builder.region(region, ALL).instance(region, word)
    spec, backbone = builder.build(), word_backbone()
    seconds = []
    for _ in range(arguments.repeats):
        start = time.perf_counter()
        plan = compile_plan(spec, layout, backbone).plan
        seconds.append(time.perf_counter() - start)
    tracemalloc.start()
    compile_plan(spec, layout, backbone)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.safetensors"
        start = time.perf_counter()
        save_plan(plan, path)
        saved = time.perf_counter() - start
        assert load_plan(path) == plan
        size = path.stat().st_size
    print(f"{arguments.frames} frames, {arguments.latent}x{arguments.latent} latent grid,", end=" ")
    print(f"{len(plan.levels)} levels, {arguments.regions} regions, {len(plan.members_CE)} classes")
    print(f"compile   {1000 * min(seconds):6.1f} ms (best), {1000 * max(seconds):.1f} ms (worst)")
    print(f"peak      {peak / 1e6:6.1f} MB while compiling, beyond the layout")
    print(f"in memory {plan.nbytes() / 1e6:6.2f} MB")
    print(f"save      {1000 * saved:6.1f} ms, {size / 1e6:.2f} MB on disk")


if __name__ == "__main__":
    main()
