"""Mutated clips, frames, masks, annotations, plans and run folders."""

from __future__ import annotations

import random
import tempfile
from functools import cache
from pathlib import Path

import examine
from case import Fuzzer, Wrong
from materials import BASE, MATERIALS, Files, run_folder
from mutations import changed_bytes, changed_json

import grainspec_runtime.commands.report
import grainspec_runtime.report.contents  # noqa: F401  # not in the time of the first case
from grainspec.plan.save import load_plan

RUN = "a run's folder"
_KINDS = [*MATERIALS, RUN, RUN, RUN]


def kind_of(seed: int, index: int) -> str:
    """What a case spoils."""
    return random.Random(f"{seed} {index}").choice(_KINDS)


@cache
def _good(kind: str) -> Files:
    if kind != RUN:
        return MATERIALS[kind]()
    with tempfile.TemporaryDirectory() as folder:
        return run_folder(Path(folder))


def run(seed: int, index: int, folder: Path) -> str:
    """Spoil one or more files, and try what reads them."""
    kind = kind_of(seed, index)
    rng = random.Random(f"{seed} {index} {kind}")
    files = dict(_good(kind))
    names = [name for name in files if _is_spoilt(name, kind)]
    for name in rng.sample(names, min(len(names), rng.choice([1, 1, 1, 2, 5]))):
        if name.endswith(".json") and rng.random() < 0.8:
            changed = changed_json(rng, files[name].decode())
            files[name] = changed.encode("utf-8", "surrogatepass")
        else:
            files[name] = changed_bytes(rng, files[name])
    written(folder, files)
    return tried(kind, folder)


def written(folder: Path, files: Files) -> None:
    """Write a case's files."""
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content.replace(BASE.encode(), str(folder).encode()))


def tried(kind: str, folder: Path) -> str:
    """Try what reads a case's files."""
    return _of_run(folder) if kind == RUN else examine.whole(folder / "edit.grain")


def _is_spoilt(name: str, kind: str) -> bool:
    if name == "edit.grain":
        return False
    if kind == RUN:
        return name.startswith("run/")
    return name.startswith("m") == kind.startswith("masks")


def _of_run(folder: Path) -> str:
    with examine.refusable():
        load_plan(folder / "run" / "plan.safetensors")
    code = examine.command(
        "report", folder / "run", "-o", folder / "report.html", "--format", "json"
    )
    if code == 0:
        page = (folder / "report.html").read_text(encoding="utf-8")
        if "<script>alert(1)" in page:
            raise Wrong("the report does not escape what it shows")
    return "fine" if code == 0 else "refused"


FUZZER = Fuzzer(run, kind_of)
