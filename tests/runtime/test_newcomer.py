"""A newcomer's road: what a person needs is counted as the keystroke-level model says."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCHMARKS = Path(__file__).parents[2] / "runtime" / "benchmarks"


def test_a_person_is_timed_by_operators_and_the_machine_by_the_clock(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import newcomer

    monkeypatch.delitem(sys.modules, "newcomer")
    slept: list[float] = []
    clock = iter([10.0, 12.5, 20.0, 20.0])
    monkeypatch.setattr(
        newcomer, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=slept.append)
    )
    road = newcomer.Road()
    done = []
    road.think()
    road.mouse("PKPK")  # the hand comes from the keyboard
    road.keys(3)
    road.step("drag, and type abc", lambda: done.append("dragged"))
    road.mouse("PK")
    road.step("press Run", lambda: done.append("pressed"))
    assert slept == [0.5, 0.5]
    assert done == ["dragged", "pressed"]
    assert [row["operators"] for row in road.rows] == ["MHPKPKHKKK", "HPK"]
    person = 1.35 + 2 * 0.4 + 2 * 1.1 + 5 * 0.28
    assert [row["person"] for row in road.rows] == pytest.approx([person, 0.4 + 1.1 + 0.28])
    assert [row["machine"] for row in road.rows] == [2.5, 0]
    assert road.table().splitlines()[2:] == [
        "| drag, and type abc | 5 | 5.8 | 2.5 |",
        "| press Run | 1 | 1.8 | 0.0 |",
        "| together | 6 | 8 | 2 |",
    ]
    assert "drag, and type abc: person 5.8 s, machine 2.5 s" in capsys.readouterr().out
