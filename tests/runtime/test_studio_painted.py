"""Masks that are painted on the page: each stroke is kept, and nothing else is lost."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette")

from studio import Page, copied_examples, listing, mask_png, opened


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with opened(copied_examples(tmp_path / "edits"), "instance.grain") as page:
        yield page


def png(columns: int = 192) -> str:
    """A mask of the first columns of the frame."""
    file = BytesIO()
    mask = np.where(np.arange(192) < columns, 255, 0).astype(np.uint8)
    Image.fromarray(np.tile(mask, (192, 1))).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def painted(page: Page, columns: int, region: str = "hat", frame: int = 2, **more: str) -> Path:
    stored = page.post("masks", 201, region=region, frame=frame, png=png(columns), **more)
    assert stored["text"] == f'masks("{stored["path"]}")'
    return page.folder / stored["path"]


def columns_of(path: Path) -> int:
    return int((np.asarray(Image.open(path)) == 255).all(0).sum())


def test_no_stroke_replaces_an_earlier_one(page: Page) -> None:
    strokes = [painted(page, columns) for columns in (10, 20, 30)]
    assert [path.name for path in strokes] == ["00002.png", "00002-2.png", "00002-3.png"]
    assert [columns_of(path) for path in strokes] == [10, 20, 30]
    assert not [path for path in strokes[0].parent.iterdir() if path.name.startswith(".")]


def test_a_stroke_in_masks_of_all_frames_changes_that_frame_alone(page: Page) -> None:
    text = page.text
    before = {path.name: path.read_bytes() for path in masks_of(page, "masks/two_men/left")}
    repaired = painted(page, 20, "left", 3, text=text)
    assert repaired.relative_to(page.folder).as_posix() == "masks/painted/instance/left/frames"
    after = {path.name: path.read_bytes() for path in repaired.iterdir()}
    assert sorted(after) == sorted(before)
    assert columns_of(repaired / "00003.png") == 20
    assert {name for name in before if before[name] != after[name]} == {"00003.png"}
    assert {path.name: path.read_bytes() for path in masks_of(page, "masks/two_men/left")} == before

    text = text.replace("masks/two_men/left", "masks/painted/instance/left/frames")
    again = painted(page, 30, "left", 4, text=text)
    assert again.name == "frames-2"
    assert [columns_of(again / f"0000{n}.png") for n in (3, 4)] == [20, 30]
    assert (repaired / "00004.png").read_bytes() == before["00004.png"]
    shown = page.post(
        "regions", text=text.replace("left/frames", "left/frames-2"), frame=4, variant=None
    )
    assert {finding["code"] for finding in shown["findings"]} <= {"G341"}
    assert shown["mask"]
    carved, whole = (
        np.asarray(
            Image.open(BytesIO(page.get(f"masks/{shown['mask']}/left/4{of}"))).convert("RGBA")
        )
        for of in ("", "?of=region")
    )
    assert (whole[..., 3] > 0).mean() == pytest.approx(30 / 192, abs=0.01)
    assert 0 < (carved[..., 3] > 0).mean() < 30 / 192 - 0.03  # other regions have their part


def masks_of(page: Page, folder: str) -> list[Path]:
    return sorted((page.folder / folder).glob("*.png"))


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ('masks("masks/two_men/left", invert)', "plain images"),
        ('masks("masks/grey")', "black and white"),
        ('masks("masks/small")', "size of the clip"),
    ],
)
def test_masks_that_one_frame_cannot_join_are_refused(page: Page, call: str, why: str) -> None:
    for name, value, side in (("grey", 100, 192), ("small", 255, 96)):
        (page.folder / "masks" / name).mkdir()
        for frame in range(8):
            image = Image.new("L", (side, side), value)
            image.save(page.folder / "masks" / name / f"{frame:05}.png")
    text = page.text.replace('masks("masks/two_men/left")', call)
    refused = page.post("masks", 422, region="left", frame=3, png=png(), text=text)
    assert (refused["code"], why in refused["message"]) == ("G731", True)
    assert refused["cure"]
    assert not (page.folder / "masks" / "painted").exists()


def test_a_region_of_the_unsaved_text_is_meant(page: Page) -> None:
    text = page.text.replace('masks("masks/two_men/left")', "track(point(30%, 55%) @ 0)")
    assert painted(page, 20, "left", 3, text=text).name == "00003.png"


def test_no_stroke_is_deleted_when_the_studio_starts(page: Page) -> None:
    strokes = [painted(page, columns) for columns in (10, 20, 30)]
    painted(page, 20, "left", 3, text=page.text)
    for path in (page.folder / "masks" / "painted").rglob("*"):
        os.utime(path, (time.time() - 90_000,) * 2)
    before = listing(page.folder)
    with opened(page.folder, "instance.grain") as again:
        assert again.get("spec")["path"] == "instance.grain"
    assert listing(page.folder) == before
    assert [columns_of(path) for path in strokes] == [10, 20, 30]


def test_a_painted_mask_is_stored_for_the_text_to_name(page: Page) -> None:
    picture = Image.new("RGBA", (96, 96), (255, 255, 255, 0))
    picture.paste((255, 255, 255, 255), (0, 0, 48, 96))
    file = BytesIO()
    picture.save(file, "PNG")
    stored = page.post(
        "masks", 201, region="left", frame=2, png=base64.b64encode(file.getvalue()).decode()
    )
    assert stored["path"] == "masks/painted/instance/left/00002.png"
    mask = np.asarray(Image.open(page.folder / stored["path"]))
    assert mask.shape == (192, 192)
    assert (mask == np.where(np.arange(192) < 96, 255, 0)).all()
    text = page.text.replace('masks("masks/two_men/left")', f"track({stored['text']} @ 2)")
    assert page.post("regions", text=text, frame=2)["findings"][0]["code"] == "G354"


@pytest.mark.parametrize(
    "region", ["", "..", "a/b", "../../x", "a\0", "a b", "-x", ".x", "x" * 200]
)
def test_no_name_of_a_region_leads_elsewhere(page: Page, region: str) -> None:
    before = listing(page.folder.parent)
    answer = page.client.post("/api/masks", json={"region": region, "frame": 0, "png": mask_png()})
    assert answer.status_code == 400
    assert listing(page.folder.parent) == before


def bomb() -> str:
    """A small PNG that states 40,000 x 40,000 pixels."""
    content = bytearray(base64.b64decode(mask_png((8, 8))))
    content[16:24] = (40_000).to_bytes(4, "big") * 2
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    "picture",
    [
        mask_png(value=0),
        "",
        "x",
        "éé",
        base64.b64encode(b"GIF89a").decode(),
        bomb(),
        mask_png()[:200],
    ],
)
def test_pictures_that_are_no_mask_are_refused(page: Page, picture: str) -> None:
    answer = page.client.post("/api/masks", json={"region": "left", "frame": 0, "png": picture})
    assert (answer.status_code, answer.json()["code"]) == (400, "G724")
    assert not (page.folder / "masks" / "painted").exists()


def test_masks_are_not_painted_through_a_link(page: Page, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (page.folder / "masks" / "painted").symlink_to(secret)
    before = listing(secret)
    assert page.post("masks", 403, region="left", frame=0, png=mask_png())["code"] == "G723"
    assert listing(secret) == before
