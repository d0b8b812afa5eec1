"""Installing a plan in a stock UNet, and what must stay the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor

from grainspec import GrainError, parse
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.layout import Layout
from grainspec_runtime.backbones.families.sd_unet.checkpoint import StableDiffusion
from grainspec_runtime.backbones.registry import describe, load_checkpoint
from grainspec_runtime.backbones.unets.install import installed
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.modulation.folded import FoldedAttention

FRAMES = 3
TEXT = """
grain 1
video "c"
model "tiny"
target "a green robot and a yellow bear on grass"
region left = all
region right = all
edit left -> "green robot"
edit right -> "yellow bear"
attention {{ {} }}
"""


@pytest.fixture(scope="module")
def checkpoint(tiny_sd: Path) -> StableDiffusion:
    return load_checkpoint(str(tiny_sd), Path(), LoadOptions(device="cpu"))


def plan_for(folder: Path, settings: str = "until 100%", frames: int = FRAMES) -> MaskPlan:
    masks = {name: np.zeros((frames, 64, 128), bool) for name in ("left", "right")}
    masks["left"][:, :, :56], masks["right"][:, 16:, 64:] = True, True
    facts = describe(str(folder), Path())
    return compile_plan(parse(TEXT.format(settings)), Layout.of(masks), facts).plan


def inputs(frames: int = FRAMES, passes: int = 2) -> tuple[Tensor, int, Tensor]:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(passes * frames, 4, 8, 16, generator=generator)
    words = torch.randn(passes, 48, 16, generator=generator).repeat_interleave(frames, 0)
    return latents, 900, words


@torch.inference_mode()
def output(checkpoint: StableDiffusion, arguments: tuple[Tensor, int, Tensor]) -> Tensor:
    latents, timestep, words = arguments
    return checkpoint.unet(latents, timestep, words).sample


def controlled(
    checkpoint: StableDiffusion, control: FoldedAttention, arguments: tuple[Tensor, int, Tensor]
) -> Tensor:
    with installed(checkpoint.unet, control):
        control.begin_step(0, 10, 900.0)
        return output(checkpoint, arguments)


def test_all_four_levels_are_found(tiny_sd: Path) -> None:
    plan = plan_for(tiny_sd)
    assert [level.labels_FHW.shape[1:] for level in plan.levels] == [
        (8, 16),
        (4, 8),
        (2, 4),
        (1, 2),
    ]


def test_installing_and_removing_leaves_the_model_bit_identical(
    checkpoint: StableDiffusion, tiny_sd: Path
) -> None:
    before, processors = output(checkpoint, inputs()), checkpoint.unet.attn_processors
    control = FoldedAttention(FRAMES, plan=plan_for(tiny_sd))
    during = controlled(checkpoint, control, inputs())
    assert not torch.allclose(before, during, atol=1e-4)
    assert torch.equal(output(checkpoint, inputs()), before)
    after = checkpoint.unet.attn_processors
    assert all(after[name] is processor for name, processor in processors.items())


def test_an_error_inside_restores_the_model(checkpoint: StableDiffusion) -> None:
    before = output(checkpoint, inputs())
    with (
        pytest.raises(RuntimeError, match="on purpose"),
        installed(checkpoint.unet, FoldedAttention(FRAMES)),
    ):
        raise RuntimeError("on purpose")
    assert torch.equal(output(checkpoint, inputs()), before)
    assert all(isinstance(p, AttnProcessor2_0) for p in checkpoint.unet.attn_processors.values())


def test_each_frame_alone_without_a_plan_is_the_stock_model(checkpoint: StableDiffusion) -> None:
    control = FoldedAttention(FRAMES, scope="each")
    torch.testing.assert_close(
        controlled(checkpoint, control, inputs()), output(checkpoint, inputs())
    )


def test_zero_strengths_are_the_stock_model(checkpoint: StableDiffusion, tiny_sd: Path) -> None:
    plan = plan_for(tiny_sd, "cross 0 self 0 until 100% frames each")
    control = FoldedAttention(FRAMES, plan=plan, scope="each")
    torch.testing.assert_close(
        controlled(checkpoint, control, inputs()), output(checkpoint, inputs())
    )


def test_past_the_modulated_steps_nothing_is_modulated(
    checkpoint: StableDiffusion, tiny_sd: Path
) -> None:
    control = FoldedAttention(FRAMES, plan=plan_for(tiny_sd, "until 30%"))
    plain = controlled(checkpoint, FoldedAttention(FRAMES), inputs())
    with installed(checkpoint.unet, control):
        control.begin_step(3, 10, 900.0)
        assert torch.equal(output(checkpoint, inputs()), plain)
        control.begin_step(2, 10, 900.0)
        assert not torch.allclose(output(checkpoint, inputs()), plain, atol=1e-4)


@pytest.mark.parametrize("scope", ["first_last", "sparse_causal", "full"])
def test_one_frame_has_nothing_else_to_look_at(checkpoint: StableDiffusion, scope: str) -> None:
    arguments = inputs(frames=1)
    control = FoldedAttention(1, scope=scope)  # type: ignore[arg-type]
    torch.testing.assert_close(
        controlled(checkpoint, control, arguments), output(checkpoint, arguments)
    )


def test_only_the_conditional_pass_is_modulated(checkpoint: StableDiffusion, tiny_sd: Path) -> None:
    plain = controlled(checkpoint, FoldedAttention(FRAMES), inputs())
    modulated = controlled(checkpoint, FoldedAttention(FRAMES, plan=plan_for(tiny_sd)), inputs())
    torch.testing.assert_close(modulated[:FRAMES], plain[:FRAMES])
    assert not torch.allclose(modulated[FRAMES:], plain[FRAMES:], atol=1e-4)


def test_without_guidance_the_one_pass_is_the_conditional_one(
    checkpoint: StableDiffusion, tiny_sd: Path
) -> None:
    latents, timestep, words = inputs()
    alone = (latents[FRAMES:], timestep, words[FRAMES:])
    control = FoldedAttention(FRAMES, plan=plan_for(tiny_sd))
    both = controlled(checkpoint, control, inputs())
    torch.testing.assert_close(controlled(checkpoint, control, alone), both[FRAMES:])


@pytest.mark.parametrize("scope", ["each", "first_last", "sparse_causal", "full"])
def test_backends_agree_inside_the_model(
    checkpoint: StableDiffusion, tiny_sd: Path, scope: str
) -> None:
    plan = plan_for(tiny_sd, f"until 100% self 0.8 frames {scope}")
    interpreted = ("triton",) if scope in {"sparse_causal", "full"} else ()  # slowly
    backends = ("dense", "rows", *interpreted)
    outputs = [
        controlled(
            checkpoint,
            FoldedAttention(FRAMES, plan=plan, scope=plan.attention.frames, backend=backend),
            inputs(),
        )
        for backend in backends
    ]
    for out in outputs[1:]:
        torch.testing.assert_close(out, outputs[0], atol=1e-4, rtol=1e-4)


def test_levels_left_alone_change_nothing(checkpoint: StableDiffusion, tiny_sd: Path) -> None:
    plain = controlled(checkpoint, FoldedAttention(FRAMES), inputs())
    seen = []
    for settings in ("until 100% levels 0", "until 100% levels 1..3", "until 100%"):
        control = FoldedAttention(FRAMES, plan=plan_for(tiny_sd, settings))
        seen.append(controlled(checkpoint, control, inputs()))
    for index, one in enumerate(seen):
        for other in [plain, *seen[index + 1 :]]:
            assert not torch.allclose(one, other, atol=1e-5)


def test_a_plan_for_another_clip_is_refused(tiny_sd: Path) -> None:
    with pytest.raises(GrainError, match="G404"):
        FoldedAttention(FRAMES + 1, plan=plan_for(tiny_sd))


@pytest.mark.parametrize("scope", ["each", "full"])
def test_the_unet_compiles_whole_and_once_for_all_steps(
    checkpoint: StableDiffusion, tiny_sd: Path, scope: str
) -> None:
    """No graph break, and the schedule's share is no constant of the graph."""
    plan = plan_for(tiny_sd, f"until 100% frames {scope}")
    control = FoldedAttention(FRAMES, plan=plan, scope=plan.attention.frames)
    graphs = []

    def count(graph: torch.fx.GraphModule, _: object) -> object:
        graphs.append(graph)
        return graph.forward

    latents, timestep, words = inputs()
    with installed(checkpoint.unet, control), torch.inference_mode():
        torch.compiler.reset()
        compiled = torch.compile(checkpoint.unet, backend=count, fullgraph=True)
        for step, at in enumerate((900.0, 600.0)):
            control.begin_step(step, 10, at)
            seen = compiled(latents, timestep, words).sample
            torch.testing.assert_close(seen, output(checkpoint, (latents, timestep, words)))
    assert len(graphs) == 1
