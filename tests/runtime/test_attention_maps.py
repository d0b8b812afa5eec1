"""Attention with the maps of a source pass: exactly the source's, where and when they are replaced.

Dimensions: P passes, F frames, N tokens of a frame, H heads, d head size, T text tokens.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from grainspec.model.spec import FrameScope
from grainspec_runtime.backbones.unets.install import installed
from grainspec_runtime.backbones.unets.memory import UNetMemory
from grainspec_runtime.modulation.attention_maps import (
    LARGEST_GRID,
    MapAttention,
    MapSettings,
    attention_maps,
)
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.modulation.layers import AttentionLayer

F, H, N, D, T = 3, 2, 16, 4, 6
SELF = AttentionLayer("blocks.0.attn1", 2, "self")
CROSS = AttentionLayer("blocks.0.attn2", 2, "cross")
PLAIN = MapSettings(mapping_ST=torch.eye(T), weights_T=torch.ones(T), cross=0.5, self_=0.25)


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def attention(settings: MapSettings = PLAIN, scope: FrameScope = "full") -> MapAttention:
    return MapAttention(FoldedAttention(F, scope=scope), settings)


def self_call(seed: int, passes: int) -> tuple[Tensor, ...]:
    return tuple(drawn(seed + part, passes * F, H, N, D) for part in range(3))


def cross_call(seed: int, passes: int) -> tuple[Tensor, ...]:
    """Every frame of a pass reads the same words."""
    words = [drawn(seed + part, passes, H, T, D).repeat_interleave(F, 0) for part in (1, 2)]
    return drawn(seed, passes * F, H, N, D), *words


def maps_of(query: Tensor, key: Tensor) -> Tensor:
    return (query @ key.mT / D**0.5).softmax(-1)


def after_source(made: MapAttention, step: int = 0, steps: int = 8) -> MapAttention:
    made.begin_step(step, steps, 500.0)
    with made.reading_source():
        made.self_attention(SELF, *self_call(10, 1))
        made.cross_attention(CROSS, *cross_call(20, 1))
    return made


def test_maps_are_a_softmax_of_the_models_type() -> None:
    query, key, _ = cross_call(0, 1)
    torch.testing.assert_close(attention_maps(query, key), maps_of(query, key))
    assert attention_maps(query.half(), key.half()).dtype == torch.float16


def test_a_source_pass_is_plain() -> None:
    made, plain = attention(), FoldedAttention(F)
    made.begin_step(0, 8, 500.0)
    with made.reading_source():
        assert torch.equal(
            made.self_attention(SELF, *self_call(10, 1)),
            plain.self_attention(SELF, *self_call(10, 1)),
        )
        assert torch.equal(
            made.cross_attention(CROSS, *cross_call(20, 1)),
            plain.cross_attention(CROSS, *cross_call(20, 1)),
        )


@pytest.mark.parametrize("scope", ["full", "each", "first_last", "sparse_causal"])
def test_self_attention_is_exactly_the_sources(scope: FrameScope) -> None:
    """Its queries and keys with the edit's values, in the conditional pass alone."""
    made, plain = after_source(attention(scope=scope)), FoldedAttention(F, scope=scope)
    (source_query, source_key, _), (query, key, value) = self_call(10, 1), self_call(30, 2)
    out = made.self_attention(SELF, query, key, value)
    kept = plain.self_attention(SELF, source_query, source_key, value[F:])
    own = plain.self_attention(SELF, query, key, value)
    assert torch.equal(out[F:], kept)
    torch.testing.assert_close(out[:F], own[:F])
    assert not torch.allclose(kept, own[F:], atol=1e-2)


def test_a_mask_blends_rows_of_self_attention() -> None:
    """m M V + (1 − m) Mˢ V is what blended maps give."""
    made = after_source(attention(scope="each"))
    mask = torch.rand(F, N, generator=torch.Generator().manual_seed(1)) > 0.5
    made.self_mask = lambda layer, tokens: mask
    (source_query, source_key, _), (query, key, value) = self_call(10, 1), self_call(30, 2)
    weight = mask[:, None, :, None].float()
    maps = weight * maps_of(query[F:], key[F:]) + (1 - weight) * maps_of(source_query, source_key)
    out = made.self_attention(SELF, query, key, value)
    torch.testing.assert_close(out[F:], maps @ value[F:])
    plain = FoldedAttention(F, scope="each").self_attention(SELF, query, key, value)
    torch.testing.assert_close(out[:F], plain[:F])
    made.self_mask = lambda layer, tokens: torch.ones(F, N)
    assert torch.equal(made.self_attention(SELF, query, key, value), plain)


def test_cross_attention_takes_over_the_sources_columns() -> None:
    """Token 1 takes over the source's token 2, token 3 is new, and the others are where they were."""
    mapping = torch.eye(T)
    mapping[:, [1, 3]] = 0
    mapping[2, 1] = 1
    made = after_source(attention(replace(PLAIN, mapping_ST=mapping)))
    (source_query, source_key, _), (query, key, value) = cross_call(20, 1), cross_call(40, 2)
    source, own = maps_of(source_query, source_key), maps_of(query[F:], key[F:])
    expected = source[..., [0, 2, 2, 0, 4, 5]].clone()
    expected[..., 3] = own[..., 3]
    out = made.cross_attention(CROSS, query, key, value)
    torch.testing.assert_close(out[F:], expected @ value[F:])
    plain = FoldedAttention(F).cross_attention(CROSS, query, key, value)
    assert torch.equal(out[:F], plain[:F])


@pytest.mark.parametrize(
    ("step", "cross", "self_"), [(1, True, True), (2, True, False), (4, False, False)]
)
def test_replacement_ends_with_its_share_of_the_steps(step: int, cross: bool, self_: bool) -> None:
    made, plain = after_source(attention(), step), FoldedAttention(F)
    for call, replaced, layer in (
        (self_call(30, 2), self_, SELF),
        (cross_call(40, 2), cross, CROSS),
    ):
        name = f"{layer.kind}_attention"
        out = getattr(made, name)(layer, *call)
        own = getattr(plain, name)(layer, *call)
        assert torch.equal(out, own) != replaced
    assert made.needs_source == (cross or self_)


def test_a_weight_of_one_is_the_identity() -> None:
    made = attention(replace(PLAIN, cross=0, self_=0))
    made.begin_step(0, 8, 500.0)
    call = cross_call(40, 2)
    plain = FoldedAttention(F).cross_attention(CROSS, *call)
    assert torch.equal(made.cross_attention(CROSS, *call), plain)
    assert not made.needs_source


def test_a_weight_multiplies_the_attention_to_its_words() -> None:
    """Prompt-to-Prompt: only the column of the word, in the conditional pass, after replacing."""
    weights = torch.tensor([1, 1, 3.0, 1, 0, 1])
    for share in (0.0, 1.0):
        settings = replace(PLAIN, weights_T=weights, cross=share)
        made = after_source(attention(settings))
        query, key, _ = cross_call(40, 2)
        value = torch.eye(T).expand(2 * F, H, T, T)
        out = made.cross_attention(CROSS, query, key, value)
        maps = maps_of(*cross_call(20, 1)[:2]) if share else maps_of(query[F:], key[F:])
        torch.testing.assert_close(out[F:], maps * weights)
        torch.testing.assert_close(out[:F], maps_of(query[:F], key[:F]))


def test_layers_of_large_grids_keep_their_own() -> None:
    """Self-attention above 32 x 32; cross-attention above the limit of the settings."""
    large = (F, 1, LARGEST_GRID + 1, 1)
    words = (F, 1, T, 1)
    for limit, stored in ((None, True), (LARGEST_GRID, False)):
        made = attention(replace(PLAIN, cross_grid=limit))
        made.begin_step(0, 8, 500.0)
        with made.reading_source():
            made.self_attention(SELF, *(drawn(part, *large) for part in range(3)))
            made.cross_attention(CROSS, drawn(0, *large), drawn(1, *words), drawn(2, *words))
        assert bool(made.stored_bytes()) == stored


def test_what_is_stored_does_not_grow_with_steps_or_key_frames() -> None:
    """Queries and keys of a clip for self-attention, queries and one frame's keys for the words."""
    for scope in ("each", "full"):
        made = after_source(attention(scope=scope))
        numbers = 2 * F * H * N * D + (F * H * N * D + H * T * D)
        assert made.stored_bytes() == 4 * numbers
        assert after_source(made, 1).stored_bytes() == 4 * numbers
        made.clear()
        assert made.stored_bytes() == 0


def test_the_attention_to_words_is_recorded_by_level() -> None:
    """The mean over heads and layers of level 2, or of the coarsest of fewer levels."""
    settings = replace(PLAIN, source_words=(1,), words=(1, 2))
    made = attention(settings)
    made.begin_step(7, 8, 500.0)
    assert made.needs_source
    coarse = replace(CROSS, name="mid.attn2", level=3)
    calls = [cross_call(seed, 1) for seed in (0, 3)]
    with made.reading_source():
        for layer in (replace(CROSS, level=0), coarse):
            made.cross_attention(layer, *cross_call(9, 1))
        assert made.source_maps.level() == 3
        for call in calls:
            made.cross_attention(CROSS, *call)
    expected = torch.stack([maps_of(*call[:2])[..., 1].mean(1) for call in calls]).mean(0)
    torch.testing.assert_close(made.source_maps.mean_FN(), expected)
    assert made.maps.level() is None
    made.cross_attention(CROSS, *calls[0])
    both = maps_of(*calls[0][:2])[..., 1:3].sum(-1).mean(1)
    torch.testing.assert_close(made.maps.mean_FN(), both)
    made.begin_step(0, 8, 500.0)
    assert made.source_maps.level() is None


SD15: dict[str, Any] = {"cross_attention_dim": 768}
SDXL: dict[str, Any] = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "use_linear_projection": True,
    "cross_attention_dim": 2048,
}


@pytest.mark.parametrize(
    ("config", "size", "grid", "stored"),
    [
        (SD15, 512, LARGEST_GRID, 481_399_040),
        (SD15, 512, None, 691_360_640),
        (SDXL, 1024, None, 8_401_420_800),
    ],
    ids=["1.5", "1.5 all words", "XL"],
)
def test_what_a_step_of_stable_diffusion_stores(
    config: dict[str, Any], size: int, grid: int | None, stored: int
) -> None:
    """16 frames in half precision, by true networks without weights; the estimate is the most."""
    settings = MapSettings(torch.eye(77), torch.ones(77), 1, 1, cross_grid=grid)
    made = MapAttention(FoldedAttention(16, scope="each"), settings)
    with torch.device("meta"), torch.no_grad():
        unet = UNet2DConditionModel(**config).half()
        made.begin_step(0, 50, 500.0)
        x = torch.empty(16, 4, size // 8, size // 8, dtype=torch.half)
        words = torch.empty(16, 77, config["cross_attention_dim"], dtype=torch.half)
        with installed(unet, made), made.reading_source():
            unet(x, torch.tensor(500, device="cpu"), encoder_hidden_states=words)
    assert made.stored_bytes() == stored
    memory = UNetMemory(dict(unet.config), {"block_out_channels": (8,) * 4}, {}, 2, 2)
    estimate = 16 * memory.source_maps_frame(height=size, width=size)
    assert grid or estimate == pytest.approx(stored, rel=0.02)
