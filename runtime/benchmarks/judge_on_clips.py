"""Measure the judge's accuracy on random clips of the demo world, and on their VAE round trips.

    python runtime/benchmarks/judge_on_clips.py --clips 200 --blur 0.8 1.2
    python runtime/benchmarks/judge_on_clips.py --model demo-video --device cuda
    python runtime/benchmarks/judge_on_clips.py --judge FOLDER    # with another judge.safetensors

No training uses these clips. The rows divide the figures by how much of them is seen, and those
that are seen whole by their size; figures cut by the border, and in the middle of a turn, have rows
of their own. "all" is the share of which kind, colour, hat and sunglasses are right.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.progress import track
from written import write_results

from grainspec_runtime.demo.clip_data import visible_share
from grainspec_runtime.demo.clips import ClipScene, random_clip, render_clip
from grainspec_runtime.demo.dataset import mask_box
from grainspec_runtime.demo.judge import Judge
from grainspec_runtime.demo.world import Figure
from grainspec_runtime.editing.editor import Editor
from grainspec_runtime.measures.fidelity import psnr
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.media.tensors import to_tensor
from grainspec_runtime.models.locate import DEMO_FOLDER

UNSEEN = 60_000_000
"""Clips from this seed on are used by no training and no benchmark case."""
SHARES = (0.9, 0.75, 0.6, 0.45, 0.3)
SMALL = 0.5
HEADS = ("kind", "colour", "hat", "sunglasses")


@dataclass(frozen=True)
class Seen:
    """A figure in a frame: its true looks, its box, and the rows that it counts in."""

    figure: Figure
    box: tuple[float, float, float, float]
    rows: tuple[str, ...]


def figures_seen(clip: ClipScene, masks: dict[str, np.ndarray], frame: int) -> list[Seen]:
    """The figures in a frame of which at least the least of ``SHARES`` is seen."""
    seen = []
    for number, figure in enumerate(clip.scene(frame).figures):
        mask = masks[f"figure{number}"][frame]
        share = visible_share(mask, figure)
        above = next((least for least in SHARES if share >= least), None)
        if above is None or not mask.any():
            continue
        box = mask_box(mask)
        rows = [f"seen {above:.0%} or more"]
        if above == SHARES[0]:
            rows.append("whole, small" if figure.height < SMALL else "whole, large")
        elif box[0] <= 0 or box[2] >= 1:
            rows.append("cut by the border")
        else:
            rows.append("behind another figure")
        if abs(figure.facing) < 1:
            rows.append("turning")
        seen.append(Seen(figure, box, tuple(rows)))
    return seen


def measure(judge: Judge, frames: Frames, clip: ClipScene, seen: list[list[Seen]]) -> Any:
    """Return which figures' looks, and which places, the judge reads right in some frames."""
    tensor = to_tensor(frames)
    verdicts = []
    for index, here in enumerate(seen):
        if not here:
            continue
        boxes = torch.tensor([one.box for one in here], dtype=torch.float32)
        read = judge.figures(tensor[index : index + 1].expand(len(here), -1, -1, -1), boxes)
        for one, verdict in zip(here, read, strict=True):
            right = [getattr(verdict, name) == getattr(one.figure, name) for name in HEADS]
            verdicts.append((one.rows, [*right, all(right)]))
    wanted = (clip.first.ground, clip.first.background)
    places = [(place.ground, place.background) == wanted for place in judge.places(tensor)]
    return verdicts, places


def table(verdicts: list[tuple[tuple[str, ...], list[bool]]]) -> dict[str, dict[str, float]]:
    """The share of right verdicts per row."""
    rows: dict[str, list[list[bool]]] = defaultdict(list)
    for names, right in verdicts:
        for name in names:
            rows[name].append(right)
    return {
        name: {
            "figures": len(rows[name]),
            **dict(
                zip((*HEADS, "all"), np.mean(rows[name], axis=0).round(4).tolist(), strict=True)
            ),
        }
        for name in sorted(rows)
    }


def main() -> None:
    """Measure, and print a table for renders and one for round trips."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--model", default="demo", help="whose VAE makes the round trips")
    parser.add_argument("--judge", default=str(DEMO_FOLDER), help="the judge's folder")
    parser.add_argument(
        "--blur", type=float, nargs="*", default=[], help="also blur renders by these σ, in pixels"
    )
    parser.add_argument("--every", type=int, default=4, help="judge every n-th frame")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    judge = Judge.from_pretrained(Path(arguments.judge))
    model = Editor(arguments.model, device=arguments.device).checkpoint(Path())
    names = ("renders", "round trips", *(f"blur {sigma:g}" for sigma in arguments.blur))
    found: dict[str, tuple[list[Any], list[bool]]] = {name: ([], []) for name in names}
    decibels: dict[str, list[float]] = {name: [] for name in names}
    for index in track(range(arguments.clips), "clips"):
        clip = random_clip(UNSEEN + index)
        frames, masks = render_clip(clip, parts=False)
        chosen = range(0, clip.frames, arguments.every)
        seen = [figures_seen(clip, masks, frame) for frame in chosen]
        trip = model.decode_clip(model.encode_clip(frames))
        blurred = [
            np.stack([cv2.GaussianBlur(f, (0, 0), s) for f in frames]) for s in arguments.blur
        ]
        for name, shown in zip(names, (frames, trip, *blurred), strict=True):
            decibels[name].append(psnr(frames, shown) or 0.0)
            verdicts, places = measure(judge, shown[:: arguments.every], clip, seen)
            found[name][0].extend(verdicts)
            found[name][1].extend(places)
    results: dict[str, Any] = {}
    for name, (verdicts, places) in found.items():
        level = min(99.0, float(np.mean(decibels[name])))
        places_right = round(float(np.mean(places)), 4)
        results[name] = {
            "psnr": round(level, 1),
            "figures": table(verdicts),
            "places": places_right,
        }
        print(
            f"\n{name}: {level:.1f} dB; ground and background {np.mean(places):.1%} of "
            f"{len(places)} frames"
        )
        print(f"{'':24}{'figures':>8}" + "".join(f"{head:>12}" for head in (*HEADS, "all")))
        for row, shares in results[name]["figures"].items():
            cells = "".join(f"{shares[head]:>12.1%}" for head in (*HEADS, "all"))
            print(f"{row:24}{shares['figures']:>8.0f}{cells}")
    write_results(arguments, results, on_gpu=arguments.device.startswith("cuda"))


if __name__ == "__main__":
    main()
