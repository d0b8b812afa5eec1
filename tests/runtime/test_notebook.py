"""The runtime's part of notebooks, and a spec where one is wanted."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import EXAMPLES
from PIL import Image

import grainspec
import grainspec_runtime
from grainspec import Builder, GrainError
from grainspec.diagnostics import Diagnostic
from grainspec.model.spec import Size
from grainspec_runtime.editing.editor import Editor, EditResult
from grainspec_runtime.media.times import FrameTimes
from grainspec_runtime.notebook import MAX_BYTES, MAX_FRAMES, MAX_SIDE, animation
from grainspec_runtime.prepare import prepare, prepare_variants
from grainspec_runtime.views.regions import region_sheet


def test_dir_shows_exactly_what_there_is() -> None:
    shown = [name for name in dir(grainspec_runtime) if not name.startswith("__")]
    assert shown == grainspec_runtime.__all__ == ["Editor", "modulated_attention", "plan_applied"]
    for name in shown:
        assert name in str(grainspec_runtime.__doc__)
        assert callable(getattr(grainspec_runtime, name))
    with pytest.raises(AttributeError, match="'Editr'"):
        grainspec_runtime.Editr  # noqa: B018


def test_a_forgotten_build_says_so() -> None:
    unbuilt: Any = Builder("c.mp4").target("a bear")
    uses = {
        "Editor.run": lambda: Editor().run(unbuilt),
        "prepare": lambda: prepare(unbuilt, Path()),
        "prepare_variants": lambda: prepare_variants(unbuilt, ["one"], Path()),
    }
    for name, use in uses.items():
        with pytest.raises(
            GrainError, match=rf"G202: `{name}` expects an EditSpec.*\.build\(\)"
        ) as raised:
            use()
        span = raised.value.diagnostics[0].span
        assert span is not None
        assert span.path == __file__


def clips(frames: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(0).integers(0, 255, (frames, height, width, 3), np.uint8)
    return source, source[..., ::-1].copy()


def shown(page: str) -> Image.Image:
    (data,) = re.findall(r'src="data:image/webp;base64,([^"]+)"', page)
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_result_is_the_clip_before_and_after() -> None:
    spec = grainspec.load(EXAMPLES / "instance.grain")
    prepared = prepare(spec, EXAMPLES)
    source, edited = clips(8, 96, 96)
    doubt = Diagnostic("G312", "`a` and <b> overlap", "Both act there.")
    result = EditResult(
        prepared,
        source,
        edited,
        FrameTimes.even(8, 8),
        {"sample": 2.5},
        False,
        (doubt,),
        "cpu",
        "float32",
        "",
        "",
        {},
    )
    page = result._repr_html_()
    assert (shown(page).n_frames, shown(page).size) == (8, (2 * 192 + 4, 192))
    assert "warning[G312]" in page
    assert "&lt;b&gt; overlap" in page
    assert "8 frames of 96×96" in page
    assert "<script" not in page
    hostile = replace(prepared, spec=spec.replaced({}, target="<script>"))
    assert "<script" not in replace(result, prepared=hostile)._repr_html_()


@pytest.mark.parametrize(
    "size", [(1, 8, 8), (3, 96, 40), (50, 64, 64), (7, 300, 900), (60, 512, 512)]
)
def test_an_animation_is_small(size: tuple[int, int, int]) -> None:
    data, width = animation(*clips(*size), fps=10)
    picture = Image.open(io.BytesIO(data))
    assert len(data) <= MAX_BYTES
    assert picture.width == width <= 2 * MAX_SIDE
    assert picture.height <= MAX_SIDE
    assert 1 <= picture.n_frames <= MAX_FRAMES


def test_the_regions_of_an_example_on_its_frames() -> None:
    spec = grainspec.load(EXAMPLES / "instance.grain")
    assert region_sheet(spec, EXAMPLES).size == region_sheet(spec, EXAMPLES, columns=4).size
    assert region_sheet(spec, EXAMPLES, columns=1).width < 300
    large = spec.replaced({}, video=spec.video.replaced({}, size=Size(width=512, height=512)))
    assert region_sheet(large, EXAMPLES).width < 900
    assert region_sheet(grainspec.load(EXAMPLES / "variants.grain"), EXAMPLES).width > 300


def test_no_regions_without_the_clip(tmp_path: Path) -> None:
    with pytest.raises(GrainError, match="G301"):
        region_sheet(grainspec.load(EXAMPLES / "instance.grain"), tmp_path)
