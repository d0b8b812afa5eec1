"""How well the tracker `colour` follows figures of the demo world from one click each.

    python runtime/benchmarks/tracking.py --json tracking.json
    python runtime/benchmarks/tracking.py --clips DAVIS        # real clips with true masks

There are 60 clips, with seeds that nothing was chosen on: 40 in which figures walk, enter, leave or
turn, and 20 with crossings: 12 in which a figure passes before another, and 8 in which one leaves
and comes back (a clip of a leaving figure, forwards and then backwards). Each figure gets one
click, at the most interior point of its visible mask, on the first frame that shows at least 80 %
of its largest visible area. No frame is left out of the figures, the clicked one included.

J is the intersection over union of the masks, F the agreement of their boundaries, both as DAVIS
defines them (`grainspec_runtime.measures.tracks`). `--clips` reads a folder with DAVIS' layout,
`JPEGImages/480p/NAME` and `Annotations/480p/NAME`; the click is on the first frame.

An object is told if `grain check` would warn of it: of a confidence below 50 %, or of meeting what
looks like it. Objects whose mean J over the last three frames is below 0.5 should be told, others
should not.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from written import write_results

from grainspec_runtime.demo.clips import random_clip, render_clip
from grainspec_runtime.measures.tracks import Summary, summarised, track_scores
from grainspec_runtime.tracking.engine import FramePrompt, TrackedObject
from grainspec_runtime.tracking.engines.colour.tracker import ColourTracker
from grainspec_runtime.tracking.meetings import MeetingFinder

Masks = npt.NDArray[np.bool_]
PLAIN = ("walk", "enter", "leave", "turn")
CROSSING, RETURNING = 12, 8


@dataclass(frozen=True)
class Sample:
    """A clip with the true masks of its objects, bool ``[F, H, W]`` each."""

    name: str
    kind: str
    frames: npt.NDArray[np.uint8]
    masks: list[Masks]


class Clip(list[Any]):
    """Frames in memory."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self[0].shape[1], self[0].shape[0]


def world_samples(seed: int, count: int, size: int) -> Iterator[Sample]:
    """Draw clips of the demo world; a third has crossings."""
    plain = count * 40 // 60
    crossing = (count - plain) * CROSSING // (CROSSING + RETURNING)
    for number in range(count):
        if number < plain:
            kind: Any = PLAIN[number % len(PLAIN)]
        else:
            kind = "cross" if number < plain + crossing else "leave"
        frames, named = render_clip(random_clip(seed + number, (kind,)), size, parts=False)
        masks = [mask for mask in named.values() if mask.any()]
        if number >= plain + crossing:
            frames = np.concatenate([frames, frames[-2::-1]])
            masks = [np.concatenate([mask, mask[-2::-1]]) for mask in masks]
            kind = "return"
        yield Sample(str(seed + number), kind, frames, masks)


def davis_samples(folder: Path) -> Iterator[Sample]:
    """Read clips in DAVIS' layout; each number in the first frame's mask is an object."""
    for truth in sorted((folder / "Annotations" / "480p").iterdir()):
        files = sorted(truth.glob("*.png"))
        labels = np.stack([np.asarray(Image.open(file)) for file in files])
        pictures = folder / "JPEGImages" / "480p" / truth.name
        frames = np.stack(
            [np.asarray(Image.open(pictures / f"{f.stem}.jpg").convert("RGB")) for f in files]
        )
        numbers = [n for n in np.unique(labels[0]) if n not in (0, 255)]
        yield Sample(truth.name, "real", frames, [labels == n for n in numbers])


def clicked_frame(masks_FHW: Masks) -> int:
    """The first frame that shows at least 80 % of the largest visible area."""
    areas = masks_FHW.reshape(len(masks_FHW), -1).sum(1)
    return int(np.flatnonzero(areas >= 0.8 * areas.max())[0])


def click(mask_HW: Masks) -> tuple[float, float]:
    """The most interior point of a mask."""
    depth = cv2.distanceTransform(np.pad(mask_HW, 1).astype(np.uint8), cv2.DIST_L2, 5)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(x) - 0.5, float(y) - 0.5


def track(sample: Sample, *, first: bool) -> dict[str, Any]:
    """Click the objects, track them, and compare with the true masks."""
    objects = []
    for number, masks in enumerate(sample.masks):
        index = 0 if first else clicked_frame(masks)
        point = np.array([click(masks[index])], np.float32)
        prompt = FramePrompt(index, point, np.array([True]))
        objects.append(TrackedObject(f"object{number}", (prompt,)))
    start = time.process_time()
    tracked = {t.index: t for t in ColourTracker().track(Clip(sample.frames), objects, {})}
    seconds = time.process_time() - start
    labels = np.stack([tracked[i].labels_HW for i in range(len(sample.frames))])
    finder = MeetingFinder({k: [o.prompts[0].index] for k, o in enumerate(objects, 1)})
    for index in sorted({o.prompts[0].index for o in objects}):
        finder.show(sample.frames[index], labels[index])
    for index, (frame, labels_HW) in enumerate(zip(sample.frames, labels, strict=True)):
        finder.add(index, frame, labels_HW)
    meetings = [*finder.meetings()]
    scores = [track_scores(labels == k, masks) for k, masks in enumerate(sample.masks, 1)]
    return {
        "name": sample.name,
        "kind": sample.kind,
        "seconds": seconds / (len(objects) * len(labels)),
        "clicked": [o.prompts[0].index for o in objects],
        "j": [[round(float(x), 3) for x in j] for j, _ in scores],
        "f": [[round(float(x), 3) for x in f] for _, f in scores],
        "meets": [
            any(k in (met.number, met.other) for met in meetings)
            for k in range(1, len(objects) + 1)
        ],
        "confidence": [
            [round(float(tracked[i].confidence_K[k]), 3) for i in range(len(labels))]
            for k in range(len(objects))
        ],
    }


def mean_summary(rows: list[dict[str, Any]], key: str) -> Summary:
    """The mean over objects, as DAVIS reports it."""
    each = [summarised(np.array(values)) for row in rows for values in row[key]]
    mean, recall, decay = np.mean([[s.mean, s.recall, s.decay] for s in each], axis=0)
    return Summary(float(mean), float(recall), float(decay))


def calibration(rows: list[dict[str, Any]]) -> dict[str, float]:
    """How well the confidence of a frame predicts its J."""
    pairs = [
        pair
        for row in rows
        for j, c in zip(row["j"], row["confidence"], strict=True)
        for pair in zip(j, c, strict=True)
    ]
    j, c = np.array(pairs).T
    result = {"correlation": float(np.corrcoef(j, c)[0, 1]), "below": float(np.mean(c < 0.5))}
    for name, chosen in (("j_above", c >= 0.5), ("j_below", c < 0.5)):
        if chosen.any():
            result[name] = float(j[chosen].mean())
    return result


def told(rows: list[dict[str, Any]]) -> dict[str, int]:
    """How many objects are wrong in the end, and how many of these, and of others, are told."""
    counts = dict.fromkeys(("wrong", "doubted", "met", "told", "right", "right, but met"), 0)
    for row in rows:
        for j, confidence, meets in zip(row["j"], row["confidence"], row["meets"], strict=True):
            if np.mean(j[-3:]) >= 0.5:
                counts["right"] += 1
                counts["right, but met"] += meets
                continue
            doubted = min(confidence) < 0.5
            counts["wrong"] += 1
            counts["doubted"] += doubted
            counts["met"] += meets
            counts["told"] += doubted or meets
    return counts


def main() -> None:
    """Print a table, and write all figures to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=9000, help="seed of the first clip")
    parser.add_argument("--count", type=int, default=60, help="how many clips")
    parser.add_argument("--size", type=int, default=192, help="pixels")
    parser.add_argument("--clips", type=Path, help="a folder in DAVIS' layout instead")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    samples = (
        davis_samples(arguments.clips)
        if arguments.clips
        else world_samples(arguments.seed, arguments.count, arguments.size)
    )
    rows = []
    for sample in samples:
        rows.append(track(sample, first=bool(arguments.clips)))
        means = " ".join(f"{np.mean(j):.2f}" for j in rows[-1]["j"])
        print(f"{sample.name} {sample.kind}: J {means}", flush=True)
    table: dict[str, Any] = {}
    crossings = ("cross", "return")
    groups = {
        "without crossings": [row for row in rows if row["kind"] not in crossings],
        "with crossings": [row for row in rows if row["kind"] in crossings],
    }
    groups |= {kind: [row for row in rows if row["kind"] == kind] for kind in (*PLAIN, *crossings)}
    print("| clips | objects | J | J recall | J decay | F | F recall | F decay |")
    for name, chosen in groups.items():
        if not chosen:
            continue
        j, f = mean_summary(chosen, "j"), mean_summary(chosen, "f")
        count = sum(len(row["j"]) for row in chosen)
        table[name] = {"objects": count, "j": vars(j), "f": vars(f)}
        figures = (j.mean, j.recall, j.decay, f.mean, f.recall, f.decay)
        print(f"| {name} | {count} | " + " | ".join(f"{x:.3f}" for x in figures) + " |")
        table[name]["told"] = told(chosen)
        print("told:", table[name]["told"])
    table["confidence"] = calibration(rows)
    table["seconds a frame and object"] = float(np.mean([row["seconds"] for row in rows]))
    print(table["confidence"], f"{table['seconds a frame and object']:.3f} s a frame and object")
    arguments.clips = str(arguments.clips) if arguments.clips else None
    write_results(arguments, {"summary": table, "clips": rows}, on_gpu=False)


if __name__ == "__main__":
    main()
