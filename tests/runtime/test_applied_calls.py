"""The calls of a pipeline under a plan: prompts, embeddings, steps and schedulers."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    ControlNetModel,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    EDMEulerScheduler,
    HeunDiscreteScheduler,
    IPNDMScheduler,
    KDPM2DiscreteScheduler,
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionXLImg2ImgPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from tiny_runs import FRAMES, TARGET, call, noise, plan_for, stock
from torch import Tensor

from grainspec import GrainError
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime import plan_applied
from grainspec_runtime.backbones.unets.layers import attention_layers
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.pipelines.steps import RunSteps


@pytest.fixture(scope="module")
def plan(tiny_sd: Path) -> MaskPlan:
    return plan_for(tiny_sd)


@pytest.fixture(scope="module")
def pipe(tiny_sd: Path) -> DiffusionPipeline:
    return stock(tiny_sd)


def refusal(plan: MaskPlan, pipe: DiffusionPipeline, **changes: Any) -> tuple[str, str, str]:
    with pytest.raises(GrainError) as raised, plan_applied(plan, pipe):
        call(pipe, **changes)
    (found,) = raised.value.diagnostics
    return found.code, found.message, found.cure


OTHER = "a red robot and a yellow bear on grass"
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "one of two": (
        {"prompt": [TARGET, OTHER], "num_images_per_prompt": 1},
        "another prompt, or other embeddings, than the plan's target in 1 of 2 images",
    ),
    "all": ({"prompt": OTHER}, "another prompt, or other embeddings.* in 2 of 2 images"),
    "in the negative": (
        {"prompt": OTHER, "negative_prompt": TARGET},
        "the plan's target as its negative prompt, and another prompt",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_other_prompts_are_told(plan: MaskPlan, pipe: DiffusionPipeline, name: str) -> None:
    changes, wanted = WRONG[name]
    code, message, cure = refusal(plan, pipe, **changes)
    assert code == "G404"
    assert re.search(wanted, message)
    assert "`prompt=plan.target`" in cure


def test_ways_to_give_the_target(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    words = pipe.encode_prompt(TARGET, "cpu", 1, False)[0]
    with plan_applied(plan, pipe):
        expected = call(pipe)
        ways = (
            {"prompt": [TARGET] * FRAMES, "num_images_per_prompt": 1},
            {"prompt": None, "prompt_embeds": words},  # the negative prompt is still encoded
            {"prompt": None, "prompt_embeds": words.repeat(2, 1, 1), "num_images_per_prompt": 1},
        )
        for way in ways:
            torch.testing.assert_close(call(pipe, **way), expected, atol=1e-5, rtol=1e-5)
        call(pipe, negative_prompt=TARGET)
        call(pipe, negative_prompt=TARGET, guidance_scale=1.0)


def test_a_second_prompt_of_sdxl_is_told(tiny_sdxl: Path) -> None:
    plan, pipe = plan_for(tiny_sdxl), stock(tiny_sdxl)
    code, message, _ = refusal(plan, pipe, prompt_2=OTHER)
    assert code == "G404"
    assert "another `prompt_2`" in message
    with plan_applied(plan, pipe):
        expected = call(pipe)
        assert torch.equal(call(pipe, prompt_2=TARGET), expected)


def test_embeddings_of_another_kind_are_taken_on_trust(
    plan: MaskPlan, pipe: DiffusionPipeline
) -> None:
    words = pipe.encode_prompt(TARGET, "cpu", 1, False)[0]
    weighted = {"prompt": None, "prompt_embeds": words * 1.3}
    code, _, cure = refusal(plan, pipe, **weighted)
    assert code == "G404"
    assert "trust_embeds=True" in cure
    with plan_applied(plan, pipe, trust_embeds=True):
        call(pipe, **weighted)
        with pytest.raises(GrainError, match="G404.*48 text tokens.*receives 96"):
            twice = torch.cat([words, words], 1)
            call(pipe, prompt=None, prompt_embeds=twice, guidance_scale=1.0)


def test_without_a_text_encoder_trust_must_be_said(tiny_sd: Path) -> None:
    pipe = stock(tiny_sd)
    words, negative = pipe.encode_prompt(TARGET, "cpu", 1, True)
    given = {"prompt": None, "prompt_embeds": words, "negative_prompt_embeds": negative}
    plan = plan_for(tiny_sd, "phrases in_context")
    with plan_applied(plan, pipe):
        expected = call(pipe)
    pipe.text_encoder = None
    code, _, cure = refusal(plan, pipe, **given)
    assert code == "G411"
    assert "trust_embeds=True" in cure
    with plan_applied(plan, pipe, trust_embeds=True):
        torch.testing.assert_close(call(pipe, **given), expected, atol=1e-5, rtol=1e-5)
    with (
        pytest.raises(GrainError, match="G404.*no text encoder to encode them"),
        plan_applied(plan_for(tiny_sd), pipe),
    ):
        pass


def test_embeddings_changed_at_a_step_are_told(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    def change(_: Any, step: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        return {"prompt_embeds": tensors["prompt_embeds"].flip(1)}

    def in_place(_: Any, step: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        tensors["prompt_embeds"].mul_(2)
        return {}

    inputs = {"callback_on_step_end_tensor_inputs": ["prompt_embeds"]}
    for callback in (change, in_place):
        assert refusal(plan, pipe, callback_on_step_end=callback, **inputs)[0] == "G404"


def test_guidance_may_end_within_a_call(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    """As diffusers' documentation does it, in a callback."""
    shares: list[float] = []

    def end(pipe: Any, step: int, _: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        pipe._guidance_scale = 0.0
        return {"prompt_embeds": tensors["prompt_embeds"].chunk(2)[-1]} if step == 0 else {}

    with plan_applied(plan, pipe) as attention:
        hook = pipe.unet.register_forward_hook(lambda *_: shares.append(attention.share))
        call(
            pipe,
            num_inference_steps=3,
            callback_on_step_end=end,
            callback_on_step_end_tensor_inputs=["prompt_embeds"],
        )
        hook.remove()
    assert len(shares) == 3


def test_sdxl_with_its_second_encoder_alone(tiny_sdxl: Path) -> None:
    """As SDXL's refiner."""
    whole = stock(tiny_sdxl)
    settings = dict(whole.unet.config) | {"cross_attention_dim": 24}
    pipe = StableDiffusionXLImg2ImgPipeline(
        **whole.components
        | {"tokenizer": None, "text_encoder": None}
        | {"unet": UNet2DConditionModel.from_config(settings).eval()},
        add_watermarker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    image = torch.zeros(FRAMES, 4, 8, 8)

    def draw(prompt: str = TARGET) -> Tensor:
        return pipe(
            [prompt] * FRAMES,
            image=image,
            strength=1.0,
            num_inference_steps=2,
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
        ).images

    plan = plan_for(tiny_sdxl)
    plain = draw()
    with plan_applied(plan, pipe):
        assert not torch.allclose(draw(), plain, atol=1e-3)
        with pytest.raises(GrainError, match="G404"):
            draw(OTHER)
    pipe.tokenizer_2.model_max_length = 40
    with pytest.raises(GrainError, match="G404.*tokenizer_2 yields 40"), plan_applied(plan, pipe):
        pass


class Shares:
    """The factor ξ at every call of a UNet."""

    def __init__(self, pipe: DiffusionPipeline, attention: FoldedAttention) -> None:
        self.seen: list[float] = []
        self._hook = pipe.unet.register_forward_hook(lambda *_: self.seen.append(attention.share))

    def modulated(self) -> tuple[int, int]:
        """The number of calls with ξ > 0, and of all."""
        self._hook.remove()
        return sum(share > 0 for share in self.seen), len(self.seen)


@pytest.mark.parametrize(
    ("strength", "wanted"), [(1.0, (6, 20)), (0.7, (4, 14)), (0.5, (3, 10)), (0.05, (1, 1))]
)
def test_steps_of_image_to_image_are_those_it_makes(
    tiny_sd: Path, strength: float, wanted: tuple[int, int]
) -> None:
    plan = plan_for(tiny_sd, "until 30% timestep_offset 0", frames=1)
    pipe = StableDiffusionImg2ImgPipeline.from_pipe(stock(tiny_sd))
    pipe.set_progress_bar_config(disable=True)
    with plan_applied(plan, pipe) as attention:
        shares = Shares(pipe, attention)
        pipe(
            TARGET,
            image=Image.new("RGB", (64, 64), "red"),
            strength=strength,
            num_inference_steps=20,
            output_type="latent",
        )
    assert shares.modulated() == wanted
    first = float(pipe.scheduler.timesteps[20 - wanted[1]])
    assert shares.seen[0] == pytest.approx((first / 1000) ** 5)


def test_steps_of_inpainting_and_controls(tiny_sd: Path) -> None:
    plan, pipe = plan_for(tiny_sd, "until 50%", frames=1), stock(tiny_sd)
    net = ControlNetModel.from_unet(pipe.unet, conditioning_channels=3).eval()
    picture = Image.new("RGB", (64, 64), "red")
    inpaint = StableDiffusionInpaintPipeline.from_pipe(pipe)
    controlled = StableDiffusionControlNetImg2ImgPipeline.from_pipe(pipe, controlnet=net)
    for other, more in (
        (inpaint, {"mask_image": picture, "height": 64, "width": 64}),
        (controlled, {"control_image": picture}),
    ):
        other.set_progress_bar_config(disable=True)
        with plan_applied(plan, other) as attention:
            shares = Shares(other, attention)
            other(
                TARGET,
                image=picture,
                strength=0.4,
                num_inference_steps=10,
                output_type="latent",
                **more,
            )
        assert shares.modulated() == (2, 4)


def test_steps_of_a_run_that_ends_early(tiny_sdxl: Path) -> None:
    plan, pipe = plan_for(tiny_sdxl, "until 50%"), stock(tiny_sdxl)
    with plan_applied(plan, pipe) as attention:
        shares = Shares(pipe, attention)
        call(pipe, num_inference_steps=10, denoising_end=0.6)
    assert shares.modulated() == (3, 6)


SCHEDULERS: dict[str, tuple[Any, dict[str, Any], tuple[int, int]]] = {
    "Heun": (HeunDiscreteScheduler, {}, (5, 11)),  # each step calls twice, the last once
    "DPM2": (KDPM2DiscreteScheduler, {}, (6, 11)),
    "DPM-Solver++, Karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}, (3, 6)),
    "DPM-Solver++, flow": (DPMSolverMultistepScheduler, {"use_flow_sigmas": True}, (3, 6)),
    "EDM": (EDMEulerScheduler, {"sigma_min": 0.002, "sigma_max": 80.0}, (3, 6)),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_plans_follow_schedulers(tiny_sdxl: Path, name: str) -> None:
    kind, settings, wanted = SCHEDULERS[name]
    plan, pipe = plan_for(tiny_sdxl, "until 50%"), stock(tiny_sdxl)
    pipe.scheduler = kind.from_config(pipe.scheduler.config, **settings)
    with plan_applied(plan, pipe) as attention:
        shares = Shares(pipe, attention)
        call(pipe, num_inference_steps=6)
    assert shares.modulated() == wanted
    assert shares.seen[0] > (0.9 if name in ("DPM-Solver++, flow", "EDM") else 0.35)
    assert shares.seen == sorted(shares.seen, reverse=True)


def test_other_schedulers_are_told(plan: MaskPlan, tiny_sd: Path) -> None:
    pipe = stock(tiny_sd)
    ours, other = pipe.scheduler, IPNDMScheduler()
    pipe.scheduler = other
    with pytest.raises(GrainError, match="G412.*IPNDM"), plan_applied(plan, pipe):
        pass
    pipe.scheduler = ours
    with plan_applied(plan, pipe):
        pipe.scheduler = other
        with pytest.raises(GrainError, match="G412.*IPNDM"):
            call(pipe)
        pipe.scheduler = ours
        call(pipe)
        time = torch.tensor(600.0)
        words = pipe.encode_prompt(TARGET, "cpu", FRAMES, False)[0]
        with torch.no_grad(), pytest.raises(GrainError, match="G412.*timestep 600"):
            pipe.unet(noise(), time, words)


def test_a_call_without_a_modulated_step_is_said(tiny_sd: Path) -> None:
    plan = plan_for(tiny_sd, "until_timestep 700", frames=1)
    pipe = StableDiffusionImg2ImgPipeline.from_pipe(stock(tiny_sd))
    pipe.set_progress_bar_config(disable=True)
    given = {"image": Image.new("RGB", (64, 64)), "num_inference_steps": 4, "output_type": "latent"}

    def draw(*strengths: float) -> None:
        with plan_applied(plan, pipe):
            for strength in strengths:
                pipe(TARGET, strength=strength, **given)

    with pytest.warns(RuntimeWarning, match="G416.*none of the pipeline's 2 steps"):
        draw(0.5, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        draw(1.0)


def test_steps_begin_anew_in_each_run(pipe: DiffusionPipeline) -> None:
    pipe.scheduler.set_timesteps(4)
    steps, times = RunSteps(pipe), [float(time) for time in pipe.scheduler.timesteps]
    pipe._num_timesteps = 3
    assert [steps.at(t, in_call=True) for t in times[1:]] == [(0, 3), (1, 3), (2, 3)]
    pipe._num_timesteps = 4
    assert [steps.at(t, in_call=True) for t in times] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    pipe.scheduler.set_timesteps(4)
    pipe._num_timesteps = 2
    assert [steps.at(t, in_call=True) for t in times[2:]] == [(0, 2), (1, 2)]


def test_a_loop_of_the_user_follows_a_plan(tiny_sd: Path) -> None:
    """It need not have as many steps as the last call, nor its guidance."""
    plan, pipe = plan_for(tiny_sd, "until 50%"), stock(tiny_sd)
    words = pipe.encode_prompt(TARGET, "cpu", FRAMES, False)[0]
    with torch.no_grad(), plan_applied(plan, pipe) as attention:
        call(pipe)
        shares = Shares(pipe, attention)
        pipe.scheduler.set_timesteps(8)
        for time in pipe.scheduler.timesteps:
            pipe.unet(noise(), time, words)
    assert shares.modulated() == (4, 8)


BLOCKS: dict[str, dict[str, Any]] = {
    "AttnDownBlock2D": {"down_block_types": ("AttnDownBlock2D", "CrossAttnDownBlock2D")},
    "AttnUpBlock2D": {"up_block_types": ("CrossAttnUpBlock2D", "AttnUpBlock2D")},
    "SimpleCrossAttnDownBlock2D": {
        "down_block_types": ("SimpleCrossAttnDownBlock2D", "DownBlock2D")
    },
    "UNetMidBlock2DSimpleCrossAttn": {"mid_block_type": "UNetMidBlock2DSimpleCrossAttn"},
    "KCrossAttnDownBlock2D": {"down_block_types": ("KCrossAttnDownBlock2D", "DownBlock2D")},
    "dual attention": {"dual_cross_attention": True},
}
SMALL = {
    "sample_size": 8,
    "block_out_channels": (8, 16),
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "attention_head_dim": 2,
    "cross_attention_dim": 16,
    "norm_num_groups": 4,
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_that_a_plan_does_not_reach_are_told(two_levels: Path, name: str) -> None:
    plan, pipe = plan_for(two_levels), stock(two_levels)
    pipe.unet = UNet2DConditionModel(**SMALL | BLOCKS[name]).eval()
    with pytest.raises(GrainError, match="G504.*does not reach"), plan_applied(plan, pipe):
        pass


def test_blocks_that_attend_to_text_alone_follow_a_plan(two_levels: Path) -> None:
    plan, pipe = plan_for(two_levels, "until 100%"), stock(two_levels)
    pipe.unet = UNet2DConditionModel(**SMALL | {"only_cross_attention": True}).eval()
    layers = attention_layers(pipe.unet)
    assert {layer.kind for name, layer in layers.items() if "mid_block" not in name} == {"cross"}
    plain = call(pipe)
    with plan_applied(plan, pipe):
        assert not torch.allclose(call(pipe), plain, atol=1e-3)
    assert torch.equal(call(pipe), plain)


def test_a_plan_moves_with_its_pipeline(plan: MaskPlan) -> None:
    attention = FoldedAttention(FRAMES, plan=plan, scope="sparse_causal")
    attention.to(torch.device("meta"))
    assert attention.key_frames_FK.device.type == "meta"
    assert attention._plan is not None
    assert attention._plan.self_relation_CC.device.type == "meta"
