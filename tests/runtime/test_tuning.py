"""Tile shapes kept from one run to the next."""

from __future__ import annotations

import doctest
import json
from pathlib import Path

import pytest

from grainspec_runtime.attention import tuning
from grainspec_runtime.attention.tuning import Tile, keep, tiles_file, tuned_tile


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAINSPEC_CACHE", str(tmp_path / "cache"))
    tuning._tiles.cache_clear()


def test_what_is_kept_is_found() -> None:
    assert tuned_tile("a") is None
    keep({"a": Tile(64, 64, 4, 2)})
    keep({"b": Tile(128, 32, 8, 3)})
    assert tuned_tile("a") == Tile(64, 64, 4, 2)
    assert tuned_tile("b") == Tile(128, 32, 8, 3)
    assert [path.name for path in tiles_file().parent.iterdir()] == ["attention-tiles.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1, 2]",
        '{"a": 3}',
        '{"a": [64, 64]}',
        '{"a": [64, 64, 4, "2"]}',
        '{"a": [96, 64, 4, 2]}',
        '{"a": [256, 64, 4, 2]}',
        '{"a": [64, -64, 4, 2]}',
        '{"a": [64, 64, 4, 99]}',
        '{"a": {"queries": 64}}',
    ],
)
def test_a_damaged_file_counts_as_none(text: str) -> None:
    tiles_file().parent.mkdir(parents=True)
    tiles_file().write_text(text)
    assert tuned_tile("a") is None
    keep({"b": Tile(64, 64, 4, 2)})
    assert tuned_tile("b") == Tile(64, 64, 4, 2)
    json.loads(tiles_file().read_text())


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(tuning).failed == 0
