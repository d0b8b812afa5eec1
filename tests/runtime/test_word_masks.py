"""Masks of where words are attended to, and blending of latents by them.

Dimensions: F frames, h rows and w columns.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from grainspec.plan.windows import FrameWindow
from grainspec_runtime.modulation.attention_maps import MapAttention, MapSettings
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.modulation.layers import AttentionLayer
from grainspec_runtime.modulation.windowed import WindowedAttention
from grainspec_runtime.processes.methods.word_masks import LocalBlend, SourceWordMask, word_mask
from grainspec_runtime.processes.sample import SolverStep

LAYER = AttentionLayer("attn2", 2, "cross")
GRIDS = {0: (8, 8), 1: (8, 8), 2: (4, 4)}
STEPS, WORD, T = 5, 1, 3
SETTINGS = MapSettings(torch.eye(T), torch.ones(T), 1.0, 1.0, source_words=(WORD,), words=(WORD,))


def spot(*places: tuple[int, int], size: int = 4, frames: int = 1) -> Tensor:
    """Maps with 1 at these rows and columns, and a little elsewhere."""
    maps = torch.full((frames, size, size), 0.05)
    for row, column in places:
        maps[:, row, column] = 1
    return maps


def test_a_mask_is_what_exceeds_a_share_of_the_frames_maximum() -> None:
    maps = torch.zeros(2, 5, 5)
    maps[0, 0, 0], maps[0, 4, 4], maps[1, 2, 2] = 1.0, 0.29, 0.001
    mask = word_mask(maps, 0.3, (5, 5))
    assert mask[0].nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]  # and its neighbours
    assert mask[1].sum() == 9  # each frame by its own maximum
    assert word_mask(maps, 0.28, (5, 5))[0, 4, 4]
    assert not word_mask(maps, 1.0, (5, 5)).any()
    assert not word_mask(torch.zeros(1, 5, 5), 0.3, (5, 5)).any()


def test_a_mask_is_resized_to_the_latents() -> None:
    mask = word_mask(spot((0, 0)), 0.3, (8, 8))
    assert mask[0, :4, :4].all()
    assert mask.sum() == 16


class Maps(MapAttention):
    """Attention that is said to have read these maps of the words, source and edit."""

    def __init__(self, source: Tensor | None, edit: Tensor) -> None:
        super().__init__(FoldedAttention(len(edit)), SETTINGS)
        for maps, read in ((source, self.source_maps), (edit, self.maps)):
            if maps is not None:
                shares = torch.zeros(len(maps), 2, maps[0].numel(), T)
                shares[..., WORD] = maps.flatten(1)[:, None]
                read.add(LAYER, shares, [WORD])


def blend(attention: Any, frames: int = 1, **settings: Any) -> LocalBlend:
    trajectory = torch.arange(STEPS + 1.0).view(-1, 1, 1, 1, 1).expand(-1, frames, 4, 8, 8)
    return LocalBlend(attention, trajectory, GRIDS, **{"share": 0.3, "start": 0.0} | settings)


def edited(step: int, frames: int = 1) -> SolverStep:
    x = torch.full((frames, 4, 8, 8), 9.0)
    return SolverStep(step, torch.tensor(0), before_Fchw=x, output_Fchw=x, after_Fchw=x)


def test_only_where_a_prompt_attends_to_its_words_the_latents_are_the_edits() -> None:
    made = blend(Maps(spot((0, 0)), spot((3, 3))))
    x = made(edited(1))
    expected = torch.full((8, 8), float(STEPS - 2))  # the source's latents after this step
    expected[:4, :4] = expected[4:, 4:] = 9
    assert torch.equal(x[0, 0], expected)


def test_words_without_counterpart_are_masked_by_the_edit_alone() -> None:
    x = blend(Maps(None, spot((3, 3))))(edited(0))
    assert (x[0, 0] == 9).sum() == 16


def test_maps_are_averaged_over_steps() -> None:
    """What is attended to in one step is less and less of the maximum in the next: 0.296 after 5."""
    attention = Maps(spot((0, 0)), spot((0, 0)))
    made = blend(attention)
    made(edited(0))
    for step in (1, 2, 3, 4):
        attention.source_maps = attention.maps = Maps(None, spot((3, 3))).maps
        x = made(edited(step))
        assert bool(x[0, 0, 0, 0] == 9) == (step < 4), step
        assert x[0, 0, 7, 7] == 9


def test_a_blend_begins_and_ends_with_its_share_of_the_steps() -> None:
    made = blend(Maps(spot((0, 0)), spot((0, 0))), start=0.2, until=0.8)
    kept = [step for step in range(STEPS) if made(edited(step))[0, 0, 7, 7] != 9]
    assert kept == [1, 2, 3]


def test_a_region_takes_the_place_of_the_words() -> None:
    region = torch.zeros(1, 1, 8, 8)
    region[..., :3] = 1
    made = blend(Maps(None, spot((3, 3))), region_F1hw=region)
    x = made(edited(0))
    assert torch.equal(x == 9, region.bool().expand_as(x))
    assert made.state() == {}


def test_a_blend_is_restored_from_its_state() -> None:
    attention = Maps(spot((0, 0)), spot((0, 0)))
    made, again = blend(attention), blend(attention)
    made(edited(0))
    again.restore(made.state())
    attention.source_maps = attention.maps = Maps(None, spot((3, 3))).maps
    assert torch.equal(*(it(edited(1)) for it in (made, again)))
    with pytest.raises(KeyError):
        again.restore({})


def test_maps_of_windows_are_averaged_by_their_weights() -> None:
    windows = (FrameWindow((0, 1), (1.0, 0.25)), FrameWindow((1, 2), (0.75, 1.0)))
    maps = {windows[0]: spot((0, 0), frames=2), windows[1]: spot((3, 3), frames=2)}
    attention = WindowedAttention(windows, lambda window: Maps(None, maps[window]))
    for share, corners in ((0.3, [(1, 0), (1, 1), (0, 1)]), (0.5, [(1, 0), (0, 1), (0, 1)])):
        x = blend(attention, frames=3, share=share)(edited(0, 3))
        found = [(int(frame[0, 0, 0] == 9), int(frame[0, 7, 7] == 9)) for frame in x]
        assert found == corners


def test_the_mask_of_self_attention_is_the_sources() -> None:
    mask = SourceWordMask(Maps(spot((0, 0)), spot((3, 3))), GRIDS, 0.3)
    layer = AttentionLayer("attn1", 1, "self")
    found = mask(layer, 64)
    assert found is not None
    assert found.view(8, 8)[:4, :4].all()
    assert found.sum() == 16
    assert SourceWordMask(Maps(None, spot((3, 3))), GRIDS, 0.3)(layer, 64) is None
