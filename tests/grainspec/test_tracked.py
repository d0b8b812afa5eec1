"""Tracked masks on disk: whether they are current, and how their images are read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from clips import ClipFolder
from PIL import Image
from tracked import write_tracked

from grainspec import EditSpec, GrainError, load
from grainspec.clip.facts import probe
from grainspec.regions.tracked.labels import image_name, label_image, palette, read_labels
from grainspec.regions.tracked.manifest import MANIFEST, read_manifest
from grainspec.regions.tracked.masks import tracked_masks
from grainspec.regions.tracked.place import tracked_folder
from grainspec.regions.tracked.state import TrackedState, frame_spans, tracked_state

LEFT = "region left = track(point(30%, 50%) @ 0)"
RIGHT = "region right = track(point(70%, 50%), not point(10%, 10%) @ 2)"


def spec_of(clip: ClipFolder, regions: str = f"{LEFT}\n{RIGHT}", **replaced: str) -> EditSpec:
    path = clip.root / "edit.grain"
    replaced = {"edits": "", "settings": "", **replaced}
    text = clip.spec_text(regions=regions, **replaced)
    path.write_text(text + 'edit left -> "green robot"\n')
    return load(path)


def labels_of(clip: ClipFolder) -> np.ndarray:
    """Object 1 in the left half, object 2 in the right half, nothing in the first row."""
    wide, high = clip.size
    found = np.ones((clip.frames, high, wide), np.uint8)
    found[:, :, wide // 2 :] = 2
    found[:, 0] = 0
    return found


def state_of(spec: EditSpec, clip: ClipFolder) -> TrackedState:
    return tracked_state(spec, clip.root, probe(clip.root / "clip"))


@pytest.fixture
def tracked(clip: ClipFolder) -> ClipFolder:
    write_tracked(spec_of(clip), clip.root, labels_of(clip))
    return clip


def test_a_spec_without_tracked_regions_needs_nothing(clip: ClipFolder) -> None:
    state = state_of(spec_of(clip, 'region left = masks("left")'), clip)
    assert (state.status, state.usable) == ("unused", True)


def test_masks_that_were_never_made(clip: ClipFolder) -> None:
    state = state_of(spec_of(clip), clip)
    assert (state.status, state.usable) == ("missing", False)
    assert state.why == "`left` and `right` are not tracked yet"


def test_masks_that_are_current(tracked: ClipFolder) -> None:
    spec = spec_of(tracked)
    state = state_of(spec, tracked)
    assert (state.status, state.why, state.repaired) == ("fresh", "", ())
    assert state.folder == tracked.root / "masks" / "tracked" / "edit"
    [left, right] = state.sources
    half = tracked.size[0] // 2
    for source, inside in ((left, np.s_[1:, :half]), (right, np.s_[1:, half:])):
        expected = np.zeros(tracked.size[::-1], np.uint8)
        expected[inside] = 255
        images = list(tracked_masks(state, source, [0, 3]))
        assert len(images) == 2
        for image in images:
            np.testing.assert_array_equal(np.asarray(image), expected)


STALE = {
    "a prompt moved": (
        {"regions": LEFT.replace("30%", "31%") + "\n" + RIGHT},
        "the prompts of `left` changed",
    ),
    "a prompt on another frame": (
        {"regions": LEFT.replace("@ 0", "@ 1") + "\n" + RIGHT},
        "the prompts of `left` changed",
    ),
    "another region": (
        {"regions": f'{LEFT}\n{RIGHT}\nregion men = find("man")'},
        "`men` is not tracked yet",
    ),
    "another engine": (
        {"settings": "tracker sam2"},
        "`left` is to be tracked by other engines or weights, and "
        "`right` is to be tracked by other engines or weights",
    ),
}


@pytest.mark.parametrize("case", STALE)
def test_masks_that_are_stale(tracked: ClipFolder, case: str) -> None:
    replaced, why = STALE[case]
    state = state_of(spec_of(tracked, **replaced), tracked)
    assert (state.status, state.why) == ("stale", why)


FRESH = {
    "another step": {"video": 'video "clip" { frames 0..3 step 3 size 64x48 }'},
    "fewer frames": {"video": 'video "clip" { frames 0..2 size 64x48 }'},
    "another size": {"video": 'video "clip" { size 32x24 }'},
    "another threshold": {"settings": "tracker colour { confidence 80% }"},
    "the default engine by its name": {"settings": "tracker colour"},
    "one region less": {"regions": LEFT},
    "another name": {"regions": f"{LEFT}\n{RIGHT.replace('right', 'other')}"},
    "more uses": {"regions": f"{LEFT}\n{RIGHT}\nregion both = left | {RIGHT.split(' = ')[1]}"},
}


@pytest.mark.parametrize("case", FRESH)
def test_what_needs_no_new_tracking(tracked: ClipFolder, case: str) -> None:
    assert state_of(spec_of(tracked, **FRESH[case]), tracked).why == ""


VIDEO_LATER = 'video "clip" { frames 1..3 size 64x48 }'


def test_prompts_without_a_frame_are_on_the_first_one_in_use(clip: ClipFolder) -> None:
    regions = "region left = track(point(30%, 50%))"
    write_tracked(spec_of(clip, regions), clip.root, labels_of(clip) % 2)
    later = spec_of(clip, regions, video=VIDEO_LATER)
    why = "the first frame, on which `left` is shown, is 1 now, not 0"
    assert state_of(later, clip).why == why
    moved = spec_of(clip, regions.replace("30%", "31%"), video=VIDEO_LATER)
    assert state_of(moved, clip).why == "the prompts of `left` changed"


def test_words_without_a_frame_are_found_on_the_first_one_in_use(clip: ClipFolder) -> None:
    regions = 'region left = find("man")'
    write_tracked(spec_of(clip, regions), clip.root, labels_of(clip) % 2)
    later = spec_of(clip, regions, video=VIDEO_LATER)
    why = "the first frame, on which `left` is found, is 1 now, not 0"
    assert state_of(later, clip).why == why


def test_frames_that_were_not_tracked(clip: ClipFolder) -> None:
    few = spec_of(clip, LEFT, video='video "clip" { frames 1..2 size 64x48 }')
    write_tracked(few, clip.root, labels_of(clip)[:3] % 2)  # frame 0 has the prompt
    assert state_of(spec_of(clip, LEFT), clip).why == "frame 3 is not tracked"


def test_another_clip_is_the_only_reason(tracked: ClipFolder) -> None:
    Image.new("RGB", tracked.size, "red").save(tracked.root / "clip" / "00002.png")
    state = state_of(spec_of(tracked, LEFT.replace("30%", "31%")), tracked)
    assert state.why == "the clip clip is not the one that was tracked"


def test_the_same_clip_elsewhere_is_the_same(tracked: ClipFolder, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("clip", "masks", "edit.grain"):
        (tracked.root / name).rename(moved / name)
    for image in (moved / "clip").iterdir():
        image.touch()
    spec = load(moved / "edit.grain")
    assert tracked_state(spec, moved, probe(moved / "clip")).why == ""


def test_repaired_and_missing_images_are_told_apart(tracked: ClipFolder) -> None:
    spec, folder = spec_of(tracked), tracked_folder(spec_of(tracked), tracked.root)
    repaired = labels_of(tracked)[1]
    repaired[10:20] = 1
    label_image(repaired).save(folder / "00001.png")
    state = state_of(spec, tracked)
    assert (state.status, state.repaired) == ("fresh", (1,))
    left = next(iter(state.sources))
    [image] = tracked_masks(state, left, [1])
    np.testing.assert_array_equal(np.asarray(image) == 255, repaired == 1)
    (folder / "00003.png").unlink()
    assert state_of(spec, tracked).why == "the image of frame 3 is missing"


def test_a_mask_as_a_prompt_is_known_by_its_pixels(clip: ClipFolder) -> None:
    regions = 'region left = track(masks("hero.png") @ 2)'
    hero = clip.mask(3, 4, 20, 30)
    Image.fromarray(hero).save(clip.root / "hero.png")
    spec = spec_of(clip, regions)
    write_tracked(spec, clip.root, labels_of(clip) % 2)
    Image.fromarray(hero).save(clip.root / "hero.png", optimize=True, dpi=(72, 72))
    assert state_of(spec, clip).why == ""
    Image.fromarray(clip.mask(3, 4, 20, 31)).save(clip.root / "hero.png")
    assert state_of(spec, clip).why == "the prompts of `left` changed"
    (clip.root / "hero.png").unlink()
    with pytest.raises(GrainError, match="G304"):
        state_of(spec, clip)


def test_specs_without_a_file_have_a_folder_of_their_own(clip: ClipFolder) -> None:
    moved = LEFT.replace("30%", "31%")
    one, other = (spec_of(clip, text).in_folder(clip.root) for text in (LEFT, moved))
    names = {tracked_folder(spec, clip.root).name for spec in (one, other)}
    assert len(names) == 2
    assert all(name.startswith("clip-") for name in names)


def test_each_file_has_a_folder_of_its_own(clip: ClipFolder) -> None:
    spec, folder = spec_of(clip), clip.root / "masks" / "tracked"
    for file, name in {
        "edit.grain": "edit",
        "edit.json": "edit.json",
        "take.2.grain": "take.2",
        "..grain": "..grain",
        "...grain": "...grain",
        ".grain": ".grain",
        ".json": ".json",
        "edit": "edit.text",
        "edit.txt": "edit.txt.text",
        "edit.text": "edit.text.text",
        "take.2": "take.2.text",
        "edit.json.grain": "edit.json.grain",
        "edit.grain.grain": "edit.grain.grain",
        "edit.text.grain": "edit.text.grain",
        "edit.grain.json": "edit.grain.json",
        "...": "....text",
        "....text.grain": "....text.grain",
        "....grain": "....grain",
    }.items():
        assert tracked_folder(spec.in_folder(clip.root, file), clip.root) == folder / name
        assert (folder / name).resolve().parent == folder.resolve()


def _broken(folder: Path, change: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    record = manifest["sources"][0]["objects"][0]
    if change == "short list":
        record["pixels"].pop()
    elif change == "same number":
        manifest["sources"][1]["objects"][0]["number"] = record["number"]
    elif change == "infinity":
        record["confidence"][0] = 1e999
    elif change == "unknown key":
        manifest["command"] = "rm -rf /"
    elif change == "no frame":
        manifest |= {"first": 4, "last": 3, "sources": [], "images": []}
    elif change.startswith("meeting"):
        first, last = {"back": (2, 1), "long": (0, 900_000)}[change.split()[1]]
        manifest["meetings"] = [{"region": "left", "first": first, "last": last}]
    elif change == "cover":
        manifest["covers"] = [{"frame": 99999, "region": "left", "by": "right"}]
    elif change == "number":
        record["number"] = 4000
    (folder / MANIFEST).write_text("[" * 9999 if change == "deep" else json.dumps(manifest))


@pytest.mark.parametrize(
    "change",
    [
        "short list",
        "same number",
        "infinity",
        "unknown key",
        "number",
        "deep",
        "no frame",
        "meeting back",
        "meeting long",
        "cover",
    ],
)
def test_a_manifest_is_not_trusted(tracked: ClipFolder, change: str) -> None:
    folder = tracked_folder(spec_of(tracked), tracked.root)
    _broken(folder, change)
    with pytest.raises(ValueError, match=r"\w"):
        read_manifest(folder)
    state = state_of(spec_of(tracked), tracked)
    assert state.status == "stale"
    assert f"{MANIFEST} cannot be read" in state.why


def _saved_as(labels_HW: np.ndarray, path: Path, mode: str) -> None:
    image = label_image(labels_HW)
    if mode == "L":
        image = Image.fromarray(labels_HW)
    elif mode == "other palette":  # the same colours at other indices, as some programs save them
        colours = palette()[: 3 * 3]
        image = Image.fromarray(2 - labels_HW)
        image.putpalette([*colours[6:9], *colours[3:6], *colours[0:3]])
    elif mode != "P":
        image = image.convert(mode)
    image.save(path)


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "RGBA", "other palette"])
def test_images_as_paint_programs_save_them(clip: ClipFolder, tmp_path: Path, mode: str) -> None:
    labels_HW = labels_of(clip)[0]
    _saved_as(labels_HW, tmp_path / "m.png", mode)
    read = read_labels(tmp_path / "m.png", clip.size, {1: "left", 2: "right"})
    np.testing.assert_array_equal(read, labels_HW)


def _unusable(kind: str, labels_HW: np.ndarray, path: Path) -> None:
    if kind == "size":
        label_image(labels_HW[:-1]).save(path)
    elif kind == "object":
        label_image(np.where(labels_HW == 2, 9, labels_HW)).save(path)
    elif kind == "antialiased":
        image = label_image(labels_HW).convert("RGB")
        image.putpixel((5, 5), (60, 70, 3))
        image.save(path)
    else:
        path.write_bytes(b"no image")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("size", "has 64x47 pixels; the clip has 64x48"),
        ("object", "index 9, which is no object"),
        ("antialiased", "the colour `#3c4603`, which is not in its palette"),
        ("text", "cannot be read as an image"),
    ],
)
def test_images_that_cannot_be_used(
    clip: ClipFolder, tmp_path: Path, kind: str, message: str
) -> None:
    path = tmp_path / image_name(31)
    _unusable(kind, labels_of(clip)[0], path)
    with pytest.raises(GrainError, match="G363") as caught:
        read_labels(path, clip.size, {1: "left", 2: "right"})
    assert message in str(caught.value)
    assert "00031.png" in str(caught.value)


def test_spans_of_frames() -> None:
    assert frame_spans([40, 41, 42, 3, 41]) == "3, 40..42"
    assert frame_spans(range(0, 40, 2), most=2) == "0, 2, …"
