"""The folder of a new run: no earlier run is replaced, and an interrupted one goes on in its own.

They are `runs/SPEC`, `runs/SPEC-2`, `runs/SPEC-3` and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from grainspec.diagnostics import GrainError
from grainspec.regular_file import regular
from grainspec_runtime.runs.read import COMPARISON, MANIFEST, read_manifest
from grainspec_runtime.studio.runs import RUNS

_OUTPUT = "--output="
_NUMBERED = re.compile(r"(.+)-\d+")


def output_for(spec: Path, text: str, arguments: Sequence[str], variants: Sequence[str]) -> str:
    """The folder for a run, from that of the spec; ``variants`` are empty for the spec itself.

    ``arguments`` are those of `grain`, without the folder. A command on several variants that was
    interrupted after some of them goes on in its folder.
    """
    for output in _names(spec):
        folder = spec.parent / output
        places = [folder / name for name in variants] or [folder]
        made = [place for place in places if (place / MANIFEST).exists()]
        if not made:
            return output
        compared = any((folder / name).exists() for name in COMPARISON)
        whole = len(made) == len(places) and (compared or len(places) == 1)
        if not whole and all(_is_of(place, text, arguments) for place in made):
            return output
    raise AssertionError


def spec_of_run(name: str, manifest: dict[str, Any]) -> str:
    """The name of the spec that a run is of, without its suffix: `edit` for the run `edit-2/wolf`.

    The studio's commands name their spec last; of others, the folder's name is that of the spec.
    """
    top = name.partition("/")[0]
    arguments = manifest.get("arguments")
    if isinstance(arguments, list) and len(arguments) > 1 and arguments[-2] == "--":
        spec = Path(str(arguments[-1])).stem
        numbered = _NUMBERED.fullmatch(top)
        if spec == top or (numbered and numbered[1] == spec):
            return spec
    return top


def _names(spec: Path) -> Iterator[str]:
    """The folders that runs of a spec may have; those of other specs beside it are left out."""
    yield f"{RUNS}/{spec.stem}"
    for number in count(2):
        name = f"{spec.stem}-{number}"
        if not (spec.parent / f"{name}.grain").exists():
            yield f"{RUNS}/{name}"


def _is_of(run: Path, text: str, arguments: Sequence[str]) -> bool:
    """Whether a run is of the same text and command."""
    try:
        recorded = read_manifest(run).get("arguments")
        written = run / "spec.grain"
        if not isinstance(recorded, list) or not regular(written):
            return False
        if [one for one in recorded if not str(one).startswith(_OUTPUT)] != [*arguments]:
            return False
        return written.read_text(encoding="utf-8") == text
    except (GrainError, OSError, ValueError):
        return False
