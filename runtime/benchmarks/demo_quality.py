"""Measure how often the demo model's samples match their prompts, without region control.

    python runtime/benchmarks/demo_quality.py --samples 100
    python runtime/benchmarks/demo_quality.py --model demo-model    # a model you trained

Samples one figure, and two figures of one kind, from noise and a prompt with diffusers' own
pipeline. The judge classifies every figure and the place. Figures are located without a network:
they are the pixels that differ from the best-matching render of the empty place. Also measures the
judge's own accuracy, on renders that no training used and on their VAE round trips.
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from rich.progress import track

from grainspec_runtime.demo import world
from grainspec_runtime.demo.dataset import ATTRIBUTES, Renders, attributes_of, render_many
from grainspec_runtime.demo.judge import FIGURE_HEADS, PLACE_HEADS, Judge
from grainspec_runtime.demo.render import render
from grainspec_runtime.measures.fidelity import psnr
from grainspec_runtime.media.tensors import to_frames, to_tensor
from grainspec_runtime.models.locate import DEMO_FOLDER

SIZE, SCROLLS, DIFFERENT, UNSEEN = 96, 200, 28, 50_000_000
PERIOD = 2.04  # the longest period in scroll: the mountains' two shapes, at half speed


def found_boxes(frame: np.ndarray, scene: world.Scene, count: int) -> list[np.ndarray]:
    """Boxes (x0, y0, x1, y1 in [0, 1]) of the ``count`` largest areas unlike the empty place."""
    gaps = np.stack(
        [
            np.abs(frame.astype(np.int32) - _empty(scene.background, scene.ground, scroll)).max(-1)
            for scroll in range(SCROLLS)
        ]
    )
    line, near = round(world.GROUND_LINE * SIZE), np.arange(-2, 3)
    halves = []
    for half in (gaps[:, :line], gaps[:, line:]):  # background and ground scroll at other speeds
        best = int(np.minimum(half, DIFFERENT).mean((1, 2)).argmin())
        halves.append(half[(best + near) % SCROLLS].min(0))
    least = np.concatenate(halves)
    mask = cv2.morphologyEx((least > DIFFERENT).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3)))
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    parts = sorted(stats[1:], key=lambda s: -s[4])[:count]
    if count == 2 and (len(parts) < 2 or parts[1][4] < 0.2 * parts[0][4]):
        x, y, w, h, _ = parts[0]  # the figures touch: cut at the narrowest column
        columns = mask[y : y + h, x + w // 4 : x + w - w // 4].sum(0)
        cut = int(np.argmin(columns)) + w // 4
        parts = [(x, y, cut, h, 0), (x + cut, y, w - cut, h, 0)]
    return [np.array([x, y, x + w, y + h], np.float32) / SIZE for x, y, w, h, _ in parts]


@cache
def _empty(background: str, ground: str, scroll: int) -> np.ndarray:
    scene = world.Scene((), background, ground, scroll * PERIOD / SCROLLS)
    return render(scene, SIZE, parts=False)[0].astype(np.int32)


def loaded(folder: Path, device: str) -> StableDiffusionPipeline:
    """Load a demo model as a diffusers pipeline."""
    pipe = StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device)


def sampled(
    pipe: StableDiffusionPipeline, judge: Judge, samples: int, count: int, steps: int, seed: int
) -> dict[str, float]:
    """Sample scenes from their captions; returns the share of correct samples per attribute."""
    rng = random.Random(seed)
    scenes = []
    for _ in range(samples):
        scene = world.random_scene(rng, figures=count)
        first = scene.figures[0]
        scenes.append(replace(scene, figures=(first,) * count))
    rows: list[dict[str, bool]] = []
    for start in track(range(0, samples, 10), description=f"{count} figure(s)"):
        chosen = scenes[start : start + 10]
        pictures = pipe(
            [world.caption(scene, group=True) for scene in chosen],
            num_inference_steps=steps,
            guidance_scale=4.0,
            generator=torch.Generator().manual_seed(seed + start),
            output_type="np",
            height=SIZE,
            width=SIZE,
        ).images
        frames = np.uint8(np.round(pictures * 255))
        places = judge.places(to_tensor(frames))
        for frame, scene, place in zip(frames, scenes[start : start + 10], places, strict=True):
            boxes = found_boxes(frame, scene, count)
            tensor = to_tensor(frame[None]).expand(len(boxes), -1, -1, -1)
            seen = judge.figures(tensor, torch.from_numpy(np.stack(boxes))) if boxes else []
            wanted = scene.figures[0]
            row = {
                name: len(seen) == count
                and all(getattr(verdict, name) == getattr(wanted, name) for verdict in seen)
                for name in ATTRIBUTES
            }
            row["all of the figures"] = all(row.values())
            row["ground"] = place.ground == scene.ground
            row["background"] = place.background == scene.background
            rows.append(row)
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def judged(pipe: StableDiffusionPipeline, judge: Judge, count: int) -> dict[str, dict[str, float]]:
    """The judge's accuracy on renders and on their VAE round trips, and the round trips' PSNR."""
    renders = render_many(count, size=SIZE, seed=UNSEEN)
    frames = [to_tensor(part).to(pipe.device) for part in _split(renders.frames)]
    latents = [pipe.vae.encode(part).latent_dist.mean for part in frames]
    trips = np.concatenate([to_frames(pipe.vae.decode(z).sample) for z in latents])
    near = [psnr(*pair) for pair in zip(renders.frames[:, None], trips[:, None], strict=True)]
    return {
        "renders": _accuracy(judge, renders.frames, renders),
        "VAE round trips": _accuracy(judge, trips, renders),
        "VAE PSNR": {"dB": float(np.mean(near))},
    }


def _split(frames: np.ndarray) -> list[np.ndarray]:
    return [frames[i : i + 50] for i in range(0, len(frames), 50)]


def _accuracy(judge: Judge, frames: np.ndarray, renders: Renders) -> dict[str, float]:
    which, number = np.nonzero(~np.isnan(renders.boxes).any(-1))
    tensor = to_tensor(frames)
    verdicts = judge.figures(tensor[which], torch.from_numpy(renders.boxes[which, number]))
    seen = np.array(
        [
            attributes_of(world.Figure(v.kind, v.colour, hat=v.hat, sunglasses=v.sunglasses))
            for v in verdicts
        ]
    )
    right = (seen == renders.attributes[which, number]).mean(0)
    accuracy = dict(zip(FIGURE_HEADS, right.tolist(), strict=True))
    places = np.array(
        [
            (world.GROUNDS.index(p.ground), world.BACKGROUNDS.index(p.background))
            for p in judge.places(tensor)
        ]
    )
    accuracy |= dict(zip(PLACE_HEADS, (places == renders.places).mean(0).tolist(), strict=True))
    return accuracy


def _shown(key: str, value: float) -> str:
    return f"{value:.1f}" if key == "dB" else f"{value:.1%}"


def main() -> None:
    """Measure and print everything; write JSON with ``--json``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", type=Path, default=DEMO_FOLDER, help="folder of the model (default: shipped)"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--renders", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    judge = Judge.from_pretrained(DEMO_FOLDER)
    pipe = loaded(options.model, options.device)
    results: dict[str, dict[str, float]] = {}
    with torch.inference_mode():
        results |= judged(pipe, judge, options.renders)
        results["one figure"] = sampled(
            pipe, judge, options.samples, 1, options.steps, options.seed
        )
        results["two of one kind"] = sampled(
            pipe, judge, options.samples, 2, options.steps, options.seed + 1
        )
    for name, row in results.items():
        print(
            name.ljust(16), ", ".join(f"{key} {_shown(key, value)}" for key, value in row.items())
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
