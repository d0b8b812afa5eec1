"""Measure the cost of an edit with Wan at its true size: seconds, memory, share of modulation.

    python runtime/benchmarks/edit_cost.py wan              # Wan 2.1 1.3B, 81 frames of 832x480
    python runtime/benchmarks/edit_cost.py wan --size 14B --offload group --steps 10
    python runtime/benchmarks/edit_cost.py wan --size tiny --device cpu --frames 9 --width 64

Builds a checkpoint with Wan 2.1's architecture and random weights, text encoder included, and
saves it as `diffusers` does. Then it measures in one process, with the same clip and sizes:

- *stock*: calls of the pipeline's own transformer, with nothing of grainspec in place;
- *edit*: whole edits by FlowEdit, with the same code as `grain run`, without modulation, with that
  of a profile's settings, and modulated in every step. Each is compared with the same number of
  stock calls;
- *published*: one layer's self-attention as the published code evaluates it, with explicit scores
  and masks, beside torch's plain attention and ours. It runs head by head where all heads at once
  do not fit.

With random weights the results are noise, but the amount of work is the same.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import (
    AutoencoderKLWan,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from PIL import Image
from transformers import T5Tokenizer, UMT5Config, UMT5EncoderModel
from written import write_results

from grainspec import EditSpec, parse
from grainspec_runtime import Editor, modulated_attention
from grainspec_runtime.attention.class_order import ClassOrder
from grainspec_runtime.prepare import prepare

MIB = 1 << 20
SOURCE = "a red box and a blue box before trees"
TARGET = "a green robot and a yellow bear before snow hills"


class Architecture(NamedTuple):
    """The widths of a checkpoint."""

    heads: int
    head_size: int
    layers: int
    inner: int
    text: dict[str, int]
    vae: dict[str, int]


_UMT5_XXL = {
    "vocab_size": 256384,
    "d_model": 4096,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "d_kv": 64,
}
SIZES = {
    "1.3B": Architecture(12, 128, 30, 8960, _UMT5_XXL, {"base_dim": 96, "z_dim": 16}),
    "14B": Architecture(40, 128, 40, 13824, _UMT5_XXL, {"base_dim": 96, "z_dim": 16}),
    "tiny": Architecture(
        2,
        32,
        2,
        64,
        {
            "vocab_size": 64,
            "d_model": 32,
            "d_ff": 64,
            "num_layers": 2,
            "num_heads": 2,
            "d_kv": 16,
        },
        {"base_dim": 8, "z_dim": 16},
    ),
}


def save_checkpoint(folder: Path, size: Architecture, device: str) -> None:
    """Save a Wan 2.1 text-to-video checkpoint with random weights, transformer in bfloat16."""
    words = sorted({*SOURCE.split(), *TARGET.split()})
    scores = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -9.0)]
    scores += [(f"▁{word}", -2.0) for word in words]
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        transformer = WanTransformer3DModel(
            num_attention_heads=size.heads,
            attention_head_dim=size.head_size,
            num_layers=size.layers,
            ffn_dim=size.inner,
            text_dim=size.text["d_model"],
        )
        text_encoder = UMT5EncoderModel(
            UMT5Config(**size.text, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0)
        )
    torch.set_default_dtype(torch.float32)
    with torch.device(device):
        vae = AutoencoderKLWan(**size.vae)
    pipe = WanPipeline(
        tokenizer=T5Tokenizer(vocab=scores, extra_ids=0, model_max_length=512),
        text_encoder=text_encoder,
        vae=vae,
        transformer=transformer,
        scheduler=UniPCMultistepScheduler(
            use_flow_sigmas=True,
            flow_shift=3.0,
            prediction_type="flow_prediction",
            num_train_timesteps=1000,
        ),
    )
    pipe.save_pretrained(folder)


def save_clip(folder: Path, frames: int, width: int, height: int) -> None:
    """Save a clip of two boxes that move over noise."""
    ground = np.random.default_rng(0).integers(60, 120, (height, width, 3), dtype=np.uint8)
    folder.mkdir()
    for frame in range(frames):
        picture = ground.copy()
        left = width // 8 + frame * width // (8 * frames)
        rows = slice(height // 3, height * 5 // 6)
        picture[rows, left : left + width // 4] = (200, 60, 60)
        picture[rows, left + width // 2 : left + width * 3 // 4] = (60, 60, 200)
        Image.fromarray(picture).save(folder / f"{frame:05}.png")


def spec_for(folder: Path, arguments: argparse.Namespace, attention: str) -> EditSpec:
    """A spec with three edits: two moving instances, and their surroundings."""
    last = arguments.frames - 1
    return parse(
        f"""
        grain 1
        video "clip" {{ size {arguments.width}x{arguments.height} }}
        model "{folder / "model"}"
        source "{SOURCE}"
        target "{TARGET}"
        region left = box(12%, 33%, 38%, 84%) @ 0, box(24%, 33%, 50%, 84%) @ {last}
        region right = box(62%, 33%, 88%, 84%) @ 0, box(74%, 33%, 100%, 84%) @ {last}
        region hills = rest
        edit instance left -> "green robot"
        edit instance right -> "yellow bear"
        edit hills -> "snow hills"
        attention {{ {attention} }}
        sampler {{ process flow_edit steps {arguments.steps} skip {arguments.skip}% guidance 10 }}
        """
    )


class Meter:
    """Time and peak memory of a piece of work on a device."""

    def __init__(self, device: torch.device) -> None:
        self.on_gpu = device.type == "cuda"

    def __call__(self, work: Callable[[], Any]) -> dict[str, float]:
        """Run it once; return its seconds and, on a GPU, the peak of its allocated memory."""
        self.reset()
        start = time.perf_counter()
        work()
        if self.on_gpu:
            torch.cuda.synchronize()
        return {"seconds": round(time.perf_counter() - start, 3), **self.peak()}

    def reset(self) -> None:
        """Begin to measure the peak anew."""
        if self.on_gpu:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak(self, of: str = "") -> dict[str, float]:
        """Return the peak since then, in MiB; empty without a GPU."""
        if not self.on_gpu:
            return {}
        name = f"{of} peak MiB" if of else "peak MiB"
        return {name: round(torch.cuda.max_memory_allocated() / MIB)}


@torch.no_grad()
def stock_calls(editor: Editor, folder: Path, arguments: argparse.Namespace, calls: int) -> None:
    """Call the pipeline's own transformer, as `WanPipeline` does for one pass of guidance."""
    checkpoint: Any = editor.checkpoint(folder)
    pipe = checkpoint.pipe
    device, dtype = pipe.transformer.device, pipe.transformer.dtype
    if arguments.offload:
        device = torch.device("cuda")
    rows, columns = arguments.height // 8, arguments.width // 8
    groups = 1 + (arguments.frames - 1) // 4
    generator = torch.Generator(device).manual_seed(0)
    x = torch.randn(1, 16, groups, rows, columns, device=device, dtype=dtype, generator=generator)
    width = pipe.transformer.config.text_dim
    words = torch.randn(1, 512, width, device=device, dtype=dtype, generator=generator)
    t = torch.full((1,), 900.0, device=device)
    for _ in range(calls):
        pipe.transformer(x, t, words, return_dict=False)


@torch.no_grad()
def stock_run(folder: Path, arguments: argparse.Namespace) -> None:
    """Run the stock pipeline with all its components on the device, as its model card shows."""
    vae = AutoencoderKLWan.from_pretrained(folder / "model", subfolder="vae")
    pipe = WanPipeline.from_pretrained(folder / "model", vae=vae, torch_dtype=torch.bfloat16)
    pipe.to(arguments.device)
    pipe.set_progress_bar_config(disable=True)
    pipe(
        TARGET,
        num_frames=arguments.frames,
        width=arguments.width,
        height=arguments.height,
        num_inference_steps=2,
    )


EDITS = {
    "no modulation": "until 0%",
    "first 30%": "until 30%",
    "to timestep 600": "until 100% until_timestep 600",
    "all steps": "until 100%",
    "all steps, columns": "until 100% columns 0.3",
}
"""The edits that are measured, by name: settings of `attention`."""


def edit_cost(
    folder: Path, arguments: argparse.Namespace, editor: Editor, attention: str, meter: Meter
) -> dict[str, float]:
    """Make one edit; return seconds and the peak of GPU memory for each of its stages."""
    prepared = prepare(spec_for(folder, arguments, attention), folder)
    peaks: dict[str, float] = {}

    def progress(stage: str, done: int, total: int) -> None:
        if done == 0 and f"{stage} peak MiB" not in peaks:
            meter.reset()
        if done == total:
            peaks.update(meter.peak(stage))

    start = time.perf_counter()
    result = editor.run_prepared(prepared, progress=progress)
    cost = {"seconds": round(time.perf_counter() - start, 3)}
    if peaks:
        cost["peak MiB"] = max(peaks.values())
    return {**cost, **{f"{name} s": took for name, took in result.seconds.items()}, **peaks}


def network_calls(arguments: argparse.Namespace) -> int:
    """Calls of the network in an edit: source and target, with and without their prompts."""
    skipped = int(arguments.steps * arguments.skip / 100 + 0.5)
    return 4 * (arguments.steps - skipped)


def published_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, positive: torch.Tensor
) -> torch.Tensor:
    """Attention as VideoGrain's published code evaluates it: scores and masks of N x N.

    ``query``, ``key``, ``value`` are ``[H, N, d]``, ``positive`` is bool ``[N, N]``.
    """
    scores = torch.bmm(query, key.mT) * query.shape[-1] ** -0.5
    largest = scores.amax(-1, keepdim=True)
    smallest = scores.amin(-1, keepdim=True)
    up = 0.3 * positive.to(scores.dtype)
    down = 0.3 * (~positive).to(scores.dtype)
    scores = scores + up * (largest - scores) - down * (scores - smallest)
    return torch.bmm(scores.softmax(-1), value)


def one_layer(arguments: argparse.Namespace, size: Architecture, device: torch.device) -> Any:
    """Measure one layer's self-attention: torch's plain one, ours, and the published one."""
    meter = Meter(device)
    groups = 1 + (arguments.frames - 1) // 4
    tokens = groups * (arguments.height // 16) * (arguments.width // 16)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    shape = (1, size.heads, tokens, size.head_size)
    q, k, v = (torch.randn(shape, device=device, dtype=dtype) for _ in range(3))
    columns = arguments.width // 16
    labels = (torch.arange(tokens, device=device) % columns * 4 // columns).int()
    relation = torch.eye(4, dtype=torch.bool, device=device)
    strength = torch.full((tokens,), 0.3, device=device)
    order = ClassOrder.of(labels[None], labels[None], relation)
    positive = labels[:, None] == labels[None]

    def ours() -> None:
        modulated_attention(
            q, k, v, query_labels=labels, key_labels=labels, relation=relation, attract=strength,
            repel=strength, order=order,
        )  # fmt: skip

    works: dict[str, Callable[[], Any]] = {
        "torch, plain": lambda: F.scaled_dot_product_attention(q, k, v),
        "ours": ours,
        "published, all heads": lambda: published_attention(q[0], k[0], v[0], positive),
        "published, head by head": lambda: [
            published_attention(q[0, [head]], k[0, [head]], v[0, [head]], positive)
            for head in range(size.heads)
        ],
    }
    costs: dict[str, Any] = {"tokens": tokens}
    for name, work in works.items():
        try:
            work()  # the first call compiles
            costs[name] = min((meter(work) for _ in range(3)), key=lambda cost: cost["seconds"])
        except torch.OutOfMemoryError as error:
            costs[name] = str(error).split(". ")[0]
        print(f"one layer, {name}: {costs[name]}", flush=True)
    return costs


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything, printing each figure when it is known."""
    size = SIZES[arguments.size]
    device = torch.device(arguments.device)
    meter = Meter(device)
    results: dict[str, Any] = {}
    if not arguments.offload:
        results["one layer"] = one_layer(arguments, size, device)
        results["stock pipeline, 2 steps"] = meter(lambda: stock_run(folder, arguments))
        print(f"stock pipeline: {results['stock pipeline, 2 steps']}", flush=True)
    editor = Editor(
        str(folder / "model"),
        use_cache=False,
        device=arguments.device,
        offload=arguments.offload,
        vae_tiling=arguments.vae_tiling,
    )
    short = argparse.Namespace(**{**vars(arguments), "steps": 2, "skip": 0})
    # The first edit encodes the prompts, and compiles the kernels.
    results["first edit, 2 steps"] = edit_cost(folder, short, editor, "until 100%", meter)
    print(f"first edit: {results['first edit, 2 steps']}", flush=True)
    calls = min(8, network_calls(arguments))
    if not arguments.offload:
        stock = meter(lambda: stock_calls(editor, folder, arguments, calls))
        results["stock"] = {**stock, "calls": calls}
        print(f"stock: {results['stock']}", flush=True)
    for name in arguments.edits:
        cost = edit_cost(folder, arguments, editor, EDITS[name], meter)
        cost["calls"] = network_calls(arguments)
        results[name] = cost
        print(f"{name}: {cost}", flush=True)
    if not arguments.offload:
        again = meter(lambda: stock_calls(editor, folder, arguments, calls))
        results["stock again"] = {**again, "calls": calls}
        per_call = (stock["seconds"] + again["seconds"]) / (2 * calls)
        for name in arguments.edits:
            cost = results[name]
            cost["of stock calls"] = round(cost["edit s"] / cost["calls"] / per_call, 4)
            if "edit peak MiB" in cost:
                cost["of stock memory"] = round(cost["edit peak MiB"] / stock["peak MiB"], 4)
            print(
                f"{name}: {cost['of stock calls']} x the time of stock calls, "
                f"{cost.get('of stock memory')} x their memory",
                flush=True,
            )
    return results


def main(argv: Sequence[str] | None = None) -> None:
    """Build the checkpoint, measure, and print the costs."""
    parser = argparse.ArgumentParser(description="Measure the cost of an edit with Wan.")
    parser.add_argument("--size", choices=list(SIZES), default="1.3B")
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--width", type=int, default=832)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--skip", type=int, default=33, help="percent of the steps")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--offload", choices=["model", "sequential", "group"])
    parser.add_argument("--vae-tiling", action="store_true")
    parser.add_argument("--edits", nargs="+", choices=list(EDITS), default=list(EDITS))
    parser.add_argument("--folder", type=Path, help="keep the checkpoint here, and use it again")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(argv)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="wan-cost-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        start = time.perf_counter()
        if not (folder / "model" / "model_index.json").exists():
            save_checkpoint(folder / "model", SIZES[arguments.size], arguments.device)
        shutil.rmtree(folder / "clip", ignore_errors=True)
        save_clip(folder / "clip", arguments.frames, arguments.width, arguments.height)
        print(f"built in {time.perf_counter() - start:.0f} s", flush=True)
        if arguments.device == "cuda":
            torch.cuda.empty_cache()
        results = measure(folder, arguments)
    finally:
        if arguments.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    write_results(arguments, results, on_gpu=arguments.device == "cuda")


if __name__ == "__main__":
    main()
