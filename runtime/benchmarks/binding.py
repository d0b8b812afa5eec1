"""Do words land on the right figure? Random two-figure edits of the demo world, judged.

    python runtime/benchmarks/binding.py --cases 32

Every case renders a clip of two figures, edits both to other kinds and colours, and the background
to another, through the whole road from spec to frames; words name the figures in random order. The
same case runs without modulation (both strengths 0), with the paper's constants, and with the
settings of the examples. The judge reads kind and colour in each figure's box on every frame.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import tempfile
import time
from pathlib import Path

import diffusers
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from grainspec import REST, Builder, masks
from grainspec.spec import Attention
from grainspec_runtime import Editor
from grainspec_runtime.backbones.locate import DEMO_FOLDER
from grainspec_runtime.demo import world
from grainspec_runtime.demo.dataset import mask_box
from grainspec_runtime.demo.judge import Judge
from grainspec_runtime.sampling.cache_folder import cache_folder

SETTINGS = {
    "no modulation": Attention(cross=0.0, self=0.0),
    "paper's constants": Attention(),
    "examples' settings": Attention(self=1.0, until=0.6, decay=1.0),
    "examples', norms over the clip": Attention(self=1.0, until=0.6, decay=1.0, norm="clip"),
}
COLOURS = tuple(world.COLOURS)


def random_case(seed: int, frames: int) -> tuple[world.Scene, Builder, list[tuple[str, str]], str]:
    """A scene, its edit without attention settings, the wanted (colour, kind) pairs, the place."""
    rng = random.Random(seed)
    kinds, colours = rng.sample(world.KINDS, 2), rng.sample(COLOURS, 2)
    kind, old = rng.choice(world.KINDS), rng.sample(COLOURS, 2)
    figures = tuple(
        world.Figure(
            kind,
            colour,
            x=x + rng.uniform(-0.04, 0.04),
            height=rng.uniform(0.6, 0.7),
            phase=rng.uniform(0, 6),
        )
        for x, colour in zip((0.28, 0.72), old, strict=True)
    )
    scene = world.Scene(figures, rng.choice(world.BACKGROUNDS), rng.choice(world.GROUNDS))
    background = rng.choice([b for b in world.BACKGROUNDS if b != scene.background])
    wanted = list(zip(colours, kinds, strict=True))
    phrases = [f"{colour} {kind}" for colour, kind in wanted]
    named = [world.with_article(phrase) for phrase in phrases]
    rng.shuffle(named)
    builder = (
        Builder("clip", frames=(0, frames - 1))
        .source(world.caption(scene))
        .target(f"{' and '.join(named)} on {scene.ground} before {background}")
        .region("left", masks("left"))
        .region("right", masks("right"))
        .region("ground", masks("ground"))
        .region("behind", REST)
        .instance("left", phrases[0])
        .instance("right", phrases[1])
        .edit("behind", background)
        .keep("ground")
    )
    return scene, builder, wanted, background


def write_clip(scene: world.Scene, frames: int, folder: Path) -> np.ndarray:
    """Frames and masks as PNGs; returns the figures' boxes ``[2, F, 4]``."""
    boxes = np.zeros((2, frames, 4), np.float32)
    for number in range(frames):
        picture, found = world.render(world.advance(scene, number), 96)
        named = {
            "left": found["figure0"],
            "right": found["figure1"],
            "ground": found["ground"],
        }
        for name, mask in named.items():
            (folder / name).mkdir(exist_ok=True)
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / name / f"{number}.png")
        (folder / "clip").mkdir(exist_ok=True)
        Image.fromarray(picture).save(folder / "clip" / f"{number}.png")
        boxes[:, number] = [mask_box(named["left"]), mask_box(named["right"])]
    return boxes


def run(editor: Editor, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """The share of figures on frames that are right, by setting."""
    judge = Judge.from_pretrained(DEMO_FOLDER)
    scores: dict[str, list[list[float]]] = {name: [] for name in SETTINGS}
    seconds: list[float] = []
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("edits", total=arguments.cases * len(SETTINGS))
        for case in range(arguments.cases):
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place)
                scene, builder, wanted, background = random_case(
                    arguments.seed + case, arguments.frames
                )
                boxes = write_clip(scene, arguments.frames, folder)
                for name, attention in SETTINGS.items():
                    wanted_spec = builder.attention(**attention.model_dump(by_alias=True))
                    spec = wanted_spec.sampler(steps=arguments.steps, guidance=4.0).build()
                    start = time.perf_counter()
                    result = editor.run(spec, base=folder)
                    seconds.append(time.perf_counter() - start)
                    edited = torch.from_numpy(result.edited).permute(0, 3, 1, 2).float() / 127.5 - 1
                    row: list[float] = []
                    for side in range(2):
                        seen = judge.figures(edited, torch.from_numpy(boxes[side]))
                        colour, kind = wanted[side]
                        row.append(float(np.mean([v.kind == kind for v in seen])))
                        row.append(float(np.mean([v.colour == colour for v in seen])))
                        both = [(v.colour, v.kind) == (colour, kind) for v in seen]
                        row.append(float(np.mean(both)))
                    places = judge.places(edited)
                    row.append(float(np.mean([p.background == background for p in places])))
                    row.append(float(np.mean([p.ground == scene.ground for p in places])))
                    scores[name].append(row)
                    bar.advance(task)
    names = (
        "left kind",
        "left colour",
        "left right",
        "right kind",
        "right colour",
        "right right",
        "background",
        "ground",
    )
    report = {
        name: dict(zip(names, np.mean(rows, axis=0).round(4).tolist(), strict=True))
        for name, rows in scores.items()
    }
    for found in report.values():
        found["figure right"] = round((found["left right"] + found["right right"]) / 2, 4)
    each = np.reshape(seconds, (arguments.cases, len(SETTINGS)))
    first, later = np.median(each[:, 0]), np.median(each[:, 1:])
    print(f"median seconds an edit: {first:.1f}, with the inversion cached {later:.1f}")
    return report


def main() -> None:
    """Run, print the table, and write it as JSON if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=32)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    editor = Editor()
    report = run(editor, arguments)
    table = Table(title=f"{arguments.cases} edits of {arguments.frames} frames, demo world")
    table.add_column("")
    for column in next(iter(report.values())):
        table.add_column(column, justify="right")
    for name, found in report.items():
        table.add_row(name, *(f"{value:.0%}" for value in found.values()))
    Console(width=140).print(table)
    if arguments.json:
        checkpoint = editor.checkpoint(Path())
        cuda = checkpoint.device.type == "cuda"
        facts = {
            "device": torch.cuda.get_device_name() if cuda else platform.processor(),
            "dtype": str(checkpoint.dtype).removeprefix("torch."),
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "arguments": {k: v for k, v in vars(arguments).items() if k != "json"},
            "report": report,
        }
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n")
    print(f"inversions were cached under {cache_folder()}")


if __name__ == "__main__":
    main()
