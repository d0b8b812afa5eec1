"""The benchmark's cases on clips: what they ask for, what is judged, and which models run them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from command import Grain
from tiny_models import save_animatediff
from wan import tiny_wan

from grainspec.model.spec import DEMO, Edit
from grainspec_runtime.bench.case import GRAINS, Case
from grainspec_runtime.bench.clip_cases import make_clip_case
from grainspec_runtime.bench.clip_methods import IMAGE_METHODS, VIDEO_METHODS, methods_for
from grainspec_runtime.bench.clips import RenderedCase
from grainspec_runtime.bench.measure import Edited, leakage, pose, score
from grainspec_runtime.bench.methods import METHODS
from grainspec_runtime.demo.judge import Judge
from grainspec_runtime.models.locate import DEMO_FOLDER
from grainspec_runtime.prepare import prepare


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [make_clip_case(index, "held-out") for index in range(48)]


@pytest.fixture(scope="module")
def crossing(cases: list[Case]) -> RenderedCase:
    """A case in which one of two figures passes before the other."""
    return RenderedCase(first(cases, "instance both", "cross"))


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge.from_pretrained(DEMO_FOLDER)


@pytest.fixture(scope="module")
def wan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_wan(tmp_path_factory.mktemp("bench") / "wan")


def first(cases: list[Case], *words: str, figures: int = 2) -> Case:
    """The first case whose grain or kind has these words, with so many figures."""
    return next(
        case
        for case in cases
        if all(word in f"{case.grain} {case.kind}" for word in words)
        and len(case.target.figures) == figures
    )


def as_edit(rendered: RenderedCase, frames: np.ndarray) -> Edited:
    """Frames as if a method had made them."""
    nowhere = np.zeros(frames.shape[:3], bool)
    return Edited(frames, frames, rendered.source[0], rendered.target[0], nowhere, 200.0)


def test_cases_depend_on_split_and_number_alone(cases: list[Case]) -> None:
    assert [case.grain for case in cases] == [*GRAINS] * 8
    again = make_clip_case(6, "held-out")
    assert (again.motion, again.target, again.masks) == (
        cases[6].motion,
        cases[6].target,
        cases[6].masks,
    )
    others = {make_clip_case(index, "tuning").source for index in range(48)}
    assert not {case.source for case in cases} & others


def test_masks_alone_do_not_tell_the_figures_apart(cases: list[Case]) -> None:
    """All figures are sampled anew, most cross, many are three of a kind, many masks are boxes."""
    for case in cases:
        assert case.frames == 17
        assert len({figure.kind for figure in case.source.figures}) == 1
        spec = case.spec.build()
        named = " and ".join(edit.phrase for edit in spec.changes if isinstance(edit, Edit))
        for figure in case.target.figures:
            assert f"{figure.colour} {figure.kind}" in named
        for scene in (case.source, case.target):
            assert not {"orange", "yellow"} <= {figure.colour for figure in scene.figures}
        assert "left" not in spec.target
        assert "right" not in spec.target
    assert sum("cross" in case.kind for case in cases) >= 16
    assert sum(len(case.source.figures) == 3 for case in cases) >= 16
    assert sum("boxes" in case.kind for case in cases) >= 12
    kinds = Counter(case.kind.split(",")[0] for case in cases)
    assert {"both", "three", "one of three", "one each"} <= set(kinds)


def test_figures_in_front_have_their_regions_whole(crossing: RenderedCase, tmp_path: Path) -> None:
    crossing.write(tmp_path)
    prepared = prepare(IMAGE_METHODS[0].spec(crossing.case, 4), tmp_path)
    edits = prepared.bound.edits.bits_FHW
    assert set(np.unique(edits)) <= {0, 1, 2}  # of no figure, of one or of the other, never of both


@pytest.mark.parametrize("grain", dict.fromkeys(GRAINS))
def test_cases_can_be_prepared(grain: str, cases: list[Case], tmp_path: Path) -> None:
    case = first(cases, grain, figures=3 if grain in ("class", "place") else 2)
    RenderedCase(case).write(tmp_path)
    prepared = prepare(IMAGE_METHODS[0].spec(case, 4), tmp_path)
    codes = {warning.code for warning in prepared.warnings}
    # a hat vanishes at 6 x 6; a figure behind another has no region in some frames
    assert codes <= {"G401", "G315"}, case.name


def test_the_exact_target_is_right_and_the_source_is_not(
    crossing: RenderedCase, judge: Judge
) -> None:
    best = score(crossing, as_edit(crossing, crossing.target[0]), judge)
    assert best.right > 0.9
    assert (best.leaked, best.pose) == (0, 1)
    assert best.as_json()["seconds"] == 200
    nothing = score(crossing, as_edit(crossing, crossing.source[0]), judge)
    assert nothing.right < 0.2


def test_looks_of_three_figures_leak_in_both_directions(cases: list[Case]) -> None:
    rendered = RenderedCase(first(cases, "instance three", figures=3))
    assert len(rendered.exchanged) == 2
    for frames, _ in rendered.exchanged:
        leaked = leakage(rendered, frames)
        assert leaked is not None
        assert leaked > 0.8


def test_what_is_hidden_is_not_judged(crossing: RenderedCase, judge: Judge) -> None:
    """Frames that hide a figure count by what they show: its looks in them change nothing."""
    rendered = crossing
    visible = rendered.visible
    assert visible.shape == (2, 17)
    assert not visible.all()
    assert visible.mean() > 0.6
    swapped = rendered.exchanged[0][0]
    hidden = ~visible.all(0)
    frames = np.where(hidden[:, None, None, None], swapped, rendered.target[0])
    partly = score(rendered, as_edit(rendered, frames), judge)
    behind = int(np.argmin(visible.mean(1)))
    front = visible[1 - behind] & hidden
    assert partly.figures == pytest.approx(1 - front.sum() / visible.sum(), abs=0.06)
    assert pose(rendered, rendered.target[0]) == 1


def test_a_loose_box_reaches_beyond_its_figure(cases: list[Case], tmp_path: Path) -> None:
    case = first(cases, "boxes")
    rendered = RenderedCase(case)
    figure = rendered.source[1]["figure0"]
    box = rendered._mask(case.masks["figure0"], rendered.source[1])
    assert (box | ~figure).all()
    assert box.sum() > 1.5 * figure.sum()
    empty = np.zeros_like(figure)
    assert not rendered._mask("figure0.box", {"figure0": empty}).any()


def test_models_run_the_methods_that_they_support(wan: Path, tmp_path: Path) -> None:
    assert methods_for(DEMO, "frames") == METHODS
    image = methods_for(DEMO, "clips")
    assert image == IMAGE_METHODS
    video = methods_for(str(wan), "clips")
    assert video == VIDEO_METHODS
    for methods in (METHODS, image, video):
        assert methods[0].name == "ours"
        assert len({method.name for method in methods}) == len(methods)
        named = {method.name for method in methods}
        assert {"no modulation", "self only", "prompt only"} <= named
        assert ("both" if methods == video else "cross only") in named
    assert {"columns", "FlowAnchor", "inverted"} <= {method.name for method in video}
    with_motion = methods_for(str(save_animatediff(tmp_path / "motion")), "clips")
    assert with_motion == tuple(method for method in IMAGE_METHODS if method.name != "posed")
    assert methods_for("demo-image", "frames") == METHODS


def test_methods_state_what_they_differ_in(cases: list[Case], wan: Path) -> None:
    specs = {m.name: m.spec(cases[0], 10, str(wan)) for m in VIDEO_METHODS}
    assert specs["ours"].sampler.process is None
    assert specs["inverted"].sampler.process == "invert_and_sample"
    assert specs["FlowAnchor"].sampler.amplify == 1
    assert specs["FlowAnchor"].attention.profile == "flowanchor"
    assert specs["prompt, pasted"].blend.space == "both"
    assert all(not spec.controls for spec in specs.values())
    written = {name: spec.model_dump_json() for name, spec in specs.items()}
    assert len(set(written.values())) == len(written)


def test_the_command_runs_a_video_transformer(
    grain: Grain, wan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # two threads of torch wait for each other
    folder = tmp_path / "bench"
    methods = ("--method", "ours", "--method", "inverted")
    arguments = ("bench", "--model", wan, "--count", "1", "--steps", "2", *methods, "-o", folder)
    said = grain(*arguments, "--format", "json")
    assert said.code == 0, said.err
    assert said.json["set"] == "clips"
    assert said.json["model"] == str(wan)
    [result] = said.json["results"]
    assert set(result["scores"]) == {"ours", "inverted"}
    assert result["scores"]["ours"]["warp"] > 0
    assert str(wan) in (folder / "index.html").read_text()
    [kept] = (folder / "cases").iterdir()
    assert json.loads(kept.read_text())["name"] == "clip-held-out-000-instance"


def test_what_a_model_cannot_run_is_said_before_it_is_loaded(grain: Grain, wan: Path) -> None:
    said = grain("bench", "--model", wan, "--cases", "frames", "--method", "ours")
    assert said.code != 0
    assert "frames" in said.err
    assert "methods" not in said.err
    said = grain("bench", "--model", wan, "--method", "posed")
    assert said.code == 2
    assert "choose from ours, no modulation" in said.err
    said = grain("bench", "--cases", "30")
    assert said.code == 2
    assert "--count 30" in said.err
