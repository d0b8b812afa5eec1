"""How regions are bound: true of grainspec's binding, and each planted fault is found by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from clips import EXAMPLES, ClipFolder
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from grainspec import GrainError, load, parse
from grainspec.clip.crop import FrameCrop
from grainspec.model.algebra import _Moving
from grainspec.regions import bind, parts, shapes
from grainspec.regions.bind import _Binder
from grainspec.regions.layout import Layout
from grainspec.testing import REGION_PROPERTIES, Broken, Scene, check_regions, scenes
from grainspec.testing.regions.clips import clip_folder


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_they_hold_of_grainspec(scene: Scene) -> None:
    check_regions(*scene, errors_allowed=True)


@pytest.mark.parametrize("name", ["wolf_to_pig", "tennis_pair"])
def test_they_hold_of_an_example(name: str, tmp_path: Path) -> None:
    paths = sorted(EXAMPLES.glob("*.grain"))
    assert paths
    spec = load(paths[hash(name) % len(paths)])
    with pytest.raises(GrainError):  # its clip is not here
        check_regions(spec, tmp_path)
