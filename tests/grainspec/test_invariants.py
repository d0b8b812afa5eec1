"""The public invariants: true of grainspec's compiler, and false of compilers that are broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_compilers import MUTANTS, CountedCompiler
from clips import EXAMPLES, ClipFolder
from command import Grain
from hypothesis import Phase, given, settings
from oracle import Dense, dense_levels, difference

from grainspec import EditSpec, parse
from grainspec.regions.layout import Layout
from grainspec.testing import (
    INVARIANTS,
    REGION_PROPERTIES,
    Broken,
    Case,
    check_case,
    check_file,
    check_plan,
    check_region_source,
    plans,
    try_file,
    word_backbone,
)
from grainspec.testing.case import Compiler, compiled
from grainspec.testing.check import violations

BACKBONE = word_backbone(levels=2)


@given(plans())
def test_they_hold_of_the_compiler(case: Case) -> None:
    check_case(case)


# --- broken compilers ---

Worked = tuple[EditSpec, Layout, list[Dense]]


@pytest.fixture(scope="module")
def samples() -> list[Worked]:
    """Twenty generated cases, always the same, and some by hand, each worked out the slow way."""
    found: list[tuple[EditSpec, Layout]] = []

    @settings(max_examples=20, derandomize=True, phases=[Phase.generate], database=None)
    @given(plans(backbone=BACKBONE))
    def collect(case: Case) -> None:
        found.append((case.spec, case.layout))

    collect()
    return [(*one, dense_levels(*one, BACKBONE)) for one in (*found, *written())]


def written() -> list[tuple[EditSpec, Layout]]:
    """Words that stand twice, regions that overlap and move, odd settings, a part that is worn."""
    text = """
    grain 1
    video "c"
    target "trees and a bear and more trees"
    region trees = all
    region bear = all
    region road = all
    edit trees -> "trees" { weight 0.5 repel 2 }
    edit bear -> "bear" { weight 1.5 }
    free road
    """
    masks = {name: np.zeros((3, 64, 64), bool) for name in ("trees", "bear", "road")}
    for frame in range(3):
        masks["trees"][frame, 10:33, 7 : 41 + 4 * frame] = True
        masks["bear"][frame, 21:50, 30 + 6 * frame : 51] = True
        masks["road"][frame, 52:64, :33] = True
    layout = Layout.of(masks)
    odd = "attention { resize any levels 1 frames sparse_causal cross 0.7 unbound 0.5 }"
    worn = parse(
        'grain 1 video "c" target "a bear with a hat" region bear = all region hat = all '
        'edit bear -> "bear" add hat of bear -> "hat" attention { resize any }'
    )
    hat = np.zeros((1, 64, 64), bool)
    hat[:, 4:13, 10:31] = True
    layout_of_parts = Layout.of({"bear": ~hat, "hat": hat})
    own = [parse(text + more) for more in ("", odd, "attention videograin { levels all }")]
    return [*((spec, layout) for spec in own), (worn, layout_of_parts)]


def broken_by(mutant: Compiler, samples: list[Worked]) -> set[str]:
    """The invariants, and `oracle`, that a compiler does not keep on some sample."""
    found = set()
    for spec, layout, levels in samples:
        plan = mutant(spec, layout, BACKBONE)
        case = Case(spec, layout, BACKBONE, plan, compiler=mutant)
        found |= {broken.invariant for broken in violations(case)}
        if difference(plan, spec, levels):
            found.add("oracle")
    return found


@pytest.mark.parametrize("name", MUTANTS)
def test_broken_compilers_are_caught(name: str, samples: list[Worked]) -> None:
    found = broken_by(MUTANTS[name], samples)
    assert "oracle" in found
    assert found - {"oracle"}


def test_the_real_compiler_is_not(samples: list[Worked]) -> None:
    assert broken_by(compiled, samples) == set()


def test_a_failure_says_where() -> None:
    spec = parse('grain 1 video "c" target "a bear" region r = all edit r -> "bear"')
    mask = np.zeros((3, 64, 64), bool)
    mask[1, :32, :32] = True
    layout = Layout.of({"r": mask}, [10, 12, 14])
    with pytest.raises(Broken) as raised:
        check_plan(spec, layout, BACKBONE, compiler=MUTANTS["masks of the frame before"])
    assert raised.value.invariant == "regions"
    assert raised.value.where == {"region": "r", "frame": 12, "level": 0, "token": "0,0"}
    assert str(raised.value) == (
        "regions: the token is not in the region, which has all of its pixels "
        "(region r, frame 12, level 0, token 0,0)"
    )


def test_a_corner_can_be_outside_of_its_token() -> None:
    """7 rows of latents are 4 at the next level: VideoGrain's corner of its second is above it."""
    text = (
        'grain 1 video "c" target "a bear" region r = all region k = all '
        'edit r -> "bear" keep k attention { resize corner }'
    )
    kept = np.zeros((1, 56, 32), bool)
    kept[:, 14:28] = True
    masks = {"r": np.ones_like(kept), "k": kept}
    check_case(Case.of(text, Layout.of(masks), word_backbone(levels=2)))


def test_kept_pixels_and_parts_are_looked_at() -> None:
    spec = parse(
        'grain 1 video "c" target "a bear with a hat" region r = all region h = all '
        'edit r -> "bear" add h of r -> "hat"'
    )
    whole = np.ones((1, 64, 64), bool)
    with pytest.raises(
        Broken, match=r"parts: the part shares the pixel 0,0 with r, which is behind it \(region h"
    ):
        check_plan(spec, Layout.of({"r": whole, "h": whole}), BACKBONE)
    half = whole.copy()
    half[:, :, :32] = False
    layout = Layout.of({"r": half, "h": ~half})
    check_plan(spec, layout, BACKBONE, kept=whole & False)
    with pytest.raises(Broken, match="kept: the edit has the kept pixel 63,5"):
        kept = np.zeros_like(whole)
        kept[0, 5, 63] = True
        check_plan(spec, layout, BACKBONE, kept=kept)


@pytest.mark.slow  # seconds each: Hypothesis runs a failing test some hundred times
@pytest.mark.parametrize(
    "name",
    [
        "tokens that are a part's and its owner's",
        "masks of the frame before",
        "area over all frames",
    ],
)
def test_failures_shrink_to_a_small_case(name: str) -> None:
    smallest: list[Case] = []
    compiler = CountedCompiler(MUTANTS[name])

    @settings(
        max_examples=300,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
    )
    @given(plans(backbone=BACKBONE))
    def holds(case: Case) -> None:
        assert case.regions is not None
        broken = Case.of(case.spec, case.regions, BACKBONE, compiler=compiler)
        smallest[:] = [broken]
        check_case(broken)

    with pytest.raises(Broken):
        holds()
    assert compiler.calls < 10_000  # at most 5,146, which is ten seconds
    (case,) = smallest
    assert case.layout.bits_FHW.size <= 4 * 16 * 8
    assert len(case.spec.edits) <= 2


# --- files ---


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.grain")), ids=lambda path: path.stem)
def test_examples_hold(path: Path) -> None:
    check_file(path, examples=4)


def test_a_result_repeats_and_names_the_case(clip: ClipFolder) -> None:
    path = clip.root / "edit.grain"
    path.write_text(clip.spec_text() + "variant left { without right }\n")
    mutant = MUTANTS["masks of the frame before"]
    results = [try_file(path, examples=6, seed=3, compiler=mutant) for _ in range(2)]
    assert results[0].as_json() == results[1].as_json()
    assert try_file(path, examples=6, seed=3).failures == []
    assert results[0].cases == 2 * 7
    clip.write_masks("left", [clip.mask(0, 0, 8 * frame + 8, 48) for frame in range(4)])
    result = try_file(path, examples=6, seed=3, compiler=mutant)
    assert {failure.broken.invariant for failure in result.failures} >= {"regions"}
    assert str(result.failures[0]).startswith("as it is: regions: ")


def test_the_command(grain: Grain, clip: ClipFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clip.root / "edit.grain"
    path.write_text(clip.spec_text())
    said = grain("test", path, "--examples", 3)
    assert (said.code, said.out) == (
        0,
        f"{path}: 4 cases, {len(INVARIANTS)} invariants of plans, "
        f"{len(REGION_PROPERTIES)} of regions: all hold\n",
    )
    found = grain("test", path, "--examples", 3, "--format", "json").json["files"][0]
    assert (found["cases"], found["failures"]) == (4, [])
    clip.write_masks("left", [clip.mask(0, 0, 8 * frame + 8, 48) for frame in range(4)])
    clip.write_masks("right", [clip.mask(40, 0, 64, 48)] * 4)
    from grainspec.testing import run

    def broken(path: Path, **options: Any) -> object:
        options |= {"examples": 2, "compiler": MUTANTS["masks of the frame before"]}
        return try_file(path, **options)

    monkeypatch.setattr(run, "try_file", broken)
    said = grain("test", path)
    assert said.code == 1
    assert "regions: the token is " in said.out
    assert f"reproduce with: grain test {path} --seed 0 --case 0\n" in said.out
    (clip.root / "bad.grain").write_text("grain 1")
    said = grain("test", clip.root / "bad.grain", "--format", "json")
    assert (said.code, "G008" in said.codes) == (1, True)


# --- sources of regions ---


def moving_square(frames: int = 4) -> np.ndarray:
    clip = np.zeros((frames, 12, 16, 3), np.uint8)
    for frame in range(frames):
        clip[frame, 2:6, 1 + frame : 5 + frame, 0] = 255
    return clip


def red(frames: np.ndarray) -> np.ndarray:
    return np.asarray(frames[..., 0] > 128)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (lambda frames: np.roll(red(frames), 1, axis=0), "frame"),
        (lambda frames: np.roll(red(frames), 1, axis=2), "mirror"),
        (lambda frames: red(frames).astype(np.uint8), "shape"),
        (lambda frames: red(frames)[:, :-1], "shape"),
        (lambda frames: red(frames) & False, "region"),
        (lambda frames: red(frames) | True, "region"),
        (
            lambda frames: red(frames) ^ (np.random.default_rng().random(frames.shape[:3]) > 0.5),
            "repeat",
        ),
        (
            lambda frames: red(frames) & (np.arange(frames.shape[2]) < frames.shape[2] // 2 - 4),
            "mirror",
        ),
    ],
)
def test_region_sources_that_go_wrong(
    source: Callable[[np.ndarray], np.ndarray], name: str
) -> None:
    with pytest.raises(Broken) as raised:
        check_region_source(source, moving_square())
    assert raised.value.invariant == name


def test_region_sources_that_do_not() -> None:
    check_region_source(red, moving_square())
    with pytest.raises(ValueError, match="expected some of"):
        check_region_source(red, moving_square(), properties=["frames"])


def test_the_rest_of_testing_needs_no_hypothesis() -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from grainspec.testing import check_file, check_plan, check_region_source, word_backbone\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
