"""Clips of the demo world: what happens in them, exact masks and flow, and clips on disk."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from grainspec_runtime.demo import clip_data, world
from grainspec_runtime.demo.clip_data import Clips, render_clips, visible_share
from grainspec_runtime.demo.clips import (
    CLIP_KINDS,
    FASTEST_SWING,
    ClipKind,
    ClipScene,
    Motion,
    random_clip,
    render_clip,
)
from grainspec_runtime.demo.motion import exact_flow
from grainspec_runtime.demo.world import Figure, Scene
from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.measures.warping import warp_error

SEEDS = range(24)


def shares(clip: ClipScene, size: int = 32) -> np.ndarray:
    """How much of each figure is visible: ``[figures, F]``."""
    masks = render_clip(clip, size, parts=False)[1]
    return np.array(
        [
            [visible_share(masks[f"figure{i}"][t], scene.figures[i]) for i in range(len(masks))]
            for t, scene in enumerate(clip.scenes())
        ]
    ).T


@pytest.mark.parametrize("kind", CLIP_KINDS)
def test_clips_follow_from_their_seed_and_move_slowly(kind: ClipKind) -> None:
    for seed in SEEDS:
        clip = random_clip(seed, (kind,))
        assert clip == random_clip(seed, (kind,))
        assert clip.kind == kind
        assert len(clip.scenes()) == 17
        assert all(motion.swing <= FASTEST_SWING for motion in clip.motions)
        assert abs(clip.pan) < 0.02  # what `advance` scrolls by
        for before, after in itertools.pairwise(clip.scenes()):
            for one, other in zip(before.figures, after.figures, strict=True):
                assert abs(other.x - one.x) < 0.05
                assert 0.83 < other.feet < 0.98


def test_motions_differ_within_a_clip_and_between_clips() -> None:
    clips = [random_clip(seed, figures=2) for seed in SEEDS]
    swings = [motion.swing for clip in clips for motion in clip.motions]
    assert len(set(swings)) > 30
    assert any(clip.pan == 0 for clip in clips)
    assert any(clip.pan > 0 for clip in clips)
    assert any(clip.pan < 0 for clip in clips)
    assert {clip.kind for clip in clips} == set(CLIP_KINDS)


@pytest.mark.parametrize(("kind", "hidden", "seen"), [("enter", 0, -1), ("leave", -1, 0)])
def test_a_figure_enters_or_leaves(kind: ClipKind, hidden: int, seen: int) -> None:
    for seed in range(6):
        visible = shares(random_clip(seed, (kind,), figures=2))
        figure = int(np.argmin(visible[:, hidden]))
        assert visible[figure, hidden] < 0.6
        assert visible[figure, seen] > 0.6


def test_one_figure_passes_before_another() -> None:
    for seed in range(8):
        clip = random_clip(seed, ("cross",), figures=2)
        apart = [first.x - second.x for first, second in (s.figures for s in clip.scenes())]
        assert min(apart) < 0 < max(apart)
        feet = [figure.feet for figure in clip.first.figures]
        front, behind = int(np.argmax(feet)), int(np.argmin(feet))
        visible = shares(clip)
        assert visible[front].min() > 0.75
        assert visible[behind].min() < 0.75


def test_figures_turn_round_and_walk_back() -> None:
    clip = ClipScene(
        Scene((Figure("cat", "red", x=0.4),)), (Motion(stride=0.01, turn=8),), frames=17
    )
    figures = [scene.figures[0] for scene in clip.scenes()]
    assert (figures[0].facing, figures[-1].facing) == (1, -1)
    places = [figure.x for figure in figures]
    assert places.index(max(places)) == 8
    assert min(abs(figure.facing) for figure in figures) >= 0.6
    widths = [mask.any(0).sum() for mask in render_clip(clip)[1]["figure0"]]
    assert widths[8] < 0.75 * widths[0]


def test_feet_of_one_who_keeps_up_with_the_camera_stay_in_place() -> None:
    clip = ClipScene(Scene((Figure("man", "red"),)), (Motion(stride=0.01),), pan=0.005)
    assert [round(scene.figures[0].x, 9) for scene in clip.scenes()] == [0.5] * 17
    assert clip.scene(16).scroll == pytest.approx(0.08)


@pytest.mark.parametrize("kind", CLIP_KINDS)
def test_the_exact_flow_holds_whatever_figures_do(kind: ClipKind) -> None:
    clip = random_clip(3, (kind,), figures=2)
    frames, scenes = render_clip(clip, parts=False)[0][4:12:2], clip.scenes()[4:12:2]
    flow = exact_flow(scenes)
    still = ClipFlow(np.zeros_like(flow.forward_PHW2), np.zeros_like(flow.backward_PHW2))
    carried, unmoved = warp_error(frames, flow), warp_error(frames, still)
    assert carried is not None
    assert unmoved is not None
    assert carried < 0.1 * unmoved
    assert flow.seen_before_PHW.mean() > 0.8


def test_the_exact_flow_of_a_figure_that_one_frame_lacks() -> None:
    with_it = Scene((Figure("bear", "red"),))
    without = replace(with_it, figures=())
    flow = exact_flow([with_it, without], 48)
    figure = render_clip(ClipScene(with_it, (Motion(),), frames=1), 48)[1]["figure0"][0]
    assert flow.seen_after_PHW[0][figure].mean() < 0.03  # pixels on its edge
    assert flow.seen_after_PHW[0][~figure].mean() > 0.93


def test_other_looks_move_alike() -> None:
    clip = random_clip(5, ("cross",), figures=2)
    looks = Scene((Figure("man", "red", hat=True), Figure("bear", "blue")), "mountains", "sand")
    target = clip.with_looks(looks)
    for source, edited in zip(clip.scenes(), target.scenes(), strict=True):
        assert (edited.background, edited.ground) == ("mountains", "sand")
        assert edited.scroll == source.scroll
        for before, after, worn in zip(source.figures, edited.figures, looks.figures, strict=True):
            assert (after.kind, after.colour, after.hat) == (worn.kind, worn.colour, worn.hat)
            same = replace(before, kind="", colour="", hat=False, sunglasses=False)
            assert same == replace(after, kind="", colour="", hat=False, sunglasses=False)


def test_rendering_resumes_and_refuses_other_settings(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    made = {"seed": 4, "size": 24, "frames": 3}
    clips = render_clips(folder, 150, **made)
    frames = np.array(clips.frames)
    assert frames.shape == (150, 3, 24, 24, 3)
    assert set(np.unique(clips.figures)) <= {0, 1, 2, 3}
    assert len(clips.captions) == 150
    (folder / "captions" / "000100.json").unlink()
    with pytest.raises(ValueError, match="lacks 1 chunks"):
        Clips.load(folder)
    np.load(folder / "frames.npy", mmap_mode="r+")[100:] = 0
    progress: list[tuple[int, int]] = []
    again = render_clips(folder, 150, **made, progress=lambda *done: progress.append(done))
    assert progress == [(100, 150), (150, 150)]
    assert np.array_equal(again.frames, frames)
    with pytest.raises(ValueError, match="other settings"):
        render_clips(folder, 150, seed=5, size=24, frames=3)


def test_rendered_clips_have_the_labels_of_their_scenes(tmp_path: Path) -> None:
    clips = render_clips(tmp_path / "clips", 4, seed=11, size=48, frames=5, workers=2)
    for index in range(4):
        clip = random_clip(11 + index, frames=5)
        frames, masks = render_clip(clip, 48)
        assert np.array_equal(clips.frames[index], frames)
        for number, figure in enumerate(clip.first.figures):
            labelled, mask = clips.figures[index] == number + 1, masks[f"figure{number}"]
            for other, before in enumerate(clip.first.figures):
                if before.feet > figure.feet:  # pixels that two figures share by halves
                    mask = mask & ~masks[f"figure{other}"]
            assert np.array_equal(labelled, mask)
            kind, colour, *_ = clips.attributes[index, number]
            assert world.KINDS[kind] == figure.kind
            assert tuple(world.COLOURS)[colour] == figure.colour
        assert world.GROUNDS[clips.places[index, 0]] == clip.first.ground
    hidden = np.isnan(clips.boxes[..., 0])
    assert (clips.visible[hidden] == 0).all()
    assert (clips.visible[~hidden] > 0).all()


def test_the_version_of_clips_is_part_of_their_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render_clips(tmp_path / "clips", 1, seed=0, size=16, frames=1)
    monkeypatch.setattr(clip_data, "VERSION", clip_data.VERSION + 1)
    with pytest.raises(ValueError, match="other settings"):
        render_clips(tmp_path / "clips", 1, seed=0, size=16, frames=1)
