"""Does injection keep the pose? One-figure edits of the demo world, against the right answer.

    python runtime/benchmarks/injection.py --cases 12

Every case renders a clip of a jogging figure and edits it to another kind and colour in a loose box
around it, so that no mask says where arms and legs are. The right answer is the same scene rendered
with the other figure in the same pose. Pixels of the edit that are not the empty scene's are its
figure: their overlap with the right figure (intersection over union) and the PSNR inside the box
say how well the pose was kept; the judge says whether it is the right figure at all.
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
from grainspec_runtime.backbones.locate import DEMO_FOLDER
from grainspec_runtime.demo import world
from grainspec_runtime.demo.dataset import mask_box
from grainspec_runtime.demo.judge import Judge
from grainspec_runtime.demo.render import render

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
"""A pixel whose colour differs by more than this from the empty scene's is of a figure."""


def random_case(seed: int, frames: int) -> tuple[world.Scene, world.Scene, EditSpec]:
    """A scene, the same with the figure that is wanted, and the edit from one to the other."""
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
        .attention(profile="videograin", self=1.0, until=0.6, decay=1.0)
        .build()
    )
    return scene, wanted, spec


def rendered(scene: world.Scene, frames: int) -> tuple[np.ndarray, list[dict[str, np.ndarray]]]:
    """Frames ``[F, H, W, 3]`` and the masks of each."""
    found = [render(world.advance(scene, number), SIZE) for number in range(frames)]
    return np.stack([picture for picture, _ in found]), [masks for _, masks in found]


def scores(
    edited: np.ndarray, scene: world.Scene, wanted: world.Scene, judge: Judge
) -> dict[str, float]:
    """How near an edit is to the right answer."""
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
        "right kind": float(np.mean([one.kind == figure.kind for one in seen])),
        "right colour": float(np.mean([one.colour == figure.colour for one in seen])),
    }


def run(editor: Editor, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Mean scores, by setting."""
    judge = Judge.from_pretrained(DEMO_FOLDER)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in SETTINGS}
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
                    found[name].append(scores(result.edited, scene, wanted, judge))
                    rows.append(result.edited)
                    bar.advance(task)
            if arguments.pictures:
                arguments.pictures.mkdir(parents=True, exist_ok=True)
                sheet = np.concatenate([np.concatenate(list(row), 1) for row in rows])
                Image.fromarray(sheet).save(arguments.pictures / f"{case}.png")
    return {
        name: {key: round(float(np.mean([row[key] for row in rows])), 4) for key in rows[0]}
        for name, rows in found.items()
    }


def main() -> None:
    """Run, print the table, and write it as JSON if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seed", type=int, default=2000)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--pictures", type=Path, help="a sheet a case: source, answer, settings")
    arguments = parser.parse_args()
    editor = Editor()
    report = run(editor, arguments)
    table = Table(title=f"{arguments.cases} edits of {arguments.frames} frames, demo world")
    table.add_column("")
    for column in next(iter(report.values())):
        table.add_column(column, justify="right")
    for name, row in report.items():
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
            "report": report,
        }
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
