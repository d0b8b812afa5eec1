"""`grain check`: it finds what `grain plan` finds, corrects what is certain, and reads from a pipe."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from clips import EXAMPLES, ClipFolder
from command import Grain

import grainspec
from grainspec.checking import MAX_BYTES, check_all
from grainspec.json_format import to_json
from grainspec.regions.polarity import seem_inverted


def written(clip: ClipFolder, **parts: str) -> Path:
    path = clip.root / "edit.grain"
    path.write_text(clip.spec_text(**parts), encoding="utf-8")
    return path


REGIONS = {
    "empty": 'region left = masks("left") & masks("right")\nregion right = masks("right")',
    "overlapping": 'region left = masks("left") | box(0%, 0%, 80%, 100%)\nregion right = masks("right")',
    "too small": 'region left = box(0px, 0px, 2px, 2px)\nregion right = masks("right")',
    "on some frames": "region left = box(0%, 0%, 50%, 100%) @ 0, box(0%, 150%, 50%, 250%) @ 3\n"
    'region right = masks("right")',
    "right": 'region left = masks("left")\nregion right = masks("right")',
}


@pytest.mark.needs_runtime  # `plan` is the runtime's
@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        ("empty", {"G307"}),
        ("overlapping", {"G312"}),
        ("too small", {"G401"}),
        ("on some frames", {"G315"}),
        ("right", set()),
    ],
)
def test_it_finds_what_plan_finds(
    grain: Grain, clip: ClipFolder, kind: str, codes: set[str]
) -> None:
    path = written(clip, regions=REGIONS[kind])
    checked = grain("check", path, "--format", "json").codes
    assert set(checked) == codes
    said = grain("plan", path, "--format", "json").json
    planned = said.get("diagnostics") or said["files"][0]["diagnostics"] if codes else []
    assert sorted(checked) == sorted(finding["code"] for finding in planned)


def test_parts_and_levels_and_steps(grain: Grain, clip: ClipFolder) -> None:
    edits = 'edit left -> "green robot"\nedit part right of left -> "yellow bear"'
    assert grain("check", written(clip, edits=edits), "--format", "json").codes == ["G313"]
    path = written(clip, settings="attention { levels 9 }")
    assert grain("check", path, "--format", "json").codes == ["G404"]
    path = written(clip, settings="sampler { steps 1000 }")
    assert grain("check", path, "--format", "json").codes == ["G203"]
    path = written(clip, video='video "clip" { size 62x46 }')
    assert "G314" in grain("check", path, "--format", "json").codes


def test_prompts_that_are_surely_too_long(grain: Grain, clip: ClipFolder) -> None:
    target = "a green robot and a yellow bear" + " on green grass" * 30
    path = written(clip, target=f'target "{target}"')
    assert grain("check", path, "--format", "json").codes == ["G403"]


def test_variants_are_bound_too(grain: Grain, clip: ClipFolder) -> None:
    variants = (
        'variant one { target "a yellow bear" edit left -> "yellow bear" without right }\n'
        'variant two { target "a yellow bear" edit left -> "yellow bear" without right keep right }\n'
        'variant none { target "a yellow bear" without left, right edit nothing -> "yellow bear" }'
    )
    regions = REGIONS["right"] + '\nregion nothing = masks("left") & masks("right")'
    path = written(clip, regions=regions, settings=variants)
    found = grain("check", path, "--format", "json")
    assert found.codes == ["G307"]
    assert found.json["files"][0]["diagnostics"][0]["line"] == 11


def test_regions_and_files_can_be_left_out(grain: Grain, clip: ClipFolder) -> None:
    path = written(clip, regions=REGIONS["empty"])
    assert grain("check", path, "--no-regions", "--format", "json").codes == []
    shutil.rmtree(clip.root / "left")
    assert grain("check", path, "--no-regions", "--format", "json").codes == ["G304"]
    assert grain("check", path, "--no-files", "--format", "json").codes == []


@pytest.mark.needs_runtime  # which knows the models
@pytest.mark.parametrize("settings", ["method dmt", "variant v {{ {0} method dmt }}"])
def test_what_the_model_lacks_is_found_without_regions(
    grain: Grain, clip: ClipFolder, monkeypatch: pytest.MonkeyPatch, settings: str
) -> None:
    changes = 'target "a blue robot and a yellow bear" edit left -> "blue robot"'
    path = written(clip, settings=settings.format(changes))
    assert grain("check", path, "--format", "json").codes == ["G504"]
    assert grain("check", path, "--no-regions", "--format", "json").codes == ["G504"]
    assert grain("check", path, "--no-files", "--format", "json").codes == []
    monkeypatch.setattr("grainspec.checking.MAX_BYTES", 1000)
    assert grain("check", path, "--format", "json").codes == ["G504"]


@pytest.mark.needs_runtime
@pytest.mark.parametrize("written_as", ["method dfvedit {}", "sampler {{ process flow_edit {} }}"])
def test_what_follows_from_a_model_of_another_kind_is_not_told(
    grain: Grain, clip: ClipFolder, written_as: str
) -> None:
    """Its scales of guidance, and a source prompt to compare with."""
    settings = "guidance 4"
    if "method" in written_as:
        settings = f"sampler {{ {settings} }}"
    path = written(clip, settings=written_as.format(settings))
    assert grain("check", path, "--format", "json").codes == ["G504"]
    path = written(clip, source='model "demo-video"', settings=written_as.format(settings))
    assert grain("check", path, "--no-files", "--format", "json").codes == ["G117", "G118"]


def test_what_is_not_checked_is_said(
    grain: Grain, clip: ClipFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(clip, source='model "owner/name"')
    assert "owner/name is not on this machine" in grain("check", path).err
    path = written(clip, regions=REGIONS["empty"])
    monkeypatch.setattr("grainspec.checking.MAX_BYTES", 1000)
    (file,) = grain("check", path, "--format", "json").json["files"]
    assert file["diagnostics"] == []
    assert "only `grain plan` computes them" in file["notes"][0]
    assert MAX_BYTES > 1e8


def test_python_finds_the_same(clip: ClipFolder) -> None:
    path = written(clip, regions=REGIONS["overlapping"])
    found = grainspec.check(grainspec.load(path), base=clip.root)
    assert [finding.code for finding in found] == ["G312"]


def test_the_examples_are_fine() -> None:
    for path in sorted(EXAMPLES.glob("*.grain")):
        assert check_all(grainspec.load(path), EXAMPLES).findings == ()


def test_inverted_masks(grain: Grain, clip: ClipFolder) -> None:
    left, right = clip.mask(4, 4, 20, 40), clip.mask(30, 4, 60, 40)
    clip.write_masks("left", [~left] * 4)
    clip.write_masks("right", [~right] * 4)
    path = written(clip)
    (finding,) = grain("check", path, "--format", "json").json["files"][0]["diagnostics"]
    assert finding["code"] == "G312"
    assert finding["message"].endswith("cover each other, and seem to be inverted")
    pasted = path.read_text()
    for name in ("left", "right"):
        assert f'masks("{name}", invert)' in finding["cure"]
        pasted = pasted.replace(f'masks("{name}")', f'masks("{name}", invert)')
    path.write_text(pasted)
    assert grain("check", path, "--format", "json").codes == []


MEN = """region left = masks("left")
region right = masks("right")
region ground = masks("ground")
region trees = rest"""
MEN_EDITS = """edit instance left -> "green robot"
edit instance right -> "yellow bear"
edit trees -> "cherry trees"
keep ground"""
MEN_TARGET = 'target "a green robot and a yellow bear before cherry trees"'


def two_men(clip: ClipFolder, *inverted: str, **parts: str) -> Path:
    """A spec over two men on the ground before trees; some of the masks are inverted."""
    boxes = {"left": (4, 4, 20, 40), "right": (30, 4, 56, 40), "ground": (0, 40, 64, 48)}
    for name, box in boxes.items():
        mask = clip.mask(*box)
        clip.write_masks(name, [~mask if name in inverted else mask] * 4)
    usual = {"target": MEN_TARGET, "regions": MEN, "edits": MEN_EDITS}
    return written(clip, **usual | parts)


def only_finding(grain: Grain, path: Path) -> dict[str, str]:
    (finding,) = grain("check", path, "--format", "json").json["files"][0]["diagnostics"]
    return dict(finding)


@pytest.mark.parametrize("inverted", [("left", "right"), ("left", "right", "ground")])
@pytest.mark.parametrize("trees", ['edit trees -> "cherry trees"', "keep trees"])
def test_inverted_masks_that_leave_nothing(
    grain: Grain, clip: ClipFolder, inverted: tuple[str, ...], trees: str
) -> None:
    path = two_men(clip, *inverted, edits=MEN_EDITS.replace('edit trees -> "cherry trees"', trees))
    finding = only_finding(grain, path)
    assert finding["code"] == "G307"
    assert "`trees` is empty on every frame: the masks of `left`" in finding["message"]
    assert finding["message"].endswith("cover each other, and seem to be inverted")
    pasted = path.read_text()
    for name in inverted:
        assert f'masks("{name}", invert)' in finding["cure"]
        pasted = pasted.replace(f'masks("{name}")', f'masks("{name}", invert)')
    path.write_text(pasted)
    assert grain("check", path, "--format", "json").codes == []


def test_one_inverted_mask(grain: Grain, clip: ClipFolder) -> None:
    path = two_men(clip, "left")
    finding = only_finding(grain, path)
    assert finding["code"] == "G312"
    assert '`masks("left", invert)`' in finding["cure"]
    assert "`region left = … - right`" in finding["cure"]
    path.write_text(path.read_text().replace('masks("left")', 'masks("left", invert)'))
    assert grain("check", path, "--format", "json").codes == []


def test_one_mask_that_is_inverted_by_mistake(grain: Grain, clip: ClipFolder) -> None:
    path = two_men(clip, regions=MEN.replace('masks("right")', 'masks("right", invert)'))
    finding = only_finding(grain, path)
    assert "remove `invert` from its masks" in finding["cure"]
    assert "`region right = … - left`" in finding["cure"]  # not the one inside
    path.write_text(path.read_text().replace(", invert", ""))
    assert grain("check", path, "--format", "json").codes == []


def test_options_of_inverted_masks_are_kept(grain: Grain, clip: ClipFolder) -> None:
    path = two_men(clip, "left", regions=MEN.replace('("left")', '("left", threshold 40%)'))
    assert '`masks("left", …, invert)`' in only_finding(grain, path)["cure"]


def test_a_small_region_inside_is_not_called_inverted(grain: Grain, clip: ClipFolder) -> None:
    path = two_men(clip)
    clip.write_masks("right", [clip.mask(4, 4, 10, 20)] * 4)
    finding = only_finding(grain, path)
    assert "overlap in 100% of the smaller one" in finding["message"]
    assert "invert" not in finding["cure"]


def test_edits_with_the_same_masks(grain: Grain, clip: ClipFolder) -> None:
    path = two_men(clip, regions=MEN.replace('"right"', '"left"'))
    finding = only_finding(grain, path)
    assert (finding["code"], finding["message"]) == (
        "G312",
        "`left` and `right` have the same masks",
    )
    assert "in `region right`" in finding["cure"]
    assert "subtract" not in finding["cure"]
    path.write_text(path.read_text().replace('right = masks("left")', 'right = masks("right")'))
    assert grain("check", path, "--format", "json").codes == []
    path = two_men(clip, regions=MEN.replace('masks("right")', "left"))
    assert only_finding(grain, path)["message"] == "`left` and `right` are the same pixels"


def test_large_regions_are_not_called_inverted() -> None:
    left, right = np.zeros((2, 8, 8), bool), np.zeros((2, 8, 8), bool)
    left[:, :, :6], right[:, :, 2:] = True, True
    assert seem_inverted(left, right)  # so it may be: the cure says when
    right[:, :4] = False
    assert not seem_inverted(left, right)
    assert not seem_inverted(left, ~left)


# --- corrections ---------------------------------------------------------------------------------

BAD = 'edit left: "green robot";  // one\nEDIT right => “yellow bear” { weight: 120% }\nfps 24\n'


def test_fix_corrects_the_file(grain: Grain, clip: ClipFolder) -> None:
    path = written(clip, edits=BAD)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    path.chmod(0o640)
    said = grain("check", "--fix", path)
    assert said.code == 1
    assert "`fps` is a setting of `video`, not a statement" in said.err
    assert "corrected: `=>` is not an arrow" in said.err
    assert "1 error, 8 corrected" in said.err
    right = (
        'edit left -> "green robot"  # one\nedit right -> "yellow bear" { weight 1.2 }\nfps 24\n'
    )
    wanted = clip.spec_text(edits=right).replace("\n", "\r\n").encode()
    assert path.read_bytes() == b"\xef\xbb\xbf" + wanted
    assert path.stat().st_mode & 0o777 == 0o640
    assert not list(clip.root.glob(".*"))


def test_fix_leaves_good_files_alone(grain: Grain, clip: ClipFolder) -> None:
    path = written(clip)
    before = path.stat().st_mtime_ns
    assert grain("check", "--fix", path).out == f"{path}: fine\n"
    assert path.stat().st_mtime_ns == before


def test_fix_in_json(grain: Grain, clip: ClipFolder) -> None:
    path = written(clip, edits=BAD)
    (file,) = grain("check", "--fix", path, "--format", "json").json["files"]
    assert [finding["code"] for finding in file["diagnostics"]] == ["G001"]
    assert len(file["fixed"]) == 8
    assert file["fixed"][0]["fixes"]


def test_standard_input(grain: Grain, clip: ClipFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clip.root)
    monkeypatch.setattr("sys.stdin", io.StringIO(clip.spec_text()))
    assert grain("check", "-").out == "standard input: fine\n"
    text = clip.spec_text().replace("->", "=>", 1)
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    said = grain("check", "-")
    assert (said.code, said.out) == (1, "")
    assert "standard input:" in said.err
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    said = grain("check", "--fix", "-")
    assert (said.code, said.out) == (0, clip.spec_text())
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    (file,) = grain("check", "--fix", "-", "--format", "json").json["files"]
    assert file["text"] == clip.spec_text()


def test_standard_input_keeps_its_line_ends(
    grain: Grain, clip: ClipFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clip.root)
    right = "\ufeff" + clip.spec_text(edits='edit left\t-> "green robot"\n').replace("\n", "\r\n")
    wrong = io.BytesIO(right.replace("->", "=>").encode())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(wrong))
    (file,) = grain("check", "--fix", "-", "--no-files", "--format", "json").json["files"]
    assert file["text"] == right
    wrong.seek(0)
    assert grain("check", "--fix", "-", "--no-files").out == right


def test_json_on_standard_input(
    grain: Grain, clip: ClipFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clip.root)
    spec = grainspec.parse(clip.spec_text())
    monkeypatch.setattr("sys.stdin", io.StringIO("\n" + to_json(spec)))
    assert grain("check", "-").out == "standard input: fine\n"


def test_json_is_not_corrected(grain: Grain, clip: ClipFolder) -> None:
    path = clip.root / "edit.json"
    path.write_text(to_json(grainspec.parse(clip.spec_text())))
    before = path.read_bytes()
    said = grain("check", "--fix", path)
    assert (said.code, said.out) == (0, f"{path}: fine\n")
    assert "not corrected: JSON is only checked" in said.err
    assert path.read_bytes() == before
