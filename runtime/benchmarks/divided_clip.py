"""Measure one clip on one GPU, and divided between several; `several_gpus.py` runs this.

Predictions with guidance, which have two passes each, by a transformer of Wan 2.1 1.3B's size with
random weights in bfloat16 (float32 on a CPU), 81 frames of 832 x 480, without and with modulation:
on one GPU, and divided between all of them, by Ulysses as far as the heads allow (`auto`), by ring
attention alone (`ring`), and by passes first (`guidance`). Says how far the outputs are apart,
relative to the largest value and in the norm, and the most memory that torch had allocated on a GPU
during the passes, with weights.
"""

from __future__ import annotations

import argparse
import gc
import os
import socket
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import wan_cost

from grainspec import parse
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.layout import Layout
from grainspec_runtime.backbones.registry import describe, load_checkpoint
from grainspec_runtime.models.options import LoadOptions, Parallel

WAYS: tuple[Parallel, ...] = ("auto", "ring", "guidance")


def device_of(rank: int, arguments: argparse.Namespace) -> str:
    """Return a process's device, which becomes the current one."""
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // arguments.gpus))
    if arguments.device == "cpu":
        return "cpu"
    torch.cuda.set_device(rank)
    return f"cuda:{rank}"


def plan_of(folder: Path, arguments: argparse.Namespace) -> MaskPlan:
    """Compile a plan with two halves of the frame, modulated at every step."""
    width, height = map(int, arguments.size.split("x"))
    spec = parse(
        f'grain 1 video "c" model "{folder}" target "{wan_cost.TARGET}" '
        "region left = all region right = all "
        'edit left -> "green robot" edit right -> "yellow bear" attention { until 100% }'
    )
    masks = {name: np.zeros((arguments.frames, height, width), bool) for name in ("left", "right")}
    masks["left"][:, :, : width // 3], masks["right"][:, height // 3 :, width // 2 :] = True, True
    return compile_plan(spec, Layout.of(masks), describe(str(folder), Path())).plan


class Passes(NamedTuple):
    """A prediction, its seconds, and the most bytes allocated on the GPU, 0 on a CPU."""

    out: torch.Tensor
    seconds: float
    peak: int


@torch.no_grad()
def passes_of(checkpoint: Any, plan: MaskPlan, used: bool, arguments: argparse.Namespace) -> Passes:
    """Run and time predictions with guidance, with the plan or without."""
    width, height = (int(side) // 8 for side in arguments.size.split("x"))
    frames = len(plan.groups)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(frames, 16, height, width, generator=generator).to(checkpoint.device)
    latents = torch.cat([latents, latents])
    words = tuple(checkpoint.encode_prompt(text) for text in ("", wan_cost.TARGET))
    attention = checkpoint.attention(frames, None, plan=plan if used else None)
    on_gpu = checkpoint.device.type == "cuda"
    timestep = torch.tensor(900.0, device=checkpoint.device)
    with checkpoint.installed(attention):
        for number in range(arguments.passes + 1):
            if number == 1:  # the first one compiles and measures kernels
                if on_gpu:
                    torch.cuda.synchronize()
                    torch.cuda.reset_peak_memory_stats()
                start = time.perf_counter()
            attention.begin_step(0, 2, 900.0)
            out = checkpoint.predict(latents, timestep, words, range(frames), step=0, steps=2)
        if on_gpu:
            torch.cuda.synchronize()
    seconds = (time.perf_counter() - start) / arguments.passes
    return Passes(out, seconds, torch.cuda.max_memory_allocated() if on_gpu else 0)


def both_of(
    folder: Path, plan: MaskPlan, arguments: argparse.Namespace, options: LoadOptions
) -> tuple[str, dict[str, Passes]]:
    """Load the model, and predict without and with modulation; say how they are divided."""
    checkpoint: Any = load_checkpoint(str(folder), Path(), options)
    found = {
        name: passes_of(checkpoint, plan, used, arguments)
        for name, used in (("plain", False), ("modulated", True))
    }
    return str(checkpoint.division), found


def divide_clip(
    rank: int, folder: Path, port: int, arguments: argparse.Namespace, took: Any
) -> None:
    """Measure one clip, divided in every way and, in the first process, whole."""
    device = device_of(rank, arguments)
    backend = "gloo" if device == "cpu" else "nccl"
    address = f"tcp://127.0.0.1:{port}"
    where: dict[str, Any] = {} if device == "cpu" else {"device_id": torch.device(device)}
    dist.init_process_group(
        backend, init_method=address, rank=rank, world_size=arguments.gpus, **where
    )
    plan = plan_of(folder, arguments)
    found: dict[str, Any] = {"latent frames": len(plan.groups), "gpus": arguments.gpus}
    whole: dict[str, Passes] = {}
    if rank == 0:
        _, whole = both_of(folder, plan, arguments, LoadOptions(device=device))
        found["one GPU"] = {name: cost_of(one) for name, one in whole.items()}
        print("one GPU", found["one GPU"], flush=True)
    gc.collect()  # the model, whose hooks refer to it
    for how in WAYS:
        dist.barrier()
        options = LoadOptions(device=device, parallel=how)
        division, parts = both_of(folder, plan, arguments, options)
        peaks = torch.tensor([part.peak for part in parts.values()], device=device)
        dist.all_reduce(peaks, dist.ReduceOp.MAX)
        if rank == 0:
            found[how] = {"divided by": division}
            for (name, part), peak in zip(parts.items(), peaks.tolist(), strict=True):
                cost = cost_of(part._replace(peak=peak))
                found[how][name] = cost | compared(part, whole[name])
            print(how, found[how], flush=True)
        gc.collect()
    if rank == 0:
        took.put(found)
    dist.destroy_process_group()


def cost_of(passes: Passes) -> dict[str, Any]:
    """Return seconds of a prediction, and the peak memory of a GPU."""
    memory = {"peak GiB of a GPU": round(passes.peak / 2**30, 3)} if passes.peak else {}
    return {"seconds of a prediction": round(passes.seconds, 4), **memory}


def compared(part: Passes, whole: Passes) -> dict[str, float]:
    """Compare a divided prediction with that of one GPU."""
    apart = (part.out - whole.out).float()
    return {
        "times as fast": round(whole.seconds / part.seconds, 3),
        "largest difference / largest value": float(apart.abs().max() / whole.out.abs().max()),
        "relative difference in the norm": float(apart.norm() / whole.out.norm()),
    }


def time_clip(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Save a transformer with random weights, and measure it in as many processes as GPUs."""
    tiny = wan_cost.SIZES["tiny"]
    size = tiny if arguments.tiny else wan_cost.SIZES["1.3B"]._replace(text=tiny.text, vae=tiny.vae)
    wan_cost.save_checkpoint(folder, size, "cpu" if arguments.device == "cpu" else "cuda")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    took = mp.get_context("spawn").SimpleQueue()
    given = (folder, port, arguments, took)
    running = mp.start_processes(
        divide_clip, given, nprocs=arguments.gpus, start_method="spawn", join=False
    )
    while running is not None and not running.join():
        pass
    found: dict[str, Any] = took.get()
    return found
