"""`grain test` and `check_file`: which cases there are, what they change, and what is said."""

from __future__ import annotations

import json
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from broken_compilers import MUTANTS, CountedCompiler
from clips import EXAMPLES, ClipFolder
from command import Grain
from hypothesis import HealthCheck, given, settings

from grainspec import GrainError, check, dumps, load, parse
from grainspec.model.spec import Edit, EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.layout import Layout
from grainspec.testing import (
    INVARIANTS,
    REGION_PROPERTIES,
    Broken,
    Scene,
    check_file,
    check_regions,
    scenes,
    specs,
    try_file,
    word_backbone,
)
from grainspec.testing.case import compiled
from grainspec.testing.run.cases import Checker, Trial
from grainspec.testing.run.changes import FileCase, file_case
from grainspec.testing.run.file import edits_of
from grainspec.testing.run.junit import Refused, junit_xml
from grainspec.testing.run.stand_in import stand_in


@pytest.fixture
def edit(clip: ClipFolder) -> Path:
    """A spec of two edits with a variant, on a clip of four frames."""
    path = clip.root / "edit.grain"
    path.write_text(clip.spec_text() + "variant left { without right }\n")
    clip.write_masks("left", [clip.mask(0, 0, 8 * frame + 8, 48) for frame in range(4)])
    return path


# --- valid specs are tested, whatever they ask for ---


@pytest.mark.parametrize(
    ("video", "attention"),
    [
        ("size 64x48", "levels 3"),
        ("size 64x48", "levels 0 7"),
        ("size 16x16", "levels 15"),
        ("size 21x35", "levels 4"),
        ("size 17x19 fit pad", "until_timestep 5000 threshold 0.1%"),
        ("frames 1..3", "frames first_last"),
        ("frames 2..2", "resize any"),
        ("step 3", "resize area threshold 100%"),
        ("crop box(1px, 1px, 60px, 33px)", "decay 100 until 0%"),
    ],
)
def test_specs_are_tested_whatever_they_ask_for(
    clip: ClipFolder, video: str, attention: str
) -> None:
    path = clip.root / "edit.grain"
    settings = f"attention {{ {attention} }} sampler {{ steps 999 }}"
    path.write_text(clip.spec_text(video=f'video "clip" {{ {video} }}', settings=settings))
    check_file(path, examples=3)


def test_variants_may_ask_for_more_levels_than_the_spec(clip: ClipFolder) -> None:
    path = clip.root / "edit.grain"
    path.write_text(
        clip.spec_text() + 'variant coarse { edit left -> "green robot" attention { levels 6 } }'
    )
    check_file(path, examples=2)


@pytest.mark.parametrize("size", [(703, 501), (800, 600)])
def test_long_prompts_and_large_clips_are_tested(tmp_path: Path, size: tuple[int, int]) -> None:
    clip = ClipFolder(tmp_path, frames=1, size=size)
    words = " ".join(f"word{number}" for number in range(500))
    path = tmp_path / "edit.grain"
    path.write_text(
        clip.spec_text(video='video "clip"', target=f'target "{words} green robot yellow bear"')
    )
    check_file(path, examples=2)
    layout = Checker(load(path), tmp_path).layouts(Trial(load(path)))[1]
    height, width = layout.bits_FHW.shape[1:]
    assert height % 8 == width % 8 == 0
    assert height * width < 1.2 * 512**2


@pytest.mark.parametrize(
    ("width", "height", "levels", "cell"),
    [
        (64, 64, 3, 8),
        (512, 512, 4, 8),
        (60, 36, 2, 6),
        (63, 35, 2, 7),
        (17, 19, 4, 1),
        (16, 16, 1, 8),
    ],
)
def test_a_stand_in_suits_the_frames(width: int, height: int, levels: int, cell: int) -> None:
    spec = parse('grain 1 video "c" target "a bear" region r = all edit r -> "bear"')
    found = stand_in(spec, width, height)
    assert (found.levels, found.pixels_per_latent, found.max_tokens) == (levels, cell, 77)
    assert eval(str(found)).grids(width, height) == found.backbone().grids(width, height)


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(scenes(), specs(variants=0))
def test_drawn_specs_on_clips_are_tested_and_hold(scene: Scene, other: EditSpec) -> None:
    names = ("attention", "sampler", "context", "flow", "inject", "blend")
    spec = scene.spec.replaced({}, **{name: getattr(other, name) for name in names})
    path = scene.base / "edit.grain"
    path.write_text(dumps(spec))
    try:
        Checker(spec, scene.base).layouts(Trial(spec))
    except GrainError:  # such as an edit whose region is empty, or cut away
        with pytest.raises(GrainError):
            try_file(path, examples=2)
        return
    result = try_file(path, examples=2, invariants=[*INVARIANTS])
    assert [failure.explained() for failure in result.failures] == []


def test_regions_are_checked_at_the_size_of_the_plans(tmp_path: Path) -> None:
    """Part and owner share 0.8 pixels of the clip, and the centre of none but when enlarged."""
    ClipFolder(tmp_path, size=(40, 34))
    path = tmp_path / "edit.grain"
    path.write_text(
        'grain 1 video "clip" target "a robot with a hat" '
        "region robot = box(0px, 0px, 10.4px, 34px) region hat = box(9.6px, 0px, 20px, 34px) "
        'edit robot -> "robot" edit part hat of robot -> "hat"'
    )
    spec = load(path)
    with pytest.raises(GrainError, match="outside its owner"):
        check_regions(spec, tmp_path)
    regions, _ = Checker(spec, tmp_path).layouts(Trial(spec))
    assert (regions.mask("robot") & regions.mask("hat")).any()
    assert try_file(path, examples=1).failures == []


def test_clips_with_a_side_too_short_for_a_size_are_tested(tmp_path: Path) -> None:
    ClipFolder(tmp_path, size=(401, 9))
    path = tmp_path / "edit.grain"
    path.write_text('grain 1 video "clip" target "a bear" region r = all edit r -> "bear"')
    assert try_file(path, examples=1).failures == []


# --- cases ---


def cases(path: Path, count: int, seed: int = 0) -> list[FileCase]:
    spec = next(iter(edits_of(load(path)).values()))
    checker = Checker(spec, path.parent)
    return [file_case(checker, spec, "", number, seed) for number in range(count)]


def test_a_case_depends_on_its_number_and_seed_only(edit: Path) -> None:
    whole = cases(edit, 8)
    spec = next(iter(edits_of(load(edit)).values()))
    alone = file_case(Checker(spec, edit.parent), spec, "", 5, 0)
    assert alone == whole[5]
    assert whole[0].trial == Trial(spec)
    assert len({dumps(case.trial.spec) for case in whole}) == 8
    assert file_case(Checker(spec, edit.parent), spec, "", 5, 1) != alone
    assert file_case(Checker(spec, edit.parent), spec, "left", 5, 0).trial != alone.trial


def test_cases_are_valid_specs_that_can_be_written_down(edit: Path) -> None:
    for case in cases(edit, 20):
        spec = parse(dumps(case.trial.spec))
        assert spec == case.trial.spec
        assert not any(finding.is_error for finding in check(spec))
        checker = Checker(spec, edit.parent)
        again = checker.layouts(Trial(spec))[1]
        layout = Checker(load(edit).without_variants(), edit.parent).layouts(case.trial)[1]
        assert again.frames == layout.frames
        assert again.names == layout.names
        assert (again.bits_FHW == layout.bits_FHW).all()


def test_cases_change_everything_that_a_plan_depends_on(edit: Path) -> None:
    changed = [case.trial for case in cases(edit, 80)][1:]
    attention = [trial.spec.attention for trial in changed]
    for name in type(attention[0]).model_fields:
        if name != "profile":
            assert len({getattr(settings, name) for settings in attention}) > 1, name
    backbones = [trial.stand_in for trial in changed]
    for name in ("levels", "pixels_per_latent", "frames_per_latent", "attended"):
        assert len({getattr(backbone, name) for backbone in backbones}) > 1, name
    videos = [trial.spec.video for trial in changed]
    for name in ("frames", "step", "size", "crop"):
        assert len({getattr(video, name) for video in videos}) > 1, name
    claims = [claim for trial in changed for claim in trial.spec.claims]
    assert {"free", "edit"} <= {claim.verb for claim in claims}
    assert {None, "part"} <= {claim.grain for claim in claims}
    assert any(len(trial.spec.regions) > 2 for trial in changed)
    assert len({trial.spec.context for trial in changed}) > 3


def test_a_given_backbone_is_used(edit: Path) -> None:
    seen = set()

    def compiler(spec: EditSpec, layout: Layout, backbone: Backbone) -> MaskPlan:
        seen.add(backbone)
        return compiled(spec, layout, backbone)

    backbone = word_backbone(levels=3, frames_per_latent=3, attended=(0, 2), pixels_per_latent=16)
    check_file(edit, backbone=backbone, compiler=compiler, examples=10)
    assert backbone in seen
    same = {(b.level_count, b.frames_per_latent, b.pixels_per_latent, b.attended) for b in seen}
    assert same == {(3, 3, 16, (0, 2))}  # invariants try other tokenizers, no other grids


def test_what_a_given_backbone_does_not_support_is_said(edit: Path) -> None:
    with pytest.raises(GrainError, match="G314"):
        check_file(edit, backbone=word_backbone(frames_per_latent=2))


# --- failures ---


@pytest.mark.parametrize("name", MUTANTS)
def test_failures_are_shrunk_to_specs_that_fail_by_themselves(name: str, tmp_path: Path) -> None:
    example = "part" if "part" in name else "instance"
    path = EXAMPLES / f"{example}.grain"
    compiler = CountedCompiler(MUTANTS[name])
    result = try_file(path, compiler=compiler, examples=10, first=True)
    if name == "strengths of another level" or not result.failures:
        pytest.skip("needs two levels exactly" if "level" in name else "not caught by this file")
    (failure,) = result.failures
    assert compiler.calls < 250  # at most 210, of an invariant that one case in sixteen is asked
    spec = parse(failure.spec)
    assert len(failure.spec.splitlines()) <= 20
    assert len(spec.edits) <= 3  # three where 256 made-up classes, not the spec, find the mutant
    backbone = eval(failure.backbone) if failure.backbone else None
    for folder in ("clips", "masks"):
        (tmp_path / folder).symlink_to(EXAMPLES / folder)
    copy = tmp_path / "shrunk.grain"
    copy.write_text(failure.spec)
    with pytest.raises(Broken) as raised:
        check_file(copy, compiler=MUTANTS[name], backbone=backbone, case=0)
    seldom = "many classes"  # which one case in sixteen is asked
    assert failure.broken.invariant in (raised.value.invariant, seldom)


def test_shrunk_specs_keep_only_what_matters(edit: Path) -> None:
    def compiler(spec: EditSpec, layout: Layout, backbone: Backbone) -> MaskPlan:
        if spec.video.crop is not None and any(edit.weight > 2 for edit in spec.changes):
            raise RuntimeError("heavy")
        return compiled(spec, layout, backbone)

    (failure,) = try_file(edit, compiler=compiler, examples=20, first=True).failures
    message = "compiling: the compiler raised RuntimeError: heavy (line "
    assert str(failure.broken).startswith(message)
    assert failure.number > 0
    assert any(line.startswith("video ") for line in failure.changes)
    assert 'target "a green robot and a yellow bear"' not in failure.changes
    assert failure.backbone == ""
    spec = parse(failure.spec)
    assert dumps(spec) == failure.spec
    assert spec.video.frames is not None
    assert spec.video.frames.first == spec.video.frames.last
    assert spec.video.size is None
    (only,) = spec.edits
    assert isinstance(only, Edit)
    assert dumps(spec).split("\n\n")[2:] == [
        f'target "{only.phrase}"',
        f"region {only.region} = all",
        f'edit {only.region} -> "{only.phrase}" {{ weight 4 }}\n',
    ]


def test_a_failure_says_what_changed_and_how_to_repeat_it(edit: Path) -> None:
    mutant = MUTANTS["weights ignored"]
    with pytest.raises(Broken) as raised:
        check_file(edit, compiler=mutant)
    said = str(raised.value)
    result = try_file(edit, compiler=mutant, first=True)
    (failure,) = result.failures
    assert said == failure.explained()
    assert said.startswith(f"{failure.broken.invariant}: ")
    assert f"first seen: {failure.case}:\n" in said
    assert "smallest spec that fails:\n\n    grain 1\n\n" in said
    assert said.endswith(
        f"reproduce with: grain test {edit} --seed 0 --case {failure.number}"
        + (f" --variant {failure.variant}" if failure.variant else "")
    )
    again = try_file(edit, compiler=mutant, case=failure.number, variant=failure.variant)
    assert failure.broken.invariant in {found.broken.invariant for found in again.failures}
    assert again.cases == 1


def test_compilers_that_raise_are_failures(edit: Path) -> None:
    def crashing(spec: EditSpec, layout: Layout, backbone: Backbone) -> MaskPlan:
        raise KeyError("left")

    def refusing(spec: EditSpec, layout: Layout, backbone: Backbone) -> MaskPlan:
        raise GrainError([])

    for compiler in (crashing, refusing):
        with pytest.raises(Broken) as raised:
            check_file(edit, compiler=compiler, examples=0)
        assert raised.value.invariant == "compiling"


def test_mistakes_in_the_spec_are_no_failures(clip: ClipFolder) -> None:
    path = clip.root / "edit.grain"
    path.write_text(clip.spec_text(regions="region left = all - all region right = all"))
    with pytest.raises(GrainError, match="G307"):
        check_file(path)


def test_regions_are_checked_too(edit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(binding: object) -> None:
        raise Broken("shapes", "one pixel off", region="left")

    monkeypatch.setitem(REGION_PROPERTIES, "shapes", broken)
    result = try_file(edit, examples=1)
    (failure,) = result.failures
    assert failure.of_regions
    assert failure.as_json()["of"] == "regions"
    assert parse(failure.spec).regions
    assert try_file(edit, examples=1, invariants=["pairs", "rest"]).failures == []
    assert try_file(edit, invariants=["shapes"], case=0).failures
    with pytest.raises(ValueError, match="regions are checked in case 0 only"):
        try_file(edit, invariants=["shapes"], case=1)


def test_names_of_invariants_are_checked(edit: Path) -> None:
    with pytest.raises(ValueError, match="unknown invariant word; there are structure, "):
        try_file(edit, invariants=["word"])
    with pytest.raises(ValueError, match="unknown variant right; there are: left"):
        try_file(edit, variant="right")
    assert try_file(edit, examples=0, invariants=["pairs"]).invariants == ("pairs",)


def test_examples_take_a_second() -> None:
    check_file(EXAMPLES / "part.grain", examples=1)  # imports
    start = time.process_time()
    check_file(EXAMPLES / "instance.grain")
    assert time.process_time() - start < 10  # a second, on a machine that does nothing else


# --- the command ---


def test_one_case_or_variant_by_number(grain: Grain, edit: Path) -> None:
    said = grain("test", edit, "--case", 3, "--variant", "left", "--invariant", "words")
    assert (said.code, said.out) == (
        0,
        f"{edit}: 1 case, 1 invariants of plans, 0 of regions: all hold\n",
    )
    assert "case 0 of" not in said.out
    said = grain("test", edit, "--variant", "right")
    assert said.code == 2
    assert "unknown variant right; there are: left" in said.err


def test_invariants_are_chosen_by_name_and_listed(grain: Grain, edit: Path) -> None:
    said = grain("test", edit, "--invariant", "wrds")
    assert said.code == 2
    assert "unknown invariant `wrds`. Did you mean `words`? There are: structure, " in said.err
    listed = grain("test", "--list")
    assert listed.code == 0
    for name in (*INVARIANTS, *REGION_PROPERTIES):
        assert f"\n  {name} " in listed.out
    shown = grain("test", "--list", "--invariant", "words", "--format", "json").json
    assert [(found["name"], found["of"]) for found in shown["invariants"]] == [("words", "plans")]
    assert grain("test").code == 2


def test_json_has_what_the_text_has(
    grain: Grain, edit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from grainspec.testing import run

    def broken(path: Path, **options: object) -> object:
        return try_file(path, **options | {"compiler": MUTANTS["weights ignored"]})  # type: ignore[arg-type]

    monkeypatch.setattr(run, "try_file", broken)
    said = grain("test", edit, "--examples", 5, "--format", "json")
    assert said.code == 1
    failure = said.json["files"][0]["failures"][0]
    assert set(failure) == {
        "invariant", "of", "case", "variant", "number", "message", "where", "changes", "spec",
        "backbone", "command",
        "shrunk",
    }  # fmt: skip
    assert parse(failure["spec"])
    text = grain("test", edit, "--examples", 5).out
    assert failure["message"] in text
    assert failure["command"] in text


def test_junit(grain: Grain, edit: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from grainspec.testing import run

    def broken(path: Path, **options: object) -> object:
        return try_file(path, **options | {"compiler": MUTANTS["weights ignored"]})  # type: ignore[arg-type]

    monkeypatch.setattr(run, "try_file", broken)
    bad = tmp_path / "bad.grain"
    bad.write_text("grain 1")
    file = tmp_path / "results.xml"
    said = grain("test", edit, bad, "--examples", 5, "--junit", file)
    assert said.code == 1
    root = ElementTree.parse(file).getroot()
    failed = root.findall("testsuite/testcase[failure]")
    (failure,) = failed[0]
    count = 2 * (len(INVARIANTS) + len(REGION_PROPERTIES)) + 1
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("errors")) == (
        "testsuites", str(count), str(len(failed)), "1",
    )  # fmt: skip
    good, refused = root.findall("testsuite")
    assert len(good.findall("testcase")) == count - 1
    assert str(failed[0].get("name")).split(" [")[0] in INVARIANTS
    assert "reproduce with: grain test" in str(failure.text)
    assert "G008" in str(refused[0][0].text)
    assert float(str(good.get("time"))) > 0
    said = grain("test", edit, "--junit", tmp_path / "no" / "results.xml", "--examples", 0)
    assert "G310" in said.err


def test_junit_has_no_characters_that_xml_cannot_contain() -> None:
    text = junit_xml([Refused("a\x1b.grain", "unknown name `\x00\ud800`")])
    assert ElementTree.fromstring(text.encode())[0].get("name") == "a\ufffd.grain"


def test_results_are_json(edit: Path) -> None:
    value = try_file(edit, examples=1).as_json()
    assert json.loads(json.dumps(value)) == value


def test_nothing_is_said_to_hold_that_was_not_checked(grain: Grain, edit: Path) -> None:
    assert "of regions" in grain("test", edit, "--case", 0).out
    assert "18 of regions" not in grain("test", edit, "--case", 1).out
    said = grain("test", edit, "--case", 1, "--invariant", "cropping")
    assert said.code == 2
    for arguments in ({"examples": -1}, {"case": -1}):
        with pytest.raises(ValueError, match="a whole number from 0"):
            check_file(edit, **arguments)
