"""Measure how well feature injection preserves the pose, in edits of the demo world.

    python runtime/benchmarks/injection.py --cases 12

Every case renders a clip of one jogging figure and edits its kind and colour in a loose box, so
that no mask shows where arms and legs are. The exact target is the same scene rendered with the
new figure in the same pose. The edit's figure is the set of pixels that differ from the empty
scene. Its IoU with the target's figure and the PSNR of the figure's pixels measure how well the
pose is preserved; the judge decides whether it is the right figure.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import tempfile
from dataclasses import replace
from pathlib import Path

import diffusers
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from grainspec import Builder, box
from grainspec.model.spec import EditSpec, Inject
from grainspec_runtime import Editor
from grainspec_runtime.demo import world
from grainspec_runtime.demo.dataset import mask_box
from grainspec_runtime.demo.judge import Judge
from grainspec_runtime.demo.render import render
from grainspec_runtime.models.locate import DEMO_FOLDER

SETTINGS = {
    "no injection": None,
    "features 20% self 20%": Inject(features=0.2, self=0.2),
    "features 40% self 40%": Inject(features=0.4, self=0.4),
    "features 80% self 50% (default)": Inject(),
    "features 80% self 0%": Inject(self=0.0),
    "features 0% self 50%": Inject(features=0.0),
}
SIZE = 96
ANOTHER = 40
"""A pixel belongs to a figure if its colour differs by more than this from the empty scene."""


def random_case(seed: int, frames: int) -> tuple[world.Scene, world.Scene, EditSpec]:
    """Make a random scene, its target, and the spec that edits one into the other."""
    rng = random.Random(seed)
    kinds, colours = rng.sample(world.KINDS, 2), rng.sample(tuple(world.COLOURS), 2)
    figure = world.Figure(
        kinds[0],
        colours[0],
        x=rng.uniform(0.4, 0.6),
        height=rng.uniform(0.6, 0.7),
        phase=rng.uniform(0, 6),
    )
    scene = world.Scene((figure,), rng.choice(world.BACKGROUNDS), rng.choice(world.GROUNDS))
    wanted = replace(scene, figures=(replace(figure, kind=kinds[1], colour=colours[1]),))
    left, right = (f"{100 * (figure.x + side):.0f}%" for side in (-0.3, 0.3))
    spec = (
        Builder("clip", frames=(0, frames - 1))
        .source(world.caption(scene))
        .target(world.caption(wanted))
        .region("figure", box(left, "10%", right, "98%"))
        .instance("figure", world.figure_words(wanted.figures[0]))
        .attention(profile="stable_diffusion", self=1.0, until=0.6, decay=1.0)
        .build()
    )
    return scene, wanted, spec


def rendered(scene: world.Scene, frames: int) -> tuple[np.ndarray, list[dict[str, np.ndarray]]]:
    """Render frames ``[F, H, W, 3]``, with the masks of each."""
    renders = [render(world.advance(scene, number), SIZE) for number in range(frames)]
    return np.stack([picture for picture, _ in renders]), [masks for _, masks in renders]


def scores(
    edited: np.ndarray, scene: world.Scene, wanted: world.Scene, judge: Judge
) -> dict[str, float]:
    """Compare an edit with its exact target."""
    frames = len(edited)
    answer, masks = rendered(wanted, frames)
    empty, _ = rendered(replace(scene, figures=()), frames)
    here = (np.abs(edited.astype(int) - empty).max(-1) > ANOTHER).reshape(frames, -1)
    there = np.stack([mask["figure0"] for mask in masks]).reshape(frames, -1)
    overlap = (here & there).sum(1) / (here | there).sum(1)
    boxes = np.stack([mask_box(mask["figure0"]) for mask in masks])
    error = np.square(edited.astype(float) - answer)[there.reshape(answer.shape[:3])].mean()
    seen = judge.figures(
        torch.from_numpy(edited).permute(0, 3, 1, 2).float() / 127.5 - 1,
        torch.from_numpy(boxes).float(),
    )
    figure = wanted.figures[0]
    return {
        "overlap": float(overlap.mean()),
        "PSNR of the figure": float(10 * np.log10(255**2 / error)),
        "right kind": float(np.mean([verdict.kind == figure.kind for verdict in seen])),
        "right colour": float(np.mean([verdict.colour == figure.colour for verdict in seen])),
    }


def run(editor: Editor, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Run all cases; returns the mean scores per setting."""
    judge = Judge.from_pretrained(DEMO_FOLDER)
    scores_of: dict[str, list[dict[str, float]]] = {name: [] for name in SETTINGS}
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("edits", total=arguments.cases * len(SETTINGS))
        for case in range(arguments.cases):
            scene, wanted, spec = random_case(arguments.seed + case, arguments.frames)
            spec = spec.replaced(
                {}, sampler=spec.sampler.replaced({}, steps=arguments.steps, guidance=4.0)
            )
            with tempfile.TemporaryDirectory() as place:
                clip = Path(place) / "clip"
                clip.mkdir()
                source, _ = rendered(scene, arguments.frames)
                for number, frame in enumerate(source):
                    Image.fromarray(frame).save(clip / f"{number}.png")
                rows = [source, rendered(wanted, arguments.frames)[0]]
                for name, inject in SETTINGS.items():
                    result = editor.run(spec.replaced({}, inject=inject), base=Path(place))
                    scores_of[name].append(scores(result.edited, scene, wanted, judge))
                    rows.append(result.edited)
                    bar.advance(task)
            if arguments.pictures:
                arguments.pictures.mkdir(parents=True, exist_ok=True)
                sheet = np.concatenate([np.concatenate(list(row), 1) for row in rows])
                Image.fromarray(sheet).save(arguments.pictures / f"{case}.png")
    return {
        name: {key: round(float(np.mean([row[key] for row in rows])), 4) for key in rows[0]}
        for name, rows in scores_of.items()
    }


def main() -> None:
    """Run all cases and print a table; write JSON with ``--json``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seed", type=int, default=2000)
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument(
        "--pictures",
        type=Path,
        help="write a contact sheet per case to this folder: source, target, every setting",
    )
    arguments = parser.parse_args()
    editor = Editor()
    means = run(editor, arguments)
    table = Table(title=f"{arguments.cases} edits of {arguments.frames} frames, demo world")
    table.add_column("")
    for column in next(iter(means.values())):
        table.add_column(column, justify="right")
    for name, row in means.items():
        shown = [f"{v:.1f} dB" if "PSNR" in key else f"{v:.0%}" for key, v in row.items()]
        table.add_row(name, *shown)
    Console(width=120).print(table)
    if arguments.json:
        checkpoint = editor.checkpoint(Path())
        cuda = checkpoint.device.type == "cuda"
        facts = {
            "device": torch.cuda.get_device_name() if cuda else platform.processor(),
            "dtype": str(checkpoint.dtype).removeprefix("torch."),
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "arguments": {
                key: value
                for key, value in vars(arguments).items()
                if key not in ("json", "pictures")
            },
            "report": means,
        }
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
