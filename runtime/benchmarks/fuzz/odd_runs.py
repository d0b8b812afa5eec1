"""Odd runs' folders."""

from __future__ import annotations

import json
import os
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from materials import BASE, Files, run_folder
from odd import odd


@cache
def _good() -> Files:
    with tempfile.TemporaryDirectory() as folder:
        return run_folder(Path(folder))


def _run(folder: Path) -> None:
    for name, content in _good().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content.replace(BASE.encode(), str(folder).encode()))


def _changed(name: str, file: str, change: Callable[[Any], Any]) -> None:
    def make(folder: Path) -> str:
        _run(folder)
        path = folder / "run" / file
        value = change(json.loads(path.read_text()))
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return "run"

    odd(f"run: {name}")(make)


def _replaced(name: str, file: str, make_file: Callable[[Path], object]) -> None:
    def make(folder: Path) -> str:
        _run(folder)
        path = folder / "run" / file
        path.unlink()
        make_file(path)
        return "run"

    odd(f"run: {name}")(make)


_SCRIPT = "</script></pre>\"'><script>alert(1)</script>\x1b[2J\u202e"
_changed("scripts in every text", "run.json", lambda run: _everywhere(run, _SCRIPT))
_changed("scripts in the measures", "measures.json", lambda found: _everywhere(found, _SCRIPT))
_changed("scripts in the study", "study.json", lambda found: _everywhere(found, _SCRIPT))
_changed(
    "numbers of 400 digits",
    "run.json",
    lambda run: run | {"peak_memory_bytes": 10**400, "timesteps": [10**400]},
)
_changed("a number of 100,000 digits", "run.json", lambda run: '{"seed": ' + "9" * 100_000 + "}")
_changed("times of infinity", "run.json", lambda run: run | {"seconds": {"sample": float("inf")}})
_changed(
    "times of NaN",
    "run.json",
    lambda run: run | {"seconds": {"sample": float("nan")}, "timesteps": [float("nan")]},
)
_changed("100,000 timesteps", "run.json", lambda run: run | {"timesteps": [1.0] * 100_000})
_changed("negative timesteps", "run.json", lambda run: run | {"timesteps": [-5.0, 1e308]})
_changed(
    "texts for numbers",
    "run.json",
    lambda run: dict.fromkeys(run, "x") | {"spec": run["spec"], "base": run["base"]},
)
_changed("1,000,000 brackets", "run.json", lambda run: "[" * 1_000_000)
_changed(
    "5,000,000 keys",
    "run.json",
    lambda run: "{" + ",".join(f'"{n}":1' for n in range(3_000_000)) + "}",
)
_changed("10,000 warnings", "run.json", lambda run: run | {"warnings": run["warnings"] * 10_000})
_changed("a base of /dev", "run.json", lambda run: run | {"base": "/dev"})
_changed(
    "measures of infinity",
    "measures.json",
    lambda found: '{"measures": [{"title": "x", "value": 1e999}, {"value": NaN}]}',
)
_changed(
    "measures of 400 digits",
    "measures.json",
    lambda found: {"measures": [{"title": "x", "value": 10**400}]},
)
_changed("shares of 1e308", "study.json", lambda found: json.dumps(found).replace("0.5", "1e308"))
_changed("shares of NaN", "study.json", lambda found: json.dumps(found).replace("0.5", "NaN"))
_replaced("a manifest that is a pipe", "run.json", os.mkfifo)
_replaced("measures that are a pipe", "measures.json", os.mkfifo)
_replaced("a plan that is a pipe", "plan.safetensors", os.mkfifo)
_replaced("a plan that is /dev/zero", "plan.safetensors", lambda path: path.symlink_to("/dev/zero"))
_replaced("an edit that is a pipe", "edited.mkv", os.mkfifo)
_replaced(
    "a plan that claims 2**60 bytes",
    "plan.safetensors",
    lambda path: path.write_bytes(struct.pack("<Q", 2**60) + bytes(99)),
)


def _everywhere(value: Any, text: str) -> Any:
    """The value with a text in each of its texts that is free to be anything."""
    kept = {"spec", "base", "variant"}
    if isinstance(value, dict):
        return {
            key: item if key in kept else _everywhere(item, text) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_everywhere(item, text) for item in value]
    return text if isinstance(value, str) else value


def _plan(name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """A plan whose header says something else; its checksum is right."""

    def make(folder: Path) -> str:
        from grainspec.plan.save import load_plan

        _run(folder)
        path = folder / "run" / "plan.safetensors"
        plan = load_plan(path)
        content = path.read_bytes()
        size = int.from_bytes(content[:8], "little")
        head = json.loads(content[8 : 8 + size])
        header = json.loads(head["__metadata__"]["plan"])
        change(header)
        head["__metadata__"]["plan"] = json.dumps(header)
        head["__metadata__"]["digest"] = _digest(plan, header)
        text = json.dumps(head).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
        return "run"

    odd(f"run: a plan {name}")(make)


def _digest(plan: Any, header: dict[str, Any]) -> str:
    """The checksum that the changed plan would have."""
    from dataclasses import replace

    fields = {
        key: header[key] for key in ("width", "height", "training_steps", "frames_per_latent")
    }
    return str(replace(plan, **fields, frames=tuple(header["frames"])).digest)


_plan("of 10**12 pixels", lambda header: header.update(width=10**12, height=10**12))
_plan("of 10**6 x 10**6 pixels", lambda header: header.update(width=10**6, height=10**6))
_plan("of 10**18 steps", lambda header: header.update(training_steps=10**18))
_plan(
    "of frames at 10**18",
    lambda header: header.update(frames=[10**18, 10**18 + 1, 10**18 + 2, 10**18 + 3]),
)
_plan("of frames backwards", lambda header: header.update(frames=[3, 2, 1, 0]))
_plan("of frame -1", lambda header: header.update(frames=[-1, 0, 1, 2]))
