"""Odd specs."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from odd import Make, odd


def _text(statement: Callable[[], str]) -> Make:
    def make(folder: Path) -> None:
        text = 'grain 1\nvideo "clip" { size 64x48 }\ntarget "a green robot on grass"\n'
        (folder / "edit.grain").write_text(text + statement() + '\nedit r -> "green robot"\n')

    return make


TEXTS = {
    "spec: 1,000,000 brackets": lambda: "region r = " + "(" * 1_000_000,
    "spec: 1,000,000 complements": lambda: "region r = " + "~" * 1_000_000 + "all",
    "spec: 100,000 unions": lambda: "region r = all" + " | all" * 100_000,
    "spec: 20,000 keyframes": lambda: (
        "region r = " + ", ".join(f"box(1%, 2%, 30%, 40%) @ {n}" for n in range(20_000))
    ),
    "spec: 200,000 corners": lambda: (
        "region r = polygon(" + ", ".join(["1%, 2%, 30%, 4%"] * 100_000) + ")"
    ),
    "spec: 1,000 corners on 300 keyframes": lambda: (
        "region r = "
        + ", ".join(
            "polygon(" + ", ".join(["1%, 2%", "90%, 99%"] * 100) + f") @ {n}" for n in range(300)
        )
    ),
    "spec: a name of 1,000,000 letters": lambda: f"region {'r' * 1_000_000} = all",
    "spec: a number of 1,000,000 digits": lambda: f"region r = box({'9' * 1_000_000}%, 1%, 2%, 3%)",
    "spec: 60,000 regions": lambda: "\n".join(f"region r{n} = r{n + 1}" for n in range(60_000)),
    "spec: 60,000 edits": lambda: "\n".join(f'edit r{n} -> "bare"' for n in range(60_000)),
    "spec: 10,000 variants": lambda: "\n".join(f"variant v{n} {{ }}" for n in range(10_000)),
    "spec: grown by 1,000,000 px": lambda: "region r = box(1%, 1%, 9%, 9%) grow 1000000px",
    "spec: grown 45 times": lambda: "region r = box(1%, 1%, 9%, 9%)" + " grow 9px" * 45,
    "spec: frames to 10,000,000": lambda: "region r = all during 0..10000000",
    "spec: masks in /dev": lambda: 'region r = masks("/dev")',
    "spec: masks of /dev/zero": lambda: 'region r = masks("/dev/zero")',
    "spec: masks by **": lambda: 'region r = masks("/**/*.png")',
    "spec: masks in a path of 100,000 characters": lambda: f'region r = masks("{"m/" * 50_000}")',
    "spec: masks in a path of one long name": lambda: f'region r = masks("{"m" * 5000}.npy")',
    "spec: a glob of 200 stars": lambda: f'region r = masks("{"*a" * 200}b.png")',
}
for _name, _statement in TEXTS.items():
    odd(_name)(_text(_statement))


@odd("spec: is a pipe")
def _(folder: Path) -> None:
    os.mkfifo(folder / "edit.grain")


@odd("spec: is /dev/zero")
def _(folder: Path) -> None:
    (folder / "edit.grain").symlink_to("/dev/zero")


@odd("spec: is a folder")
def _(folder: Path) -> None:
    (folder / "edit.grain").mkdir()


@odd("spec: is a socket")
def _(folder: Path) -> None:
    os.chdir(folder)  # a socket's path must be short
    socket.socket(socket.AF_UNIX).bind("edit.grain")


@odd("spec: links to itself")
def _(folder: Path) -> None:
    (folder / "edit.grain").symlink_to("edit.grain")


@odd("spec: 40 MB of nothing")
def _(folder: Path) -> None:
    with (folder / "edit.grain").open("wb") as file:
        file.truncate(40_000_000)


@odd("spec: 1 TB, sparse")
def _(folder: Path) -> None:
    with (folder / "edit.grain").open("wb") as file:
        file.truncate(1 << 40)


@odd("spec: JSON of 4 MB of brackets")
def _(folder: Path) -> str:
    (folder / "edit.json").write_text("[" * 4_000_000)
    return "edit.json"


@odd("spec: JSON of 1,000,000 unknown keys")
def _(folder: Path) -> str:
    keys = ",".join(f'"k{n}":0' for n in range(600_000))
    (folder / "edit.json").write_text(f"{{{keys}}}")
    return "edit.json"


@odd("spec: a number of 4,000,000 digits in JSON")
def _(folder: Path) -> str:
    (folder / "edit.json").write_text(f'{{"target": {"9" * 4_000_000}}}')
    return "edit.json"
