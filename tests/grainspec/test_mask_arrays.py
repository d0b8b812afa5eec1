"""Masks in arrays as people save them: axes of length 1, a file a frame, logits, probabilities."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clips import ClipFolder
from mask_sources import cured, findings, refused, region


@pytest.fixture
def masks(clip: ClipFolder) -> np.ndarray:
    return np.stack([clip.mask(3 + i, 5, 20 + 3 * i, 31 + i) for i in range(4)])


@pytest.mark.parametrize("name", ["m.npy", "m.npz"])
@pytest.mark.parametrize(
    "shape",
    [lambda m: m[:, None], lambda m: m[..., None], lambda m: m],
    ids=["F1HW", "FHW1", "FHW"],
)
def test_an_axis_of_length_one_is_dropped(
    clip: ClipFolder, masks: np.ndarray, name: str, shape: Callable[[np.ndarray], np.ndarray]
) -> None:
    save = np.save if name == "m.npy" else np.savez
    save(clip.root / name, shape(masks))
    assert (region(clip, f'masks("{name}")') == masks).all()
    save(clip.root / name, shape(masks[:1]))
    one = 'video "clip" { frames 0..0 }'
    assert (region(clip, f'masks("{name}")', one) == masks[:1]).all()


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [
        (lambda m: m[0], lambda m: m[None]),
        (lambda m: np.stack([m, ~m], 1), lambda m: m[:, 0]),
        (lambda m: np.stack([m, ~m], -1), lambda m: m[..., 0]),
    ],
)
def test_other_shapes_say_what_to_save(
    clip: ClipFolder,
    masks: np.ndarray,
    wrong: Callable[[np.ndarray], np.ndarray],
    cure: Callable[[np.ndarray], np.ndarray],
) -> None:
    np.save(clip.root / "m.npy", wrong(masks))
    finding = refused(clip, 'masks("m.npy")')
    assert finding.code == "G308"
    (said,) = re.findall(r"`(masks\[.*?\])`", finding.cure)
    saved = eval(said, {"masks": wrong(masks)})
    assert np.array_equal(saved, cure(wrong(masks)))
    np.save(clip.root / "m.npy", saved)
    found = region(clip, 'masks("m.npy")', 'video "clip" { frames 0..0 }')
    assert (found[0] == masks[0]).all()


def paste(root: Path, cure: str) -> str:
    """Run the line of NumPy that a cure proposes, in the spec's folder; the file that it writes."""
    (line,) = re.findall(r"`(numpy\.save\(.*?\))`", cure)
    before = Path.cwd()
    os.chdir(root)
    try:
        exec(line, {"numpy": np})
    finally:
        os.chdir(before)
    return line.split('"')[1]


@pytest.mark.parametrize("name", ["m.npy", "m.npz"])
@pytest.mark.parametrize(
    ("values", "said"),
    [
        (lambda m: np.where(m, 6.0, -8.0), "> 0"),
        (lambda m: np.where(m, 0.4, -0.1).astype(np.float32), "> 0"),
        (lambda m: np.where(m, 240.0, 3.0), "> 127"),
        (lambda m: np.where(m, 0.9, 0.2).astype(np.float16), "> 0.5"),
    ],
)
def test_numbers_with_fractions(
    clip: ClipFolder,
    masks: np.ndarray,
    name: str,
    values: Callable[[np.ndarray], np.ndarray],
    said: str,
) -> None:
    if name == "m.npy":
        np.save(clip.root / name, values(masks))
    else:
        np.savez(clip.root / name, left=values(masks))
    finding = refused(clip, f'masks("{name}")')
    assert (finding.code, said in finding.cure) == ("G308", True)
    written = paste(clip.root, finding.cure)
    assert (region(clip, f'masks("{written}")') == masks).all()
    if said == "> 0.5":
        (source,) = (s for s in cured(f'masks("{name}")', finding) if "threshold" in s)
        assert (region(clip, source) == masks).all()
        assert findings(clip, source) == []
        assert region(clip, f'masks("{name}", threshold 10%)').sum() >= masks.sum()
    else:
        assert refused(clip, f'masks("{name}", threshold 50%)').code == "G308"
    assert refused(clip, f'masks("{name}", index 1)').code == "G308"


def test_not_a_number_is_found(clip: ClipFolder, masks: np.ndarray) -> None:
    values = masks.astype(float)
    values[2, 3, 4] = np.nan
    np.save(clip.root / "m.npy", values)
    assert "NaN" in refused(clip, 'masks("m.npy", threshold 50%)').message


@pytest.mark.parametrize(
    "shape",
    [lambda m: m, lambda m: m[None], lambda m: m[..., None], lambda m: m * 1, lambda m: m * 255],
)
def test_an_array_a_frame(
    clip: ClipFolder, masks: np.ndarray, shape: Callable[[np.ndarray], np.ndarray]
) -> None:
    (clip.root / "m").mkdir()
    for number, mask in enumerate(masks):
        np.save(clip.root / "m" / f"frame{number:05}_obj1.npy", shape(mask))
    for source in ('masks("m")', 'masks("m/*.npy")'):
        assert (region(clip, source) == masks).all()
        assert findings(clip, source) == []


def test_ids_in_an_array_a_frame(clip: ClipFolder, masks: np.ndarray) -> None:
    """White is decided over all files, also where a frame has only one of the objects."""
    (clip.root / "m").mkdir()
    for number, mask in enumerate(masks):
        np.save(
            clip.root / "m" / f"{number}.npy", (mask + 2 * ~mask * (number > 1)).astype(np.uint8)
        )
    finding = refused(clip, 'masks("m")')
    assert finding.code == "G320"
    (source,) = cured('masks("m")', finding)
    assert (region(clip, source) == masks).all()
    (clip.root / "m" / "2.npy").unlink()
    finding = refused(clip, source)
    assert finding.code == "G305"
    found = region(clip, cured(source, finding)[0])
    assert (found[[0, 1, 3]] == masks[[0, 1, 3]]).all()


def test_what_is_wrong_with_an_array_a_frame(clip: ClipFolder, masks: np.ndarray) -> None:
    (clip.root / "m").mkdir()

    def says(value: object) -> str:
        for number in range(4):
            np.save(clip.root / "m" / f"{number}.npy", np.asarray(value), allow_pickle=True)
        found = refused(clip, 'masks("m")')
        return f"{found.code} {found.message} {found.cure}"

    assert "never loaded" in says(np.array([None, {}], dtype=object))
    assert "[height, width]" in says(masks)
    assert "masks > 0" in says(np.where(masks[0], 3.0, -3.0)).replace("numpy.load(path)", "masks")
    assert says(np.ones((24, 24), bool)).startswith("G306")
    (clip.root / "m" / "0.npy").write_bytes(b"no array")
    assert refused(clip, 'masks("m")').code == "G308"


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("folder", [False, True])
def test_fractions_that_are_0_or_1_are_masks(
    clip: ClipFolder, masks: np.ndarray, kind: type, folder: bool
) -> None:
    source = 'masks("m")' if folder else 'masks("m.npy")'
    _save(clip, masks.astype(kind), folder)
    assert (region(clip, source) == masks).all()
    assert findings(clip, source) == []
    _save(clip, np.where(masks, 1, 0.25).astype(kind), folder)
    assert refused(clip, source).code == "G308"


@pytest.mark.parametrize("name", ["m.npy", "m.npz"])
def test_ids_saved_as_fractions(clip: ClipFolder, masks: np.ndarray, name: str) -> None:
    other = ~masks & np.roll(masks, 20, axis=-1)
    (np.save if name == "m.npy" else np.savez)(clip.root / name, masks * 1.0 + other * 2.0)
    finding = refused(clip, f'masks("{name}")')
    assert (finding.code, "0, 1 and 2" in finding.message) == ("G308", True)
    assert paste(clip.root, finding.cure) == "m_ids.npy"
    (option,) = re.findall(r"`(index \d+)`", finding.cure)
    assert (region(clip, f'masks("m_ids.npy", {option})') == masks).all()


def test_large_ids(clip: ClipFolder, masks: np.ndarray) -> None:
    other = ~masks & np.roll(masks, 20, axis=-1)
    np.save(clip.root / "m.npy", (masks * 70_000 + other * 2_000_000_000).astype(np.uint32))
    (source,) = cured('masks("m.npy")', refused(clip, 'masks("m.npy")'))
    assert source == 'masks("m.npy", index 70000)'
    assert (region(clip, source) == masks).all()
    assert (region(clip, 'masks("m.npy", index 2000000000)') == other).all()
    np.save(clip.root / "m.npy", masks.astype(np.uint8))
    assert refused(clip, 'masks("m.npy", index 70000)').code == "G307"


def _save(clip: ClipFolder, masks: np.ndarray, folder: bool) -> None:
    if not folder:
        np.save(clip.root / "m.npy", masks)
        return
    (clip.root / "m").mkdir(exist_ok=True)
    for number, mask in enumerate(masks):
        np.save(clip.root / "m" / f"{number:05}.npy", mask)
