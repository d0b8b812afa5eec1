"""Measure one long clip in windows on one GPU, and divided between several.

`several_gpus.py` runs this. An edit, as `grain run` makes it between checking the spec and writing
the folder: read and encode 92 frames of 512 x 512, invert them in 10 steps, sample in 10 with
guidance, decode. The model has Stable Diffusion 1.5's size and random weights in float16 (float32
on a CPU; `--tiny`: the demo model). `context` makes eight windows of 16 frames. Each process first
makes a shorter edit of the same windows, which compiles and measures kernels.
"""

from __future__ import annotations

import argparse
import os
import socket
import time
from pathlib import Path
from typing import Any

import edit_cost
import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from grainspec import parse
from grainspec_runtime import Editor
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.prepare import Prepared, prepare

SPEC = """grain 1
video "clip" {{ size {side}x{side} }}
model "{model}"
source "a red man and a blue man before trees"
target "a green robot and a yellow bear before green hills"
region left = box(12%, 33%, 50%, 84%)
region right = box(62%, 33%, 100%, 84%)
edit instance left -> "green robot"
edit instance right -> "yellow bear"
context {{ frames 16  overlap 4  keys 1 }}
sampler ddim {{ steps {steps} }}
"""
_SHORT = 2
"""Steps of the first edit, which is not timed."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this part."""
    parser.add_argument("--window-clip", type=int, default=92, help="frames of the clip in windows")
    parser.add_argument("--window-steps", type=int, default=10, help="steps of that clip's edit")


def prepared_for(folder: Path, steps: int, arguments: argparse.Namespace) -> Prepared:
    """Prepare the edit with so many steps."""
    model = "demo" if arguments.tiny else folder / "model"
    return prepare(parse(SPEC.format(side=arguments.side, model=model, steps=steps)), folder)


def edit_in_windows(
    rank: int, gpus: int, port: int, folder: Path, arguments: argparse.Namespace, took: Any
) -> None:
    """Time the edit in one of ``gpus`` processes; the first one tells what it took."""
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // arguments.gpus))
    on_gpu, device = arguments.device != "cpu", "cpu"
    where: dict[str, Any] = {}
    if on_gpu:
        torch.cuda.set_device(rank)
        device = f"cuda:{rank}"
        where["device_id"] = torch.device(device)
    if gpus > 1:
        address = f"tcp://127.0.0.1:{port}"
        backend = "nccl" if on_gpu else "gloo"
        dist.init_process_group(backend, init_method=address, rank=rank, world_size=gpus, **where)
    model = "demo" if arguments.tiny else str(folder / "model")
    loading = LoadOptions(device=device, parallel="auto" if gpus > 1 else None)
    editor = Editor(model, loading=loading, use_cache=False)
    editor.run_prepared(prepared_for(folder, _SHORT, arguments))
    timed = prepared_for(folder, arguments.window_steps, arguments)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    if gpus > 1:
        dist.barrier()
    start = time.perf_counter()
    result = editor.run_prepared(timed)
    seconds = time.perf_counter() - start
    if rank == 0:
        np.save(folder / f"edited{gpus}.npy", result.edited)
        stages = {name: round(value, 2) for name, value in result.seconds.items()}
        found: dict[str, Any] = {"seconds": round(seconds, 2), "stages": stages}
        found["windows"] = len(result.prepared.windows)
        if on_gpu:
            found["peak MiB"] = round(torch.cuda.max_memory_allocated() / edit_cost.MIB)
        took.put(found)
    if gpus > 1:
        dist.destroy_process_group()


def time_gpus(folder: Path, gpus: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the edit took in so many processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    took = mp.get_context("spawn").SimpleQueue()
    given = (gpus, port, folder, arguments, took)
    mp.start_processes(edit_in_windows, given, nprocs=gpus, start_method="spawn")
    found: dict[str, Any] = took.get()
    print(f"windows, {gpus} devices", found, flush=True)
    return found


def time_windows(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Save the clip and the model, measure both ways, and compare the edits."""
    folder.mkdir(parents=True, exist_ok=True)
    edit_cost.save_clip(folder, arguments.window_clip, arguments.side)
    if not arguments.tiny:
        edit_cost.save_checkpoint(folder)
    several, one = (time_gpus(folder, gpus, arguments) for gpus in (arguments.gpus, 1))
    divided, whole = (
        np.load(folder / f"edited{gpus}.npy").astype(int) for gpus in (arguments.gpus, 1)
    )
    stages = {
        name: round(seconds / several["stages"][name], 3)
        for name, seconds in one["stages"].items()
        if several["stages"].get(name)
    }
    found = {
        "several": several,
        "one": one,
        "times as fast": round(one["seconds"] / several["seconds"], 3),
        "stages, times as fast": stages,
        "bit-identical": bool(np.array_equal(divided, whole)),
        "largest difference of a pixel": int(np.abs(divided - whole).max()),
    }
    print("windows", {name: found[name] for name in list(found)[2:]}, flush=True)
    return found
