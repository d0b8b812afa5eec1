"""What a whole edit costs: time by stage and GPU memory, with random weights at true size.

    python runtime/benchmarks/edit_cost.py                  # Stable Diffusion 1.5, one ControlNet
    python runtime/benchmarks/edit_cost.py --frames 8 --steps 20 --no-control

Builds a checkpoint of Stable Diffusion 1.5's true architecture and a ControlNet, random, and edits
a clip of 16 frames of 512 x 512 with 50 inversion and 50 sampling steps, through the same road as
`grain run`: modulated in no step, in the first 30 % of the steps as the paper has it, and in all.
The difference is what modulation costs. Pictures of random weights mean nothing; the work does not
depend on them.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import tempfile
import time
from importlib.metadata import version
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

from grainspec import EditSpec, parse
from grainspec_runtime import Editor
from grainspec_runtime.backbones.locate import DEMO_FOLDER
from grainspec_runtime.prepare import prepare

MIB = 1 << 20


def save_checkpoint(folder: Path) -> None:
    """Stable Diffusion 1.5's parts with random weights, in half precision."""
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
    """Two squares that move over noise."""
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
    """Three edits: two instances that move, and what is around them."""
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
    """Seconds by stage, and the most GPU memory, in MiB."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    result = editor.run_prepared(prepare(spec, folder))
    found = dict(result.seconds)
    found["all"] = round(sum(found.values()) - found.get("load model", 0.0), 2)
    if torch.cuda.is_available():
        found["peak MiB"] = round(torch.cuda.max_memory_allocated() / MIB)
    return found


def main() -> None:
    """Build, run with and without modulation, print a table."""
    parser = argparse.ArgumentParser(description="What a whole edit costs.")
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
        run(folder, spec_for(folder, short, until=100), editor)  # kernels are compiled
        results: dict[str, dict[str, float]] = {}
        for until in (0, 30, 100, 0):  # the first again: has the machine kept its pace?
            name = f"modulated {until}%" + " again" * (f"modulated {until}%" in results)
            results[name] = run(folder, spec_for(folder, arguments, until), editor)
            print(f"{name}: {results[name]}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    without = results["modulated 0% again"]["all"]
    for until in (30, 100):
        whole = results[f"modulated {until}%"]["all"]
        share = (whole - without) / whole
        print(f"modulated for {until}% of the steps: {whole:.1f} s, {share:.1%} of it modulation")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor()
    facts = {
        "arguments": {key: value for key, value in vars(arguments).items() if key != "json"},
        "device": device,
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers")},
        "results": results,
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
