"""The measures of VideoGrain's and MIVE's tables on cases, and what an edit costs."""

from __future__ import annotations

import gc
import time

import numpy as np
import pytest
import torch

from grainspec_runtime.bench.clip_cases import make_clip_case
from grainspec_runtime.bench.clips import RenderedCase
from grainspec_runtime.bench.cost import measured_cost
from grainspec_runtime.bench.paper_measures import MeasuredClip, measured_case
from grainspec_runtime.bench.summary import PAPER_MEASURES
from grainspec_runtime.measures.warping import warp_error

GRID = 4


class ByColour:
    """A stand-in for CLIP: frames by their mean colour, captions by the colours that they name."""

    grid = GRID

    def of_frames(self, frames: np.ndarray) -> np.ndarray:
        return np.asarray(frames.reshape(len(frames), -1, 3).mean(1) + 1, np.float32)

    def of_text(self, text: str) -> np.ndarray:
        from grainspec_runtime.demo.world import COLOURS

        named = [COLOURS[word] for word in text.split() if word in COLOURS]
        return np.asarray(np.mean(named, 0), np.float32)

    def patch_features(self, frames: np.ndarray) -> list[np.ndarray]:
        side = frames.shape[1] // GRID
        cells = frames.reshape(len(frames), GRID, side, GRID, side, 3).mean((2, 4)) + 1
        cells = cells.reshape(len(frames), -1, 3)
        return [cells / np.linalg.norm(cells, axis=-1, keepdims=True)]


@pytest.fixture(scope="module")
def rendered() -> RenderedCase:
    return RenderedCase(make_clip_case(0, "held-out"))


@pytest.fixture(scope="module")
def clip(rendered: RenderedCase) -> MeasuredClip:
    kept = np.zeros(rendered.source[0].shape[:3], bool)
    kept[:, :20] = True
    return measured_case(rendered, kept, rendered.case.spec.build().target)


def test_every_measure_has_a_value(rendered: RenderedCase, clip: MeasuredClip) -> None:
    values = clip.values(rendered.target[0], ByColour())  # type: ignore[arg-type]
    assert set(values) == {key for key, _, _ in PAPER_MEASURES} - {"gpu", "ram", "total"}
    assert None not in values.values()
    assert values["q_edit"] == pytest.approx(values["clip_t"] / values["warp_flow"], rel=1e-3)  # type: ignore[operator]
    without = clip.values(rendered.target[0], None)
    assert without["clip_t"] is without["cross_instance"] is without["q_edit"] is None
    assert without["warp_flow"] == values["warp_flow"]


def test_the_exact_target_is_better_than_the_source(
    rendered: RenderedCase, clip: MeasuredClip
) -> None:
    target = clip.values(rendered.target[0], ByColour())  # type: ignore[arg-type]
    source = clip.values(rendered.source[0], ByColour())  # type: ignore[arg-type]
    assert target["local"] > source["local"]  # type: ignore[operator]
    assert target["cross_instance"] > source["cross_instance"]  # type: ignore[operator]
    assert (source["psnr"], source["ssim"], source["distance"]) == (99, 1, 0)
    assert source["warp_source"] < 0.5 * warp_error(rendered.source[0], clip.flow)  # type: ignore[operator,arg-type]


def test_what_is_undefined_has_no_value(
    rendered: RenderedCase, clip: MeasuredClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only identical pixels have 99 dB."""
    module = "grainspec_runtime.bench.paper_measures."
    monkeypatch.setattr(module + "warp_error", lambda *_: float("nan"))
    monkeypatch.setattr(module + "ssim", lambda *_: -float("inf"))
    values = clip.values(rendered.source[0], None)
    assert (values["warp_flow"], values["warp_source"], values["ssim"]) == (None, None, None)
    assert values["psnr"] == 99
    monkeypatch.setattr(module + "psnr", lambda *_: -float("inf"))
    assert clip.values(rendered.source[0], None)["psnr"] is None


def test_figures_count_where_enough_of_them_is_seen(
    rendered: RenderedCase, clip: MeasuredClip
) -> None:
    for number, instance in enumerate(clip.instances):
        shown = instance.mask_FHW.any((1, 2))
        assert np.array_equal(shown, rendered.visible[number])
    assert [one.caption for one in clip.instances] == rendered.case.figure_words


def test_the_cost_of_a_block_is_its_own_time_and_memory() -> None:
    def used(mib: int) -> float:
        with measured_cost(torch.device("cpu")) as cost:
            block = np.ones(mib * 2**20, np.uint8)
            time.sleep(0.02)
        assert block.any()
        del block
        gc.collect()
        assert cost.seconds >= 0.02
        assert cost.gpu is None
        if cost.ram is None:
            pytest.skip("this system does not count a process's memory anew")
        return cost.ram

    used(1)
    large, small = used(300), used(1)
    assert large - small == pytest.approx(299, abs=40)  # a later block does not have it
