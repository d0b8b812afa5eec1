"""Compare an edit with and without attention modulation: source clip, both strengths 0, the edit.

    python examples/compare.py examples/crossing.grain -o crossing.png --moving crossing.webp

Prompts, masks, noise and blending are the same in both edits; only the attention differs. The
picture has one row per clip; the moving picture shows the clips side by side.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from grainspec import EditSpec, load
from grainspec_runtime import Editor
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.views.sheet import sheet

MOVING_FPS = 8
"""Slow enough to follow which figure becomes what."""


def without_modulation(spec: EditSpec) -> EditSpec:
    """The same spec with both strengths set to 0."""
    attention = spec.attention.model_copy(update={"cross": 0.0, "self_": 0.0})
    return spec.model_copy(update={"attention": attention})


def moving_picture(clips: dict[str, Frames], path: Path) -> None:
    """Write labelled clips side by side, as an animated WebP that repeats."""
    first, *others = [
        Image.fromarray(
            np.hstack([sheet({label: clip[[frame]]}, least=192) for label, clip in clips.items()])
        )
        for frame in range(min(map(len, clips.values())))
    ]
    duration = round(1000 / MOVING_FPS)
    first.save(path, save_all=True, append_images=others, duration=duration, loop=0, quality=80)


def main() -> None:
    """Edit with and without modulation, and put both results below the source."""
    parser = argparse.ArgumentParser(description="Compare an edit with and without modulation.")
    parser.add_argument("spec", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("compare.png"))
    parser.add_argument("--columns", type=int, default=5, help="number of frames of each clip")
    parser.add_argument("--moving", type=Path, help="also write an animated WebP to this file")
    arguments = parser.parse_args()
    spec, base = load(arguments.spec), arguments.spec.parent
    editor = Editor(spec.model)
    rows = {}
    for label, chosen in (("without modulation", without_modulation(spec)), ("grainspec", spec)):
        result = editor.run(chosen, base=base)
        rows.setdefault("source", result.source)
        rows[label] = result.edited
    sheet(rows, columns=arguments.columns).save(arguments.output, optimize=True)
    print(f"wrote {arguments.output}")
    if arguments.moving:
        moving_picture(rows, arguments.moving)
        print(f"wrote {arguments.moving}")


if __name__ == "__main__":
    main()
