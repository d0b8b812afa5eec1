"""The edit benchmark: its cases, their exact targets, its measures, and what it keeps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from command import Grain

from grainspec.diagnostics import GrainError, fail
from grainspec.model.spec import PROFILES
from grainspec_runtime.bench import run as bench_run
from grainspec_runtime.bench.cases import GRAINS, Case, make_cases
from grainspec_runtime.bench.clips import RenderedCase
from grainspec_runtime.bench.edit import _together
from grainspec_runtime.bench.measure import Edited, leakage, pose, score
from grainspec_runtime.bench.methods import METHODS, OURS
from grainspec_runtime.bench.page import gallery
from grainspec_runtime.bench.paper.choose import Chosen
from grainspec_runtime.bench.paper.run import Part, _edits_counted
from grainspec_runtime.bench.reweighted import Reweighting, word_weights
from grainspec_runtime.bench.run import Job, file_name, run_bench
from grainspec_runtime.bench.summary import summarize
from grainspec_runtime.commands import bench_paper
from grainspec_runtime.commands.bench import COUNT, QUICK_COUNT, tables
from grainspec_runtime.demo import world
from grainspec_runtime.demo.judge import Judge
from grainspec_runtime.demo.motion import exact_flow
from grainspec_runtime.demo.render import render
from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.measures.clip_model import check_clip
from grainspec_runtime.measures.warping import warp_error
from grainspec_runtime.models.locate import DEMO_FOLDER
from grainspec_runtime.prepare import prepare


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return make_cases(24, "held-out")


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge.from_pretrained(DEMO_FOLDER)


def as_edit(rendered: RenderedCase, frames: np.ndarray) -> Edited:
    """Frames as if a method had made them."""
    source, target = rendered.source[0], rendered.target[0]
    regions = np.zeros(frames.shape[:3], bool)
    return Edited(frames, frames, source, target, regions, 0.0)


def test_cases_depend_on_split_and_number_alone(cases: list[Case]) -> None:
    assert [case.grain for case in cases] == [*GRAINS] * 4
    again = make_cases(7, "held-out")[6]
    assert (again.source, again.target) == (cases[6].source, cases[6].target)
    others = make_cases(24, "tuning")
    assert not {case.source for case in cases} & {case.source for case in others}


def test_every_case_and_method_can_be_prepared(cases: list[Case], tmp_path: Path) -> None:
    for case in cases:
        folder = tmp_path / case.name
        RenderedCase(case).write(folder)
        for method in METHODS:
            prepared = prepare(method.spec(case, 4), folder)
            codes = {warning.code for warning in prepared.warnings}
            # a hat vanishes at 6 x 6; grown figures may touch
            assert codes <= {"G401", "G312"}, (case.name, method.name)
            assert prepared.plan.edits


def test_the_exact_target_is_right_and_the_source_is_not(cases: list[Case], judge: Judge) -> None:
    for case in cases[:6]:
        rendered = RenderedCase(case)
        best = score(rendered, as_edit(rendered, rendered.target[0]), judge)
        assert best.right == 1
        assert best.leaked in (0, None)
        assert best.pose in (1, None)
        nothing = score(rendered, as_edit(rendered, rendered.source[0]), judge)
        assert nothing.right < 0.5
        assert nothing.pose == nothing.pose_source
        assert nothing.pose_source == best.pose_source


def test_exchanged_looks_leak_and_are_wrong(cases: list[Case], judge: Judge) -> None:
    rendered = RenderedCase(next(case for case in cases if case.kind == "both"))
    assert rendered.swapped is not None
    swapped = rendered.swapped[0]
    assert leakage(rendered, swapped) == 1
    assert score(rendered, as_edit(rendered, swapped), judge).right < 0.2


def test_a_moved_figure_loses_its_pose(cases: list[Case]) -> None:
    rendered = RenderedCase(cases[0])
    moved = np.roll(rendered.target[0], 12, axis=2)
    overlap = pose(rendered, moved)
    assert overlap is not None
    assert 0 < overlap < 0.7


@pytest.mark.parametrize("seed", range(4))
def test_frames_carried_along_the_exact_flow_are_the_next_ones(seed: int) -> None:
    import random

    scene = world.random_scene(random.Random(seed))
    scenes = [world.advance(scene, frame) for frame in range(3)]
    frames = np.stack([render(one)[0] for one in scenes])
    flow = exact_flow(scenes)
    still = ClipFlow(np.zeros_like(flow.forward_PHW2), np.zeros_like(flow.backward_PHW2))
    carried, unmoved = warp_error(frames, flow), warp_error(frames, still)
    assert carried is not None
    assert unmoved is not None
    assert carried < 0.1 * unmoved
    assert flow.seen_before_PHW.mean() > 0.75


def test_the_exact_flow_hides_what_is_covered() -> None:
    behind = world.Figure("bear", "red", x=0.5, feet=0.85)
    before = world.Figure("robot", "blue", x=0.52, feet=0.95)
    one = world.Scene((behind, before))
    other = replace(one, figures=(replace(behind, x=0.6), before))
    flow = exact_flow([one, other])
    masks = render(one)[1]
    seen = flow.seen_after_PHW[0]
    assert seen[masks["figure1"]].mean() > 0.93  # all but pixels on its edge
    assert 0.1 < seen[masks["figure0"]].mean() < 0.8


def test_reweighting_scales_the_edits_words_alone(cases: list[Case], tmp_path: Path) -> None:
    case = next(case for case in cases if case.grain == "several")
    RenderedCase(case).write(tmp_path)
    plan = prepare(OURS.spec(case, 4), tmp_path).plan
    weights = word_weights(plan)
    words = {token for edit in plan.edits for tokens in edit.tokens for token in tokens}
    assert {i for i, weight in enumerate(weights.tolist()) if weight != 1} == words
    frames, tokens = len(plan.frames), len(weights)
    reweighting = Reweighting(plan)
    query, key = torch.randn(2 * frames, 2, 9, 4), torch.randn(2 * frames, 2, tokens, 4)
    value = torch.eye(tokens).expand(2 * frames, 2, tokens, tokens)
    shares = reweighting(query, key, value, frames=frames)
    plain = (query @ key.mT / 2).softmax(-1)
    torch.testing.assert_close(shares[:frames], plain[:frames])
    torch.testing.assert_close(shares[frames:], plain[frames:] * weights)


def test_results_of_other_constants_are_made_anew(
    cases: list[Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job("held-out", (OURS,), 1, tmp_path, ("cpu",), 1)
    before = job.key(cases[0], OURS)
    assert job.key(cases[0], OURS) == before
    monkeypatch.setitem(PROFILES, "demo", PROFILES["demo"].replaced({}, decay=3.0))
    assert job.key(cases[0], OURS) != before


@pytest.mark.slow  # edits a case six times over with the demo model
def test_results_are_kept_and_only_what_is_missing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = tuple(method for method in METHODS if method.name in ("ours", "re-weighted"))
    job = Job("tuning", methods, 1, tmp_path, ("cpu",), 1)
    [first] = run_bench(1, job, workers=1)
    made: list[str] = []
    real = bench_run.Bench.edits

    def counted(self, case, methods, steps, **options):  # type: ignore[no-untyped-def]
        made.extend(method.name for method in methods)
        yield from real(self, case, methods, steps, **options)

    monkeypatch.setattr(bench_run.Bench, "edits", counted)
    assert run_bench(1, job, workers=1) == [first]
    assert made == []
    [kept] = (tmp_path / "cases").iterdir()
    found = json.loads(kept.read_text())
    found["scores"]["ours"]["key"] = "of other settings"
    kept.write_text(json.dumps(found))
    [again] = run_bench(1, job, workers=1)
    assert made == ["ours"]
    unlike = {"seconds", "gpu", "ram", "total"}
    assert {k: v for k, v in again["scores"]["ours"].items() if k not in unlike} == {
        k: v for k, v in first["scores"]["ours"].items() if k not in unlike
    }
    kept.write_text("{ cut short")
    run_bench(1, job, workers=1)
    assert sorted(made) == ["ours", "ours", "re-weighted"]
    page = gallery([again], methods, split="tuning", steps=1)
    assert "(1 case)" in page
    for method in methods:
        clip = tmp_path / "clips" / again["name"] / f"{file_name(method.name)}.webp"
        assert clip.is_file()
        assert f'src="clips/{again["name"]}/{clip.name}"' in page
    summary = summarize([again], ["ours"])["ours"]
    assert summary["all"]["right"] == again["scores"]["ours"]["right"]


class Scored:
    """A stand-in for the model of a benchmark: every edit is the source, until one breaks."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.breaks: BaseException | None = None

    def edits(  # type: ignore[no-untyped-def]
        self, rendered, methods, steps, *, apart, failed
    ):
        for number, method in enumerate(methods):
            if self.breaks is not None and number == 2:
                if not isinstance(self.breaks, GrainError):
                    raise self.breaks
                failed(method, self.breaks)
                continue
            self.made.append(method.name)
            frames = rendered.source[0]
            edited = as_edit(rendered, frames)
            scores = score(rendered, edited, Judge.from_pretrained(DEMO_FOLDER)).as_json()
            yield method, scores, frames


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Scored:
    stand_in = Scored()
    monkeypatch.setattr(bench_run, "_bench", lambda *_: stand_in)
    return stand_in


def test_an_interrupted_case_keeps_what_was_made(scored: Scored, tmp_path: Path) -> None:
    job = Job("tuning", METHODS[:4], 1, tmp_path, ("cpu",), 1)
    scored.breaks = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run_bench(1, job, workers=1)
    assert set(job.saved(job.case(0))["scores"]) == {"ours", "videograin"}
    counts: list[tuple[int, int]] = []
    part = Part(job, 1, Chosen({"comparison": job.methods}, {}), 0)  # type: ignore[dict-item]
    with _edits_counted(part, lambda name, done, total: counts.append((done, total))):
        pass
    assert counts == [(2, 4)] * 2  # by what is not made again, although clips may be there
    scored.breaks, before = None, list(scored.made)
    [result] = run_bench(1, job, workers=1)
    assert scored.made[len(before) :] == ["no modulation", "no control"]
    assert set(result["scores"]) == {method.name for method in job.methods}


def test_an_edit_that_fails_does_not_end_the_benchmark(scored: Scored, tmp_path: Path) -> None:
    job = Job("tuning", METHODS[:4], 1, tmp_path, ("cpu",), 1)
    scored.breaks = fail("G505", "produced NaN or infinity in sampling step 1 of 1", "")
    results = run_bench(1, job, workers=1)
    [result] = results
    assert set(result["scores"]) == {"ours", "videograin", "no control"}
    assert result["not_run"] == {
        "no modulation": "G505: produced NaN or infinity in sampling step 1 of 1"
    }
    page = gallery(results, job.methods, split="tuning", steps=1)
    assert "no-modulation.webp" not in page
    assert "no modulation (0 of 1)" in page
    names = [method.name for method in job.methods]
    assert "no modulation (0 of 1)" in tables(summarize(results, names), names)
    scored.breaks = None
    [again] = run_bench(1, job, workers=1)  # it is tried again
    assert "no modulation" in again["scores"]
    assert not again["not_run"]


@pytest.mark.slow
def test_the_bench_passes_on_what_failed(
    cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise fail("G505", "NaN", "")

    monkeypatch.setattr("grainspec_runtime.bench.edit.edit", broken)
    failed: list[str] = []
    bench = bench_run.Bench("cpu")
    edits = bench.edits(
        RenderedCase(cases[0]), METHODS[:2], 1, failed=lambda method, _: failed.append(method.name)
    )
    assert list(edits) == []
    assert sorted(failed) == ["ours", "videograin"]


def test_other_devices_have_other_costs(cases: list[Case], tmp_path: Path) -> None:
    keys = {
        Job("tuning", (OURS,), 1, tmp_path, devices, 1).key(cases[0], OURS)
        for devices in (("cpu",), ("mps",), ("mps", "cpu"), ("cpu", "cpu"))
    }
    assert len(keys) == 3


def test_the_command_goes_on_in_its_own_folder(
    grain: Grain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an interruption there are cases and clips; after a whole run results and a page, too."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # two threads of torch wait for each other
    folder = tmp_path / "mine"
    arguments = ("bench", "--count", "1", "--steps", "1", "--method", "ours", "-o", folder)
    first = grain(*arguments, "--format", "json")
    assert first.code == 0, first.err
    (folder / "index.html").unlink()
    again = grain(*arguments, "--format", "json")
    assert again.json == first.json  # with the seconds that the first took
    assert first.json["clip"] is None or Path(first.json["clip"]).is_dir()
    [score] = (result["scores"]["ours"] for result in first.json["results"])
    assert {"warp_flow", "ssim", "ram", "total", "cross_instance"} < set(score)
    assert score["warp_flow"] > 0
    (folder / "thesis.txt").write_text("not ours")
    said = grain(*arguments)
    assert said.code == 1
    assert "thesis.txt" in said.err


def test_methods_under_one_control_are_made_together(cases: list[Case]) -> None:
    """A session holds all its edits by the first one's controls: others need one of their own."""
    groups = [[method.name for method in group] for group in _together(METHODS)]
    assert sorted(name for group in groups for name in group) == sorted(m.name for m in METHODS)
    assert ["no control"] in groups
    assert any({"ours", "re-weighted"} <= set(group) for group in groups)
    case = cases[0]
    for group in _together(METHODS):
        assert len({method.spec(case, 5).controls for method in group}) == 1


def test_the_command_refuses_what_it_does_not_know(grain: Grain) -> None:
    said = grain("bench", "--method", "magic")
    assert said.code == 2
    assert "choose from ours, videograin, no modulation" in said.err
    assert grain("bench", "--device", "abacus").code == 2


@pytest.mark.parametrize("more", [(), ("--paper",), ("--paper", "--quick")])
@pytest.mark.parametrize("broken", ["", '{"model_type": "clip"}'])
def test_a_clip_that_is_not_there_is_refused_before_anything_loads(
    grain: Grain,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, ...],
    broken: str,
) -> None:
    for place in ("bench.run.check_first", "bench.run.run_bench", "commands.bench_paper.run_paper"):
        monkeypatch.setattr(f"grainspec_runtime.{place}", lambda *_, **__: pytest.fail("too late"))
    clip, out = tmp_path / "clip", tmp_path / "out"
    if broken:
        clip.mkdir()
        (clip / "config.json").write_text(broken)
        (clip / "model.safetensors").write_bytes(b"none")
    said = grain("bench", *more, "--clip", clip, "--device", "cpu", "-o", out)
    assert said.code == 1
    assert "G502" in said.err
    assert "--clip none" in said.err or broken
    assert not out.exists()


def test_the_hub_is_not_asked_for_a_clip_before_it_is_needed() -> None:
    check_clip("owner/no-such-clip")
    with pytest.raises(GrainError, match="G502"):
        check_clip("./no-such-clip")


def test_help_tells_the_defaults_of_each_kind_of_run(grain: Grain) -> None:
    shown = " ".join(grain("bench", "--help").out.split())
    assert f"default: {COUNT}; with --quick, {QUICK_COUNT}; with --paper fewer" in shown
    assert "one per CPU core; with --paper, one per two cores, at most 8)" in shown
    for scale in (bench_paper.WHOLE, bench_paper.QUICK):
        assert all(count < COUNT for _, count, _ in scale.models.values())
