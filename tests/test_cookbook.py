"""The cookbook's edits are parsed, formatted, bound and compiled unchanged, on a drawn clip."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from clips import ROOT
from PIL import Image
from tracked import write_tracked

from grainspec import EditSpec, bind, compile, dumps, from_json, parse_all, to_json
from grainspec.model.expressions import MaskFiles, walk
from grainspec.testing import word_backbone
from grainspec.text.format import format_text
from grainspec_runtime.media.encode import encode_video

PAGE = (ROOT / "grammar" / "cookbook.md").read_text(encoding="utf-8")
EDITS = dict(re.findall(r"^## (\d+\. .+?)\n.*?```grain\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))
MORE = re.findall(r"If the spec has the edits already.*?```grain\n(.*?)```", PAGE, re.DOTALL)
CLICKS = re.findall(
    r"^## Any of these without.*?```grain\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE
)
SPECS = {
    **EDITS,
    **{f"{index + 11}. variants": text for index, text in enumerate(MORE)},
    **{f"{index + 12}. clicks": text for index, text in enumerate(CLICKS)},
}

SIDE, FRAMES = 64, 48
BOXES = {
    "left_man": (6, 6, 28, 60),
    "right_man": (36, 6, 60, 60),
    "grass": (0, 60, 64, 64),
    "boxer": (18, 6, 50, 60),
    "gloves": (22, 28, 32, 36),
    "man": (20, 6, 44, 60),
    "shirt": (24, 20, 40, 40),
    "front_car": (6, 24, 30, 50),
    "back_car": (34, 20, 60, 44),
    "ball": (38, 30, 48, 42),
    "player": (20, 10, 44, 54),
    "court": (0, 54, 64, 64),
    "wolf": (10, 20, 52, 56),
}
PARTS = {1: (10, 10, 28, 26), 2: (24, 24, 54, 54)}
"""The values of one annotation of a cat: its head, its body."""


def drawn(box: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    x0, y0, x1, y1 = box
    mask[y0:y1, x0:x1] = 255
    return mask


def labels_of(names: Sequence[str], frames: int) -> np.ndarray:
    """What a tracker makes of these things, uint8 ``[F, H, W]``."""
    labels = np.zeros((frames, SIDE, SIDE), np.uint8)
    for number, name in enumerate(names, start=1):
        labels[:, drawn(BOXES[name]) > 0] = number
    return labels


def draw_masks(source: MaskFiles, root: Path) -> None:
    """The masks that a source names, one a frame, as its options want them."""
    place = root / source.path
    if source.index is not None:
        picture = np.zeros((SIDE, SIDE), np.uint8)
        for value, box in PARTS.items():
            picture[drawn(box) > 0] = value
    else:
        picture = drawn(BOXES[re.sub(r"(_\*)?\.\w+$", "", place.name)])
    picture = 255 - picture if source.invert else picture
    if place.suffix == ".mp4":
        place.parent.mkdir(exist_ok=True)
        encode_video(np.repeat(picture[None, :, :, None], 3, 3).repeat(FRAMES, 0), place, fps=8)
        return
    name = f"{place.stem.removesuffix('*')}" if "*" in place.name else ""
    folder = place.parent if "*" in place.name else place
    folder.mkdir(parents=True, exist_ok=True)
    for frame in range(FRAMES):
        Image.fromarray(picture).save(folder / f"{name}{frame + source.first:05}.png")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cookbook")
    clip = root / "clip.mp4"
    rng = np.random.default_rng(0)
    encode_video(rng.integers(0, 255, (FRAMES, SIDE, SIDE, 3), dtype=np.uint8), clip, fps=8)
    for text in SPECS.values():
        spec = parse_all(text).spec
        assert spec is not None
        (root / spec.video.path).parent.mkdir(exist_ok=True)
        (root / spec.video.path).write_bytes(clip.read_bytes())
        for region in spec.regions:
            for source in walk(region.expression):
                if isinstance(source, MaskFiles):
                    draw_masks(source, root)
        if text in CLICKS:
            write_tracked(spec, root, labels_of(("left_man", "right_man"), 32))
    return root


def edits_of(spec: EditSpec) -> Iterator[EditSpec]:
    if spec.changes:
        yield spec.without_variants()
    for name in spec.variant_names:
        yield spec.as_variant(name)


def test_there_are_ten() -> None:
    assert len(EDITS) == 10
    assert len(MORE) == 1
    assert len(CLICKS) == 1


@pytest.mark.parametrize("name", SPECS)
def test_it_reads_without_a_finding_and_goes_through_every_door(name: str) -> None:
    parsed = parse_all(SPECS[name])
    assert parsed.diagnostics == ()
    assert parsed.spec is not None
    assert format_text(SPECS[name]) == SPECS[name]
    assert parse_all(dumps(parsed.spec)).spec == parsed.spec
    assert from_json(to_json(parsed.spec)) == parsed.spec


@pytest.mark.parametrize("name", SPECS)
def test_it_binds_and_compiles(name: str, place: Path) -> None:
    spec = parse_all(SPECS[name]).spec
    assert spec is not None
    edits = list(edits_of(spec))
    for edit in edits:
        bound = bind(edit, base=place)
        assert bound.warnings == ()
        plan = compile(edit, bound.edits, word_backbone())
        assert [found.region for found in plan.edits] == [claim.region for claim in edit.claims]
        words = re.findall(r"\w+", edit.target)
        for planned in plan.edits[: len(edit.changes)]:
            for tokens in planned.tokens:
                assert " ".join(words[token - 1] for token in tokens) == planned.phrase
        for planned in plan.edits:
            assert bound.edits.mask(planned.region).any(axis=(1, 2)).all()
