"""Optical flow against clips whose every pixel's motion is known, and the paths along it."""

from __future__ import annotations

import builtins
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from moving import Motion, Moving, card, moving, translation, walk, zoom
from safetensors.torch import save_file

from grainspec import GrainError
from grainspec.model.spec import Flow
from grainspec_runtime.flow import guide
from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.flow.estimate import estimate_flow
from grainspec_runtime.flow.trajectories import Trajectories, trajectories
from grainspec_runtime.flow.warp import warped


def errors(clip: Moving, estimate: ClipFlow) -> np.ndarray:
    """Distance of the estimate from the true flow where the pixel is seen on both frames."""
    gaps = np.linalg.norm(estimate.forward_PHW2 - clip.flow.forward_PHW2, axis=-1)
    return gaps[clip.flow.seen_after_PHW]


@pytest.mark.parametrize(
    ("motion", "mean", "most"),
    [
        # measured: 0.014 and 0.03, 0.015 and 0.04, 0.029 and 0.09 px
        (translation(2.6, -1.3), 0.03, 0.08),
        (translation(9.5, 4.0), 0.03, 0.1),
        (zoom(1.03, 64), 0.06, 0.2),
    ],
    ids=["slow", "fast", "zoom"],
)
def test_dis_finds_a_textured_motion(motion: Motion, mean: float, most: float) -> None:
    clip = moving(motion)
    found = errors(clip, estimate_flow(clip.frames))
    assert found.mean() < mean
    assert np.percentile(found, 95) < most


def test_dis_finds_what_passes_and_what_it_hides() -> None:
    clip = card()
    estimate = estimate_flow(clip.frames)
    assert errors(clip, estimate).mean() < 0.07  # measured: 0.034 px
    hidden = ~clip.flow.seen_after_PHW
    assert hidden.sum() == 4 * 4 * 40  # a strip of 4 columns before the card, on 4 pairs
    assert (estimate.seen_after_PHW == ~hidden).mean() > 0.99
    assert (~estimate.seen_after_PHW)[hidden].mean() > 0.7


def test_dis_on_the_demo_worlds_flat_colours() -> None:
    """Where a surface has one colour its motion cannot be seen; on the figure it mostly can."""
    clip, masks = walk()
    estimate = estimate_flow(clip.frames)
    gaps = np.linalg.norm(estimate.forward_PHW2 - clip.flow.forward_PHW2, axis=-1)
    assert gaps[masks[:-1]].mean() < 0.4  # measured: 0.19 px of 3.84
    assert np.median(gaps[~masks[:-1]]) < 0.35  # measured: 0.18 px, dragged along by the figure
    assert gaps.mean() < 1.0  # measured: 0.53


def test_a_still_clip_does_not_move() -> None:
    flow = estimate_flow(moving(translation(0, 0)).frames)
    assert np.abs(flow.forward_PHW2).max() < 0.01
    assert flow.seen_after_PHW.all()
    assert flow.seen_before_PHW.all()


@pytest.mark.parametrize("size", [(16, 16), (33, 20), (24, 200)])
def test_small_and_odd_frames_have_a_flow(size: tuple[int, int]) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (2, *size, 3), np.uint8)
    flow = estimate_flow(frames)
    assert flow.size == size
    assert np.isfinite(flow.forward_PHW2).all()


def test_one_frame_has_no_pairs() -> None:
    flow = estimate_flow(np.zeros((1, 32, 32, 3), np.uint8))
    assert (flow.frames, flow.seen_after_PHW.shape) == (1, (0, 32, 32))
    assert trajectories(flow, (4, 4)).by_length_TL == ()


def test_progress_counts_pairs() -> None:
    told: list[tuple[int, int]] = []
    estimate_flow(np.zeros((3, 16, 16, 3), np.uint8), progress=lambda *done: told.append(done))
    assert told == [(1, 2), (2, 2)]


def test_true_flow_is_consistent_except_where_things_hide() -> None:
    clip = card(speed=4)
    hidden = ~clip.flow.seen_after_PHW[0]
    rows, columns = np.nonzero(hidden)
    assert (rows.min(), rows.max()) == (44, 83)
    assert (columns.min(), columns.max()) == (56, 59)  # what the card, at 16..55, comes to cover
    bared = ~clip.flow.seen_before_PHW[0]
    assert np.nonzero(bared)[1].tolist() == [16, 17, 18, 19] * 40
    leaving = moving(translation(3, 0)).flow.seen_after_PHW[0]
    assert leaving[:, :125].all()
    assert not leaving[:, 126:].any()


def test_warping_with_the_true_flow_gives_the_next_frame() -> None:
    clip = moving(translation(2.5, -1.25))
    carried = warped(clip.frames[0], clip.flow.backward_PHW2[0])
    gap = np.abs(carried - clip.frames[1])[clip.flow.seen_before_PHW[0]]
    assert gap.mean() < 1.3  # of 255 levels, measured: 0.88 by rounding and reading in between
    unmoved = np.abs(clip.frames[0].astype(float) - clip.frames[1])
    assert gap.mean() < unmoved.mean() / 15


# --- paths ---------------------------------------------------------------------------------------


def check_structure(found: Trajectories) -> None:
    """Every token is on one path; a path is one token a frame, on frames that follow each other."""
    tokens = found.tokens
    listed = [table.ravel() for table in found.by_length_TL]
    flat = np.concatenate(listed) if listed else np.zeros(0, int)
    assert len(np.unique(flat)) == len(flat)
    sizes = np.bincount(found.path_FN.ravel())
    assert len(flat) == sizes[sizes > 1].sum()
    for table in found.by_length_TL:
        frames = table // tokens
        assert (np.diff(frames, axis=1) == 1).all()
        names = found.path_FN.ravel()[table]
        assert (names == names[:, :1]).all()
        assert (sizes[names[:, 0]] == table.shape[1]).all()


@pytest.mark.parametrize(
    ("motion", "kept"),
    [
        (translation(0.9, 0.4), 0.95),
        (translation(-8, 16), 0.8),
        (zoom(1.03, 64), 0.85),
        (zoom(0.97, 64), 0.85),
    ],
    ids=["slow", "whole tokens", "in", "out"],
)
def test_a_path_stays_on_the_point_it_began_on(motion: Motion, kept: float) -> None:
    """At every frame, the true place of the point is on the token that the path says."""
    clip = moving(motion, frames=6)
    found = trajectories(clip.flow, (16, 16))
    check_structure(found)
    assert found.share_on_paths > kept
    cell = 128 / 16
    for table in found.by_length_TL:
        frame, token = np.divmod(table, found.tokens)
        places = np.stack([token % 16, token // 16], -1) * cell + cell / 2 - 0.5
        for path, when in zip(places, frame[:, 0], strict=True):
            for later, place in enumerate(path):
                true = motion(motion(path[0], -int(when)), int(when) + later)
                assert np.abs(true - place).max() <= cell / 2 + 0.05


def test_slow_motion_adds_up() -> None:
    """A tenth of a token a frame is a whole token after ten, though none of the steps is."""
    flow = np.zeros((20, 64, 64, 2), np.float32) + np.float32([0.8, 0])
    found = trajectories(ClipFlow(flow, -flow), (8, 8))
    (longest,) = (table for table in found.by_length_TL if table.shape[1] == 21)
    assert (longest[:, -1] % 8 - longest[:, 0] % 8 == 2).all()


def test_hiding_ends_a_path() -> None:
    clip = card(speed=8, frames=4)  # a token of 8 px a frame, over what stands
    found = trajectories(clip.flow, (16, 16))
    check_structure(found)
    ahead = 7 * 16 + 7  # at rows 56..63, columns 56..63: the card, at 16..55, covers it next
    on_card = 7 * 16 + 6
    names = found.path_FN
    assert names[0, ahead] not in names[1:]
    assert [np.flatnonzero(names[f] == names[0, on_card]).tolist() for f in range(4)] == [
        [on_card + f] for f in range(4)
    ]
    behind = 7 * 16 + 2  # bared on frame 1, and seen from then on
    assert names[1, behind] not in names[0]
    assert (names[1:, behind] == names[1, behind]).all()


def test_of_two_paths_on_one_token_the_older_goes_on() -> None:
    flow = np.zeros((2, 8, 24, 2), np.float32)
    flow[1, :, :8], flow[1, :, 16:] = (8, 0), (-8, 0)  # both sides move to the middle
    seen = ClipFlow(flow, -flow)
    seen.__dict__["seen_after_PHW"] = np.ones((2, 8, 24), bool)
    seen.seen_after_PHW[0, :, 8:16] = False  # the middle's own path is a frame younger
    found = trajectories(seen, (1, 3))
    check_structure(found)
    assert found.path_FN[1].tolist() == [0, 3, 2]
    assert found.path_FN[2, 1] in {0, 2}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 7), st.integers(1, 7))
def test_any_flow_gives_whole_paths(seed: int, pairs: int, h: int, w: int) -> None:
    rng = np.random.default_rng(seed)
    flow = rng.normal(0, rng.uniform(0, 10), (pairs, 20, 24, 2)).astype(np.float32)
    if seed % 3 == 0:
        flow[rng.random(flow.shape) < 0.05] = np.nan
    check_structure(trajectories(ClipFlow(flow, -flow), (h, w)))


def test_many_tokens_take_little_time() -> None:
    flow = np.zeros((15, 128, 128, 2), np.float32) + np.float32(0.3)
    clip = ClipFlow(flow, -flow)
    assert clip.seen_after_PHW.any()
    start = time.process_time()
    trajectories(clip, (64, 64))
    assert time.process_time() - start < 2  # measured: 0.02 s for 16 frames of 4096 tokens


# --- what can go wrong ---------------------------------------------------------------------------


def test_without_opencv_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "cv2")
    with pytest.raises(GrainError, match=r"G501.*OpenCV.*pip install opencv-python-headless"):
        estimate_flow(np.zeros((2, 16, 16, 3), np.uint8))


def test_without_torchvision_the_error_names_the_other_method(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without(monkeypatch, "torchvision")
    with pytest.raises(GrainError, match=r"G501.*torchvision.*`dis`"):
        estimate_flow(np.zeros((2, 16, 16, 3), np.uint8), "raft")


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)


@pytest.mark.parametrize("name", ["none.safetensors", "a" * 5000])
def test_weights_that_do_not_exist(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guide, "find_spec", lambda module: module)
    plan: Any = SimpleNamespace(levels=())
    flow = Flow(levels="all", method="raft", weights=name)
    with pytest.raises(GrainError, match=r"G502.*do not exist"):
        guide.check_flow(flow, Path(), plan)


class TestRaft:
    @pytest.fixture(autouse=True)
    def _torchvision(self) -> None:
        try:
            import torchvision.models.optical_flow  # noqa: F401
        except (ImportError, RuntimeError) as error:
            pytest.skip(f"torchvision is not there, or not for this torch: {error}")

    def test_weights_from_a_file_or_its_folder(self, tmp_path: Path) -> None:
        from torchvision.models.optical_flow import raft_small

        torch.manual_seed(0)
        network = raft_small()
        path = tmp_path / "raft.safetensors"
        save_file(network.state_dict(), path)
        frames = moving(translation(2, 1), frames=2, size=100).frames
        flow = estimate_flow(frames, "raft", weights=path, device="cpu")
        assert flow.size == (100, 100)
        # random weights know no motion, but it is the very network that answers
        pair = [
            torch.from_numpy(np.pad(frame, ((0, 28), (0, 28), (0, 0)), "edge"))
            .permute(2, 0, 1)[None]
            .float()
            / 127.5
            - 1
            for frame in frames
        ]
        with torch.inference_mode():
            wanted = network.eval()(*pair)[-1][0, :, :100, :100].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(flow.forward_PHW2[0], wanted, atol=1e-4)
        again = estimate_flow(frames, "raft", weights=tmp_path, device="cpu")
        np.testing.assert_array_equal(again.forward_PHW2, flow.forward_PHW2)

    def test_weights_that_are_none(self, tmp_path: Path) -> None:
        frames = np.zeros((2, 128, 128, 3), np.uint8)
        broken, other = tmp_path / "broken.safetensors", tmp_path / "other.safetensors"
        broken.write_bytes(b"no weights")
        save_file({"weight": torch.zeros(2)}, other)
        for path in (
            tmp_path / "nowhere.safetensors",
            tmp_path / ("a" * 5000),
            tmp_path,
            broken,
            other,
        ):
            with pytest.raises(GrainError, match=r"G502.*RAFT|G502.*safetensors"):
                estimate_flow(frames, "raft", weights=path)

    def test_no_network(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

        def refuse(*args: object, **kwargs: object) -> None:
            raise OSError("there is no network")

        monkeypatch.setattr("torch.hub.urlopen", refuse)
        with pytest.raises(GrainError, match=r"G503.*no network.*`dis`"):
            estimate_flow(np.zeros((2, 128, 128, 3), np.uint8), "raft")
