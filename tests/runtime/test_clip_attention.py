"""The attention of video transformers, against its definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from wan import tiny_wan
from wan_runs import LATENT_FRAMES, by_definition, plan_for

from grainspec import GrainError
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.windows import FrameWindow
from grainspec_runtime.modulation.clip import ClipAttention
from grainspec_runtime.modulation.layers import Attend, AttentionLayer
from grainspec_runtime.modulation.plan_tensors import column_strengths
from grainspec_runtime.modulation.windowed import WindowedAttention

HEADS, WIDTH, TOKENS, AT = 2, 16, 8, 800.0
OWN, TEXT = AttentionLayer("a", 0, "self", 1), AttentionLayer("b", 0, "cross", 1)

VARIANTS = {
    "as it is": "until 100%",
    "soft words": "until 100% decay 1 unbound 0.3 phrases in_context",
    "strong": "until 100% decay 0 cross 1 self 1",
    "columns": "until 100% decay 1 columns 0.6 unbound 0",
    "as in FlowAnchor": "until 100% until_timestep 600 decay 0 cross 0.3 self 0 columns 0.3 phrases in_context",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_wan(tmp_path_factory.mktemp("wan") / "tiny")


@pytest.fixture(scope="module")
def plan(folder: Path) -> MaskPlan:
    return plan_for(folder)


def drawn(
    layer: AttentionLayer, passes: int = 1, dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    """Queries, keys and values; the keys of a prompt's padding are alike, and large."""
    random = torch.Generator().manual_seed(3)
    count = 512 if layer.kind == "cross" else LATENT_FRAMES * TOKENS
    q = 2 * torch.randn(passes, HEADS, LATENT_FRAMES * TOKENS, WIDTH, generator=random)
    k, v = torch.randn(2, passes, HEADS, count, WIDTH, generator=random)
    if layer.kind == "cross":
        k[:, :, 12:] = 4 * k[:, :, 12:13]
    return [tensor.to(dtype) for tensor in (q, k, v)]


def computed(attention: Any, layer: AttentionLayer, *received: Tensor) -> Tensor:
    kind = attention.cross_attention if layer.kind == "cross" else attention.self_attention
    return kind(layer, *received)


def begun(plan: MaskPlan, **settings: Any) -> ClipAttention:
    attention = ClipAttention(LATENT_FRAMES, plan=plan, **settings)
    attention.begin_step(0, 10, AT)
    return attention


@pytest.mark.parametrize("layer", [OWN, TEXT], ids=lambda layer: layer.kind)
@pytest.mark.parametrize("name", VARIANTS)
def test_it_is_what_the_plan_defines(folder: Path, name: str, layer: AttentionLayer) -> None:
    plan = plan_for(folder, VARIANTS[name])
    assert plan.neutral_T.sum() > 490
    received = drawn(layer)
    out = computed(begun(plan), layer, *received)
    expected = by_definition(plan, layer.kind, *received, AT)
    torch.testing.assert_close(out.double(), expected, atol=2e-5, rtol=1e-4)
    plain = F.scaled_dot_product_attention(*received)
    if layer.kind == "cross" or plan.attention.self_:
        assert (out - plain).abs().max() > 1e-2


@pytest.mark.parametrize("layer", [OWN, TEXT], ids=lambda layer: layer.kind)
@pytest.mark.parametrize("backend", ["dense", "triton"])
def test_backends_agree(folder: Path, layer: AttentionLayer, backend: str) -> None:
    """The fused kernels run in Triton's interpreter, with the order of classes that is kept."""
    plan = plan_for(folder, "until 100% decay 0 unbound 0.3")
    received = drawn(layer)
    out = computed(begun(plan, backend=backend), layer, *received)
    expected = by_definition(plan, layer.kind, *received, AT)
    torch.testing.assert_close(out.double(), expected, atol=1e-4, rtol=1e-3)


def test_columns_are_as_strong_as_the_edits_are(folder: Path) -> None:
    plan = plan_for(folder, "until 100% columns 0.5")
    strengths = column_strengths(plan)
    robot, bear = (list(edit.tokens[0]) for edit in plan.edits)
    assert strengths[robot].tolist() == pytest.approx([0.4, 0.4])
    assert strengths[bear].tolist() == [0.5, 0.5]
    assert not strengths[~plan.words_ET.any(0)].any()


@pytest.mark.parametrize("layer", [OWN, TEXT], ids=lambda layer: layer.kind)
def test_only_the_last_pass_is_modulated(plan: MaskPlan, layer: AttentionLayer) -> None:
    received = drawn(layer, passes=2)
    plain = F.scaled_dot_product_attention(*received)
    attention = begun(plan)
    together = computed(attention, layer, *received)  # both passes in one call
    torch.testing.assert_close(together[0], plain[0])
    assert (together[1] - plain[1]).abs().max() > 1e-2
    first, last = ([tensor[i : i + 1] for tensor in received] for i in (0, 1))
    attention.begin_pass(0, 2)
    assert attention.is_plain(layer)
    assert torch.equal(computed(attention, layer, *first), F.scaled_dot_product_attention(*first))
    attention.begin_pass(1, 2)
    assert not attention.is_plain(layer)
    torch.testing.assert_close(computed(attention, layer, *last), together[1:])
    attention.begin_pass(0, 1)
    assert not attention.is_plain(layer)
    attention.begin_pass(0, 2)
    attention.begin_step(1, 10, AT)
    assert not attention.is_plain(layer), "a step begins with all passes"


def test_after_its_steps_attention_is_plain(folder: Path) -> None:
    attention = ClipAttention(LATENT_FRAMES, plan=plan_for(folder, "until 30% until_timestep 600"))
    for step, timestep, plain in (
        (0, 900.0, False),
        (2, 700.0, False),
        (2, 599.0, True),
        (3, 900.0, True),
    ):
        attention.begin_step(step, 10, timestep)
        assert attention.is_plain(OWN) == plain
        assert attention.modulated == (not plain)
        received = drawn(OWN)
        same = torch.equal(
            computed(attention, OWN, *received), F.scaled_dot_product_attention(*received)
        )
        assert same == plain


def test_only_the_blocks_of_layers_are_modulated(folder: Path) -> None:
    attention = begun(plan_for(folder, "until 100% layers 1"))
    for block, plain in ((0, True), (1, False)):
        for kind in ("self", "cross"):
            layer = AttentionLayer(f"{block}", 0, kind, block)
            assert attention.reaches(layer) == (not plain)
            assert attention.is_plain(layer) == plain
            received = drawn(layer)
            same = torch.equal(
                computed(attention, layer, *received), F.scaled_dot_product_attention(*received)
            )
            assert same == plain


def test_padding_is_outside_the_extremes(plan: MaskPlan) -> None:
    """Padding that scores higher than any word takes its share, and moves no word's score."""
    q, k, v = drawn(TEXT)
    attention = begun(plan)
    k[:, :, plan.neutral_T] = 0
    v[:, :, plan.neutral_T] = 0
    small = computed(attention, TEXT, q, k, v)
    k[:, :, plan.neutral_T] = 30 * q.mean(2, keepdim=True)
    large = computed(attention, TEXT, q, k, v)
    ratio = large / small  # all words lose the same share to the padding
    torch.testing.assert_close(ratio, ratio[..., :1].expand_as(ratio), atol=1e-2, rtol=1e-2)


MISFITS = {
    "frames": (lambda plan: ClipAttention(2, plan=plan), "for 3 frames, but the clip has 2"),
    "tokens": (
        lambda plan: computed(begun(plan), OWN, *(it[:, :, :18] for it in drawn(OWN))),
        "8 latent tokens a frame at level 0, but the layer a has 6",
    ),
    "odd tokens": (
        lambda plan: computed(begun(plan), OWN, *(it[:, :, :22] for it in drawn(OWN))),
        "8 latent tokens a frame at level 0, but the layer a has 7.33",
    ),
    "words": (
        lambda plan: computed(begun(plan), TEXT, *(it[:, :, :24] for it in drawn(TEXT))),
        "the plan is for 512 text tokens, but the model received 24",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_is_not_the_plans_is_told(plan: MaskPlan, name: str) -> None:
    act, message = MISFITS[name]
    with pytest.raises(GrainError, match=f"G404.*{message}"):
        act(plan)


class Recorder:
    """Notes what it is told, and computes attention again without modulation."""

    def __init__(self) -> None:
        self.noted: list[Any] = []

    def begin_step(self, step: int, steps: int, *, modulated: bool) -> None:
        self.noted.append((step, modulated))

    def record(
        self, layer: AttentionLayer, attend: Attend, query: Tensor, key: Tensor, out: Tensor
    ) -> None:
        self.noted.append(layer)
        self.away = (attend(query, key, torch.ones_like(key), modulated=True) - 1).abs().max()


def test_a_recorder_sees_the_last_pass_of_every_layer(folder: Path) -> None:
    recorder = Recorder()
    attention = ClipAttention(
        LATENT_FRAMES, plan=plan_for(folder, "until 100% layers 0"), recorder=recorder
    )
    attention.begin_step(0, 10, AT)
    attention.begin_pass(0, 2)
    assert attention.is_plain(OWN)
    computed(attention, OWN, *drawn(OWN))
    attention.begin_pass(1, 2)
    assert attention.reaches(OWN)
    assert not attention.is_plain(OWN)
    plain = computed(attention, OWN, *drawn(OWN))
    assert torch.equal(plain, F.scaled_dot_product_attention(*drawn(OWN))), "block 1 is not planned"
    assert recorder.noted == [(0, True), OWN]
    assert recorder.away < 1e-5


def test_another_methods_rule_has_each_frame_in_the_batch(plan: MaskPlan) -> None:
    received = drawn(TEXT, passes=2)

    def rule(query: Tensor, key: Tensor, value: Tensor, *, frames: int) -> Tensor:
        assert query.shape == (frames, HEADS, TOKENS, WIDTH)
        return 2 * F.scaled_dot_product_attention(query, key, value)

    attention = ClipAttention(LATENT_FRAMES, plan=plan, cross_rule=rule)
    assert not attention.is_plain(TEXT)
    assert attention.is_plain(OWN)
    plain = F.scaled_dot_product_attention(*received)
    expected = torch.cat([plain[:1], 2 * plain[1:]])
    torch.testing.assert_close(computed(attention, TEXT, *received), expected)
    attention.begin_pass(0, 2)
    assert attention.is_plain(TEXT)


def test_windows_have_passes_of_their_own(plan: MaskPlan) -> None:
    windows = [FrameWindow((0, 1, 2), (1.0, 1.0, 0.5)), FrameWindow((0, 2, 3), (0.0, 0.5, 1.0))]
    attention = WindowedAttention(windows, lambda _: ClipAttention(LATENT_FRAMES, plan=plan))
    attention.begin_step(0, 10, AT)
    attention.begin_pass(0, 2)
    assert attention.reaches(OWN)
    assert attention.is_plain(OWN)
    attention.select(1)
    assert not attention.is_plain(OWN)


def test_it_moves_to_another_device(plan: MaskPlan) -> None:
    attention = begun(plan)
    attention.to(torch.device("meta"))
    assert attention._plan is not None
    arguments = attention._plan.cross_modulation(attention._plan.level(0))
    tensors = {name: it for name, it in arguments.items() if isinstance(it, Tensor)}
    assert {it.device.type for it in tensors.values()} == {"meta"}
    assert "neutral" in tensors
