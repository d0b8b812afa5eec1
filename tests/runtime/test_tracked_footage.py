"""The page of tracked footage says what is doubtful."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fake_tracker import Engines, FakeTracker

BENCHMARKS = Path(__file__).parents[2] / "runtime" / "benchmarks"


def test_the_page_has_pictures_and_all_doubts(
    base: Path, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import tracked_footage

    monkeypatch.delitem(sys.modules, "tracked_footage")
    engines.tracker = FakeTracker(doubted=frozenset({5}), blind=frozenset({7}))
    take = tracked_footage.Take("squares", "clip", "0..7", (("red", 10, 12, 0),))
    absent = tracked_footage.Take("gone", "gone.avi", "0..7", (("red", 10, 12, 0),))
    page = tracked_footage.page([take, absent], base, base / "out").read_text()
    assert (base / "out" / "squares.png").is_file()
    assert "<td>red</td><td>73%, 20%</td><td>5</td><td>7</td>" in page
    assert "<li>G361: `red` is lost on frame 7</li>" in page
    assert "no figure here says how right the masks are" in page
    assert "gone.avi" not in page
    assert str(base) not in page
