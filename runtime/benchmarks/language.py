"""Measure the time to parse, check and bind a spec.

    python runtime/benchmarks/language.py

Measures whether the time to parse and check grows linearly with the length of the text, whatever is
long in it, the time of `grain check` with and without regions compared with importing Lark and
pydantic, and the time to bind five folders of masks to regions.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from grainspec import bind, from_json, parse, parse_all, to_json
from grainspec.text.format import format_text

EXAMPLE = Path(__file__).parents[2] / "examples" / "instance.grain"


def text_of(statements: int) -> str:
    """A spec with about this many statements: half regions with three sources, half edits."""
    count = statements // 2
    words = [f"thing{index}" for index in range(count)]
    target = " ".join(words)[:9_000].rsplit(" ", 1)[0]
    bound = target.count("thing")
    regions = [
        f'region r{index} = masks("m/{index}") - box(1%, 2%, {3 + index % 90}%, 50%)'
        " | ellipse(1px, 2px, 30px, 40px) @ 0, ellipse(1px, 2px, 30px, 40px) @ 9"
        for index in range(count)
    ]
    edits = [
        f'edit instance r{index} -> "{words[index]}" {{ weight 1.5 repel 0.5 }}'
        if index < bound
        else f"keep r{index}"
        for index in range(count)
    ]
    return "\n".join(["grain 1", 'video "c.mp4"', f'target "{target}"', *regions, *edits, ""])


def keyframes(count: int) -> str:
    """A spec with one box of this many keyframes."""
    boxes = (f"box({index % 90}.25%, 2%, 95%, 40%) @ {index}" for index in range(count))
    return f'grain 1\nvideo "c"\ntarget "bear"\nregion r = {", ".join(boxes)}\nedit r -> "bear"\n'


def mistakes(count: int) -> str:
    """A spec with this many statements in the notation of another language."""
    return 'grain 1\nvideo "c"\ntarget "bear"\nregion r = all\n' + "edit r => 'bear';\n" * count


def best(run: Callable[[], object], repeats: int) -> float:
    """The minimum time of several calls, in seconds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def in_a_process(*arguments: str) -> Callable[[], object]:
    """A function that runs Python with these arguments in a new process, and checks its success."""
    command = [sys.executable, *arguments]
    return lambda: subprocess.run(command, check=True, capture_output=True)


def mask_folders(root: Path, frames: int, side: int) -> str:
    """Write a clip and five mask folders, with one disc each; returns a spec that binds them."""
    y, x = np.mgrid[:side, :side] / side
    names = ["one", "two", "three", "four", "five"]
    for folder in ("clip", *names):
        (root / folder).mkdir()
    for frame in range(frames):
        Image.new("RGB", (side, side)).save(root / "clip" / f"{frame:05}.png")
        for index, name in enumerate(names):
            centre = 0.1 + 0.2 * index, 0.3 + 0.4 * frame / frames
            disc = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < 0.09**2
            Image.fromarray(disc.astype(np.uint8) * 255).save(root / name / f"{frame:05}.png")
    lines = [f'region {name} = masks("{name}")\n' for name in names]
    lines += [f'edit {name} -> "{name}"\n' for name in names]
    return f'grain 1 video "clip" target "{" ".join(names)}"\n{"".join(lines)}'


def main() -> None:
    """Measure and print all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--side", type=int, default=512)
    arguments = parser.parse_args()
    parse_all(text_of(10))  # warm-up: builds the parser's tables
    for statements in (100, 1_000, 10_000):
        text = text_of(statements)
        assert parse_all(text).spec is not None
        repeats = arguments.repeats if statements < 10_000 else 2
        read = best(lambda text=text: parse_all(text), repeats)  # type: ignore[misc]
        formatting = best(lambda text=text: format_text(text), repeats)  # type: ignore[misc]
        print(
            f"{statements:6} statements ({len(text) / 1000:4.0f} kB): parse and check "
            f"{read:6.3f} s ({1e6 * read / statements:4.0f} us each), format {formatting:6.3f} s"
        )
    for name, make in (("keyframes", keyframes), ("mistakes", mistakes)):
        for count in (5_000, 20_000):
            text = make(count)
            read = best(lambda text=text: parse_all(text), 1)  # type: ignore[misc]
            print(f"{count:6} {name} ({len(text) / 1000:4.0f} kB): parse and check {read:6.3f} s")
    spec = parse(keyframes(20_000))
    document = to_json(spec)
    print(f" 20000 keyframes as JSON: {best(lambda: from_json(document), 1):.3f} s")
    check = best(in_a_process("-m", "grainspec", "check", str(EXAMPLE)), arguments.repeats)
    bare = best(in_a_process("-c", "import lark, pydantic"), arguments.repeats)
    print(
        f"grain check {EXAMPLE.name}: {check:.3f} s, {check / bare:.1f} x importing lark, pydantic"
    )
    faster = ["-m", "grainspec", "check", "--no-regions", str(EXAMPLE)]
    print(f"… with --no-regions: {best(in_a_process(*faster), arguments.repeats):.3f} s")
    with tempfile.TemporaryDirectory() as folder:
        spec = parse(mask_folders(Path(folder), arguments.frames, arguments.side))
        seconds = best(lambda: bind(spec, base=folder), arguments.repeats)
    print(f"bind 5 mask folders, {arguments.frames} frames of {arguments.side}^2: {seconds:.2f} s")


if __name__ == "__main__":
    main()
