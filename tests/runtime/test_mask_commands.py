"""`grain check`, `show`, `plan` and `run` say the same about masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from clips import ClipFolder
from command import Grain
from mask_sources import spec_of

SMALL = 'video "clip" { size 64x48 }'


def write(clip: ClipFolder, source: str) -> Path:
    path = clip.root / "edit.grain"
    path.write_text(spec_of(clip, source, SMALL))
    return path


@pytest.mark.parametrize("command", ["check", "show", "plan", "run"])
def test_errors_are_the_same_everywhere(grain: Grain, clip: ClipFolder, command: str) -> None:
    left = np.stack([clip.mask(2, 2, 30, 40)] * 4)
    np.save(clip.root / "m.npy", left + 2 * ~left)
    said = grain(command, write(clip, 'masks("m.npy")'))
    assert said.code != 0
    assert said.err.count("error[G320]") == 1
    assert "`masks(…, index 1)`" in " ".join(said.err.split())
    assert not list(clip.root.glob("runs/*"))


@pytest.mark.parametrize("command", ["check", "show", "plan"])
def test_warnings_are_said_once_everywhere(grain: Grain, clip: ClipFolder, command: str) -> None:
    np.save(clip.root / "m.npy", np.stack([clip.mask(2, 2, 30, 40)] * 9))
    path = write(clip, 'masks("m.npy")')
    said = grain(command, path)
    assert said.code == 0, said.err
    assert (said.out + said.err).count("warning[G324]") == 1
    answer = json.loads(grain(command, path, "--format", "json").out)
    found = answer["files"][0] if command == "check" else answer
    assert [finding["code"] for finding in found["diagnostics"]].count("G324") == 1
