"""Measure whole edits of one clip on one GPU, and divided between several.

`several_gpus.py` runs this. An edit is what `grain run` makes between checking the spec and writing
the folder: read, encode, invert and sample, or follow the flow, and decode. All weights are random.
Each process first makes a shorter edit, which compiles and measures kernels.

*windows*: 92 frames of 512 x 512, in eight windows of 16 frames by `context`, 10 steps of inversion
and 10 with guidance, by a model of Stable Diffusion 1.5's size in float16 (float32 on a CPU;
`--tiny`: the demo model).

*flow*: 81 frames of 832 x 480 by FlowEdit with guidance of source and target, 50 steps of which 33
are made, by a model of Wan 2.1 1.3B's size in bfloat16 with a small text encoder, divided by its
tokens (`auto`) and by passes of guidance first (`guidance`).
"""

from __future__ import annotations

import argparse
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import edit_cost
import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import wan_cost

from grainspec import parse
from grainspec_runtime import Editor
from grainspec_runtime.models.options import LoadOptions, Parallel
from grainspec_runtime.prepare import Prepared, prepare

Kind = Literal["windows", "flow"]
WAYS: dict[Kind, tuple[Parallel, ...]] = {"windows": ("auto",), "flow": ("auto", "guidance")}
SCENE = """grain 1
video "clip" {{ size {side}x{side} }}
model "{model}"
source "a red man and a blue man before trees"
target "a green robot and a yellow bear before green hills"
region left = box(12%, 33%, 50%, 84%)
region right = box(62%, 33%, 100%, 84%)
"""
"""What edits of clips of :func:`edit_cost.save_clip` begin with."""
SPEC = (
    SCENE
    + """edit instance left -> "green robot"
edit instance right -> "yellow bear"
context {{ frames 16  overlap 4  keys 1 }}
sampler ddim {{ steps {steps} }}
"""
)
_SHORT = 2
"""Steps of the first edit, which is not timed."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of these parts."""
    parser.add_argument("--window-clip", type=int, default=92, help="frames of the clip in windows")
    parser.add_argument("--window-steps", type=int, default=10, help="steps of that clip's edit")
    parser.add_argument("--flow-steps", type=int, default=50, help="steps of the edit by FlowEdit")


def save_files(kind: Kind, folder: Path, arguments: argparse.Namespace) -> None:
    """Save the clip and, unless it is the demo model, the checkpoint."""
    if kind == "windows":
        edit_cost.save_clip(folder, arguments.window_clip, arguments.side)
        if not arguments.tiny:
            edit_cost.save_checkpoint(folder)
        return
    wan_cost.save_clip(folder / "clip", arguments.frames, *_sides(arguments))
    tiny = wan_cost.SIZES["tiny"]
    size = tiny if arguments.tiny else wan_cost.SIZES["1.3B"]._replace(text=tiny.text)
    device = "cpu" if arguments.device == "cpu" else "cuda"
    wan_cost.save_checkpoint(folder / "model", size, device)


def prepared_for(
    kind: Kind, folder: Path, arguments: argparse.Namespace, *, short: bool = False
) -> Prepared:
    """Prepare the edit, or one of few steps."""
    if kind == "windows":
        model = "demo" if arguments.tiny else folder / "model"
        steps = _SHORT if short else arguments.window_steps
        text = SPEC.format(side=arguments.side, model=model, steps=steps)
        return prepare(parse(text), folder)
    width, height = _sides(arguments)
    chosen = {"width": width, "height": height, "frames": arguments.frames}
    chosen |= {"steps": _SHORT, "skip": 0} if short else {"steps": arguments.flow_steps, "skip": 34}
    attention = wan_cost.EDITS["to timestep 600"]
    return prepare(wan_cost.spec_for(folder, argparse.Namespace(**chosen), attention), folder)


def _sides(arguments: argparse.Namespace) -> tuple[int, int]:
    width, height = map(int, arguments.size.split("x"))
    return width, height


def edit_divided(
    rank: int,
    gpus: int,
    how: Parallel,
    port: int,
    kind: Kind,
    folder: Path,
    arguments: argparse.Namespace,
    took: Any,
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
    is_demo = kind == "windows" and arguments.tiny
    loading = LoadOptions(device=device, parallel=how if gpus > 1 else None)
    editor = Editor("demo" if is_demo else str(folder / "model"), loading=loading, use_cache=False)
    editor.run_prepared(prepared_for(kind, folder, arguments, short=True))
    timed = prepared_for(kind, folder, arguments)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    if gpus > 1:
        dist.barrier()
    start = time.perf_counter()
    result = editor.run_prepared(timed)
    seconds = time.perf_counter() - start
    if rank == 0:
        np.save(_edited(folder, gpus, how), result.edited)
        stages = {name: round(value, 2) for name, value in result.seconds.items()}
        found: dict[str, Any] = {"seconds": round(seconds, 2), "stages": stages}
        if gpus > 1:
            found["divided by"] = str(result.division)
        if on_gpu:
            found["peak MiB"] = round(torch.cuda.max_memory_allocated() / edit_cost.MIB)
        took.put(found)
    if gpus > 1:
        dist.destroy_process_group()


def _edited(folder: Path, gpus: int, how: Parallel) -> Path:
    return folder / f"edited-{gpus}-{how}.npy"


def time_gpus(
    kind: Kind, folder: Path, gpus: int, how: Parallel, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Return what the edit took in so many processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    took = mp.get_context("spawn").SimpleQueue()
    given = (gpus, how, port, kind, folder, arguments, took)
    mp.start_processes(edit_divided, given, nprocs=gpus, start_method="spawn")
    found: dict[str, Any] = took.get()
    print(f"{kind}, {gpus} devices, {how}", found, flush=True)
    return found


def time_edit(kind: Kind, folder: Path, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Save the clip and the model; measure one GPU, then every way to divide, and compare.

    Yields what is known after each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_files(kind, folder, arguments)
    one = time_gpus(kind, folder, 1, "auto", arguments)
    known = {"one": one}
    yield known
    whole = np.load(_edited(folder, 1, "auto")).astype(int)
    for how in WAYS[kind]:
        several = time_gpus(kind, folder, arguments.gpus, how, arguments)
        apart = np.abs(np.load(_edited(folder, arguments.gpus, how)).astype(int) - whole)
        several["times as fast"] = round(one["seconds"] / several["seconds"], 3)
        several["stages, times as fast"] = {
            name: round(seconds / several["stages"][name], 3)
            for name, seconds in one["stages"].items()
            if several["stages"].get(name)
        }
        several["largest, mean difference of a pixel"] = [int(apart.max()), float(apart.mean())]
        print(kind, how, {name: several[name] for name in list(several)[-3:]}, flush=True)
        known[how] = several
        yield known
