"""The gallery of a benchmark: worst edits first, clips that move, frames that stand still."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from chromium import chromium, opened
from PIL import Image

from grainspec_runtime.bench.cases import make_case
from grainspec_runtime.bench.clip_cases import make_clip_case
from grainspec_runtime.bench.methods import METHODS
from grainspec_runtime.bench.page import gallery, write_gallery_stills
from grainspec_runtime.bench.run import _facts, file_name, save_clip
from grainspec_runtime.bench.summary import MEASURES, Result
from grainspec_runtime.demo.clips import render_clip

CHOSEN = tuple(method for method in METHODS if method.name in ("ours", "no modulation"))
SHARES = {"ours": (1.0, 0.25, 0.5), "no modulation": (0.0, 1.0, 0.0)}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a benchmark of three cases, in which moving clips stand in for edits."""
    folder = tmp_path_factory.mktemp("bench")
    results: list[Result] = []
    for index in range(3):
        case = make_clip_case(index, "held-out")
        scores = {
            name: dict.fromkeys((key for key, _, _ in MEASURES[1:]), 0.5) | {"right": shares[index]}
            for name, shares in SHARES.items()
        }
        results.append({**_facts(case), "scores": scores})
        assert case.motion is not None
        frames, _ = render_clip(case.motion, parts=False)
        clips = folder / "clips" / case.name
        clips.mkdir(parents=True)
        for name in ("source", "target", *(file_name(method.name) for method in CHOSEN)):
            save_clip(frames, clips / f"{name}.webp")
    write_gallery_stills(folder, results, CHOSEN)
    page = gallery(results, CHOSEN, split="held-out", steps=20, model="demo-video")
    (folder / "index.html").write_text(page, encoding="utf-8")
    return folder


def test_a_case_says_in_words_what_is_asked() -> None:
    assert make_clip_case(0, "held-out").asked == [
        "blue bear → orange robot",
        "purple bear → green man",
        "green bear → brown penguin",
    ]
    place = make_clip_case(4, "held-out").asked
    assert "road → snow" in place
    assert "yellow bear stays" in place
    assert all(make_case(index, "tuning").asked for index in range(6))


def test_stills_are_five_frames_and_made_anew_with_their_clip(bench: Path) -> None:
    clip = next((bench / "clips").iterdir()) / "ours.webp"
    stills = clip.with_name("ours.stills.webp")
    with Image.open(stills) as picture, Image.open(clip) as moving:
        assert picture.size == (5 * 96 + 4 * 4, 96)
        assert moving.n_frames == 17
        last = np.asarray(picture.convert("RGB"), np.int16)[:, -96:]
        moving.seek(16)
        assert np.abs(last - np.asarray(moving.convert("RGB"))).mean() < 8
    before = stills.stat().st_mtime_ns
    results = [{"name": clip.parent.name}, {"name": "of which no clip exists"}]
    write_gallery_stills(bench, results, CHOSEN)
    assert stills.stat().st_mtime_ns == before
    os.utime(clip, ns=(before + 10**9, before + 10**9))
    write_gallery_stills(bench, results, CHOSEN)
    assert stills.stat().st_mtime_ns != before


@pytest.mark.skipif(chromium() is None, reason="no Chromium is installed")
def test_a_browser_shows_the_gallery(bench: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "profile") as page:
        page.open(bench / "index.html")
        page.run("""Promise.all([
            ...[...document.querySelectorAll("details")].map((one) => (one.open = true)),
            ...[...document.images].map((one) => { one.loading = "eager"; return one.decode(); }),
        ])""")
        widths = page.run("[...document.images].map((one) => one.naturalWidth)")
        assert sorted(set(widths)) == [96, 496]
        assert len(widths) == 3 * 4 * 2
        shown = """[...document.querySelectorAll(".case")].filter((one) => one.offsetHeight)
            .map((one) => one.className.replace("case of-", ""))"""
        assert page.run(shown) == ["class is-wrong", "part is-wrong", "instance is-right"]
        page.run('document.querySelector("#only-wrong").click()')
        assert page.run(shown) == ["class is-wrong", "part is-wrong"]
        page.run('document.querySelector("#grain-part").click()')
        assert page.run(shown) == ["part is-wrong"]
        page.run("document.querySelector('.is-wrong.of-part .clips').scrollIntoView()")
        pictures = {page.picture(1000, 700)}
        for _ in range(20):
            time.sleep(0.1)
            pictures.add(page.picture(1000, 700))
        assert len(pictures) > 2, "the clips do not move"
        refused = [f["type"] for f in page.of("Network.loadingFailed")]
        assert refused == []
        errors = [e["entry"]["text"] for e in page.of("Log.entryAdded")]
        assert errors == []
