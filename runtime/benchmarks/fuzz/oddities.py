"""Bombs and odd files, each with its name. All must be refused with a code, or be harmless."""

from __future__ import annotations

import os.path
from pathlib import Path

import examine
import odd_clips  # noqa: F401  # registers its oddities, as the next ones
import odd_masks  # noqa: F401
import odd_runs  # noqa: F401
import odd_specs  # noqa: F401
from case import Fuzzer, Wrong
from materials import Files, image, pixels, region, spec
from odd import ODDITIES

import grainspec_runtime.commands.report
import grainspec_runtime.report.contents  # noqa: F401  # not in the time of the first case
from grainspec.limits import MAX_SECONDS, MAX_SPEC_SECONDS

NAMES = tuple(ODDITIES)


def written(folder: Path, files: Files) -> None:
    """Write files that the case does not have yet."""
    for name, content in files.items():
        if not os.path.lexists(folder / name) and not (folder / name).parent.is_symlink():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def run(seed: int, index: int, folder: Path) -> str:
    """Make an oddity, and try what reads it."""
    name = NAMES[index]
    file = ODDITIES[name](folder)
    if file == "run":
        return _of_run(folder)
    if not os.path.lexists(folder / "clip"):
        written(
            folder, {f"clip/{n:05}.png": image(frame, "PNG") for n, frame in enumerate(pixels())}
        )
    if not os.path.lexists(folder / "m"):
        for n, mask in enumerate(region()):
            written(folder, {f"m/{n:05}.png": image(mask.astype("uint8") * 255, "PNG")})
    path = folder / (file or "edit.grain")
    if not file and not os.path.lexists(path):
        written(folder, spec("clip", '"m"'))
    if path.suffix != ".json":
        examine.command("fmt", "--check", path)
    return examine.whole(path)


def _of_run(folder: Path) -> str:
    page = folder / "report.html"
    code = examine.command("report", folder / "run", "-o", page, "--format", "json")
    if code == 0 and "<script>alert(1)" in page.read_text(encoding="utf-8"):
        raise Wrong("the report does not escape what it shows")
    return "fine" if code == 0 else "refused"


def most_seconds(index: int) -> float:
    """The largest specs take longer than other files."""
    return MAX_SPEC_SECONDS if NAMES[index].startswith("spec: ") else MAX_SECONDS


FUZZER = Fuzzer(run, lambda seed, index: NAMES[index], count=len(NAMES), most_seconds=most_seconds)
