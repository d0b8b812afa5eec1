"""SECURITY.md says what the code does."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import grainspec.limits

PAGE = (Path(__file__).parent.parent / "SECURITY.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| ([\d,]+)(?: [^|]+)? \| `([\w.]+)` \|$", PAGE, re.MULTILINE)


def test_the_limits_are_those_of_the_code() -> None:
    assert len(ROWS) == PAGE.split("## Limits")[1].split("## ")[0].count("\n|") - 2
    for what, limit, name in ROWS:
        module, _, constant = name.rpartition(".")
        assert getattr(import_module(module), constant) == int(limit.replace(",", "")), what


def test_every_limit_is_on_the_page() -> None:
    names = {name for name in vars(grainspec.limits) if name.startswith("MAX_")}
    assert names == {
        name.rpartition(".")[2] for _, _, name in ROWS if name.startswith("grainspec.limits.")
    }
