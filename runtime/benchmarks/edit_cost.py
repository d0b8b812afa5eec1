"""Measure the cost of a complete edit: time per stage and GPU memory, at Stable Diffusion's size.

    python runtime/benchmarks/edit_cost.py                  # Stable Diffusion 1.5, one ControlNet
    python runtime/benchmarks/edit_cost.py --frames 8 --steps 20 --no-control
    python runtime/benchmarks/edit_cost.py wan              # Wan 2.1 1.3B; see wan_cost.py

Builds a checkpoint and a ControlNet with Stable Diffusion 1.5's architecture and random weights.
Edits a clip of 16 frames of 512 x 512 with 50 inversion and 50 sampling steps, with the same code
as `grain run`: without modulation, with modulation in the first 30 % of the steps, as in the paper,
and in all steps. The difference is the cost of modulation. With random weights the results are
noise, but the amount of work is the same.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizerFast
from written import write_results

from grainspec import EditSpec, parse
from grainspec_runtime import Editor
from grainspec_runtime.models.locate import DEMO_FOLDER
from grainspec_runtime.prepare import prepare

MIB = 1 << 20


def save_checkpoint(folder: Path) -> None:
    """Save Stable Diffusion 1.5's components with random weights, in half precision."""
    tokenizer = CLIPTokenizerFast.from_pretrained(DEMO_FOLDER / "tokenizer", model_max_length=77)
    text = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        projection_dim=768,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768)
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
            sample_size=512,
        )
        encoder = CLIPTextModel(text)
        net = ControlNetModel.from_unet(unet)
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        set_alpha_to_one=False,
        clip_sample=False,
    )
    for layer in [*net.controlnet_down_blocks, net.controlnet_mid_block]:
        torch.nn.init.normal_(layer.weight, std=0.02)
    net.half().save_pretrained(folder / "net")
    pipe = StableDiffusionPipeline(
        vae=vae.half(),
        text_encoder=encoder.half(),
        tokenizer=tokenizer,
        unet=unet.half(),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder / "model")


def save_clip(folder: Path, frames: int, side: int) -> None:
    """Save a clip of two squares that move over noise."""
    rng = np.random.default_rng(0)
    ground = rng.integers(60, 120, (side, side, 3), dtype=np.uint8)
    (folder / "clip").mkdir()
    for frame in range(frames):
        picture = ground.copy()
        left = side // 8 + frame * side // 64
        picture[side // 3 : side * 5 // 6, left : left + side // 4] = (200, 60, 60)
        picture[side // 3 : side * 5 // 6, side // 2 + left : side * 3 // 4 + left] = (60, 60, 200)
        Image.fromarray(picture).save(folder / "clip" / f"{frame:05}.png")


def spec_for(folder: Path, arguments: argparse.Namespace, until: int) -> EditSpec:
    """A spec with three edits: two moving instances, and their surroundings."""
    last = arguments.frames - 1
    side, end = arguments.side, 100 * last / 64
    control = f'control canny {{ net "{folder / "net"}" }}' if arguments.control else ""
    return parse(
        f"""
        grain 1
        video "clip" {{ size {side}x{side} }}
        model "{folder / "model"}"
        source "a red man and a blue man before trees"
        target "a green robot and a yellow bear before green hills"
        region left = box(12%, 33%, 38%, 84%) @ 0, box({12 + end}%, 33%, {38 + end}%, 84%) @ {last}
        region right = box(62%, 33%, 88%, 84%) @ 0, box({62 + end}%, 33%, {88 + end}%, 84%) @ {last}
        region hills = rest
        edit instance left -> "green robot"
        edit instance right -> "yellow bear"
        edit hills -> "green hills"
        attention {{ until {until}% }}
        sampler ddim {{ steps {arguments.steps} }}
        {control}
        """
    )


def run(folder: Path, spec: EditSpec, editor: Editor) -> dict[str, float]:
    """Run an edit; returns the seconds per stage and the peak GPU memory in MiB."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    result = editor.run_prepared(prepare(spec, folder))
    cost = dict(result.seconds)
    cost["all"] = round(sum(cost.values()) - cost.get("load model", 0.0), 2)
    if torch.cuda.is_available():
        cost["peak MiB"] = round(torch.cuda.max_memory_allocated() / MIB)
    return cost


def main() -> None:
    """Build the model, run with and without modulation, and print the costs."""
    parser = argparse.ArgumentParser(
        description="Measure the time and GPU memory of a complete edit."
    )
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--no-control", dest="control", action="store_false")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="edit-cost-"))
    try:
        start = time.perf_counter()
        save_checkpoint(folder)
        save_clip(folder, arguments.frames, arguments.side)
        print(f"built in {time.perf_counter() - start:.0f} s", flush=True)
        editor = Editor(str(folder / "model"), use_cache=False)
        short = argparse.Namespace(**{**vars(arguments), "steps": 2})
        run(folder, spec_for(folder, short, until=100), editor)  # warm-up: compiles the kernels
        results: dict[str, dict[str, float]] = {}
        for until in (0, 30, 100, 0):  # 0 again, to see whether the machine's speed is stable
            name = f"modulated {until}%" + " again" * (f"modulated {until}%" in results)
            results[name] = run(folder, spec_for(folder, arguments, until), editor)
            print(f"{name}: {results[name]}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    without = results["modulated 0% again"]["all"]
    for until in (30, 100):
        whole = results[f"modulated {until}%"]["all"]
        share = (whole - without) / whole
        print(f"modulated in {until}% of the steps: {whole:.1f} s, {share:.1%} of it modulation")
    write_results(arguments, results, on_gpu=torch.cuda.is_available())


if __name__ == "__main__":
    if sys.argv[1:2] == ["wan"]:
        import wan_cost

        wan_cost.main(sys.argv[2:])
    else:
        main()
