"""Tracked masks that are named like other masks: a clip that is not theirs is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from clips import ClipFolder
from PIL import Image
from tracked import write_tracked

from grainspec import EditSpec, load
from grainspec.checks.files import check_files
from grainspec.regions.bind import bind_regions
from grainspec.regions.tracked import named
from grainspec.regions.tracked.manifest import MANIFEST

FOLDER = "masks/tracked/three.v2"
LEFT = f'masks("{FOLDER}", index 1)'
RIGHT = f'masks("{FOLDER}/*.png", index 2)'


def spec_of(clip: ClipFolder, regions: str, video: str = 'video "clip"') -> EditSpec:
    path = clip.root / "edit.grain"
    path.write_text(clip.spec_text(video=video, regions=regions, edits='edit left -> "robot"'))
    return load(path)


@pytest.fixture
def tracked(clip: ClipFolder) -> ClipFolder:
    wide, high = clip.size
    labels = clip.mask(0, 0, wide // 2, high) + 2 * clip.mask(wide // 2, 0, wide, high)
    regions = "region left = track(point(30%, 50%))\nregion right = track(point(70%, 50%))"
    spec = spec_of(clip, regions).in_folder(clip.root, "three.v2.grain")
    write_tracked(spec, clip.root, [labels.astype("uint8")] * clip.frames)
    return clip


def changed(clip: ClipFolder) -> None:
    Image.new("RGB", clip.size, "red").save(clip.root / "clip" / "00002.png")


def test_masks_of_the_same_clip_are_taken(tracked: ClipFolder) -> None:
    (tracked.root / "clip").rename(tracked.root / "renamed")
    spec = spec_of(tracked, f"region left = {LEFT}", 'video "renamed" { alpha "#102030" }')
    # `alpha`, which is hashed with a clip, has no effect on this one.
    assert [finding.code for finding in check_files(spec, tracked.root)] == ["G111"]
    assert bind_regions(spec, tracked.root).warnings == ()


@pytest.mark.parametrize(
    "region",
    [LEFT, RIGHT, f"{LEFT} | {RIGHT}", f'track(masks("{FOLDER}/00001.png", index 1) @ 1)'],
)
def test_masks_of_another_clip_are_told_once(tracked: ClipFolder, region: str) -> None:
    shutil.copytree(tracked.root / "clip", tracked.root / "copy")
    changed(tracked)
    spec = spec_of(tracked, f"region left = {region}")
    [finding] = check_files(spec, tracked.root)
    assert (finding.code, finding.is_error) == ("G369", False)
    assert finding.message == f"the masks in {tracked.root / FOLDER} were tracked in another clip"
    assert finding.span is not None
    if "track(" not in region:
        assert bind_regions(spec, tracked.root).warnings == (finding,)
    same = spec_of(tracked, f"region left = {region}", 'video "copy"')
    assert check_files(same, tracked.root) == []
    (tracked.root / "clip").rename(tracked.root / "other")
    other = spec_of(tracked, f"region left = {region}", 'video "other"')
    assert check_files(other, tracked.root)[0].message.endswith(" in another clip, clip")


def test_coverage_images_are_of_a_clip_too(tracked: ClipFolder) -> None:
    shutil.copytree(tracked.root / "left", tracked.root / FOLDER / "alpha" / "1")
    spec = spec_of(tracked, f'region left = masks("{FOLDER}/alpha/1")')
    assert check_files(spec, tracked.root) == []
    changed(tracked)
    assert [finding.code for finding in check_files(spec, tracked.root)] == ["G369"]


@pytest.mark.parametrize("content", ["{}", "[" * 9999, '{"format": 1}', None])
def test_masks_without_a_manifest_of_ours_are_not_compared(
    tracked: ClipFolder, content: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwanted(*_: object) -> str:
        raise AssertionError("the clip was hashed")

    monkeypatch.setattr(named, "clip_hash", unwanted)
    manifest: Path = tracked.root / FOLDER / MANIFEST
    manifest.unlink()
    if content is not None:
        manifest.write_text(content)
    changed(tracked)
    assert check_files(spec_of(tracked, f"region left = {LEFT}"), tracked.root) == []


def test_the_clip_is_hashed_once_for_a_folder(
    tracked: ClipFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(named, "clip_hash", lambda *given: calls.append(given) or "")
    spec = spec_of(tracked, f"region left = {LEFT}\nregion right = {RIGHT}")
    assert [finding.code for finding in check_files(spec, tracked.root)] == ["G369"]
    assert len(calls) == 1


def test_a_clip_that_cannot_be_read_has_its_own_error(tracked: ClipFolder) -> None:
    (tracked.root / "clip" / "00001.png").write_bytes(b"none")
    found = check_files(spec_of(tracked, f"region left = {LEFT}"), tracked.root)
    assert "G302" in {finding.code for finding in found}
