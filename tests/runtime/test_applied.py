"""A plan on diffusers' own pipelines."""

from __future__ import annotations

import runpy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import EXAMPLES
from diffusers import (
    ControlNetModel,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPAGPipeline,
)
from PIL import Image
from tiny_runs import FRAMES, STEPS, TARGET, loaded, noise, plan_for, sampled, stock
from torch import Tensor

from grainspec import GrainError
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime import plan_applied


def call(pipe: DiffusionPipeline, frames: int = FRAMES, **changes: Any) -> Tensor:
    """Latents of ``frames`` pictures of the target, from the same noise each time."""
    settings = {
        "prompt": TARGET,
        "latents": noise(frames),
        "num_images_per_prompt": frames,
        "num_inference_steps": STEPS,
        "guidance_scale": 5.0,
        "height": 64,
        "width": 64,
        "output_type": "latent",
    }
    return pipe(**(settings | changes)).images


def under(plan: MaskPlan, pipe: DiffusionPipeline, **changes: Any) -> Tensor:
    with plan_applied(plan, pipe):
        return call(pipe, **changes)


def test_a_pipeline_under_a_plan_draws_what_the_editor_samples(tiny_model: Path) -> None:
    """Isolated phrases, all frames in scope, guidance: the two roads are one."""
    plan = plan_for(tiny_model, "until 50% self 1")
    theirs = under(plan, stock(tiny_model))
    torch.testing.assert_close(
        theirs, sampled(loaded(tiny_model), plan, noise()), atol=1e-4, rtol=1e-4
    )


def test_a_plan_without_strengths_changes_nothing(tiny_model: Path) -> None:
    plan = plan_for(tiny_model, "cross 0 self 0 frames each norm each phrases in_context")
    pipe = stock(tiny_model)
    torch.testing.assert_close(under(plan, pipe), call(pipe), atol=1e-5, rtol=1e-5)


def test_applying_and_removing_leaves_the_pipeline_bit_identical(tiny_model: Path) -> None:
    plan, pipe = plan_for(tiny_model, "until 100%"), stock(tiny_model)
    before, processors = call(pipe), pipe.unet.attn_processors
    assert not torch.allclose(under(plan, pipe), before, atol=1e-3)
    with pytest.raises(RuntimeError, match="on purpose"), plan_applied(plan, pipe):
        raise RuntimeError("on purpose")
    assert torch.equal(call(pipe), before)
    assert all(pipe.unet.attn_processors[name] is kept for name, kept in processors.items())
    for module in (pipe.unet, pipe.text_encoder):
        assert not any(inner._forward_pre_hooks for inner in module.modules())


def test_without_guidance_the_one_pass_is_modulated(tiny_model: Path) -> None:
    plan, pipe = plan_for(tiny_model, "until 100%"), stock(tiny_model)
    plain = call(pipe, guidance_scale=1.0)
    bound = under(plan, pipe, guidance_scale=1.0)
    assert not torch.allclose(bound, plain, atol=1e-3)
    # with guidance 1 + tiny, the unconditional pass runs and counts for nothing
    near = under(plan, pipe, guidance_scale=1.0 + 1e-6)
    torch.testing.assert_close(near, bound, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("in_place", [True, False])
def test_a_compiled_unet_follows_the_plan_too(two_levels: Path, in_place: bool) -> None:
    plan, plain, compiled = plan_for(two_levels, "until 100%"), stock(two_levels), stock(two_levels)
    torch.compiler.reset()
    if in_place:
        compiled.unet.compile(backend="eager")
    else:
        compiled.unet = torch.compile(compiled.unet, backend="eager")
    few = {"num_inference_steps": 2}
    before = call(compiled, **few)
    bound = under(plan, compiled, **few)
    torch.testing.assert_close(bound, under(plan, plain, **few), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(call(compiled, **few), before)


def test_one_frame_is_text_to_image_on_any_schedule(tiny_sd: Path, tiny_sdxl: Path) -> None:
    for model in (tiny_sd, tiny_sdxl):
        plan = plan_for(model, "until 50%", frames=1)
        for scheduler in (EulerDiscreteScheduler, HeunDiscreteScheduler, None):
            pipe = DiffusionPipeline.from_pretrained(model)  # PNDM and Euler by themselves
            pipe.set_progress_bar_config(disable=True)
            if scheduler:
                pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
            shares = []
            with plan_applied(plan, pipe) as control:
                hook = pipe.unet.register_forward_hook(
                    lambda *_, c=control, s=shares: s.append(float(c.share))
                )
                bound = call(pipe, frames=1)
                hook.remove()
            first = float(pipe.scheduler.timesteps[0])
            assert shares[0] == pytest.approx(((first - 1) / 1000) ** 5)
            assert shares == sorted(shares, reverse=True)
            assert 0.3 <= sum(share > 0 for share in shares) / len(shares) <= 0.7
            assert not torch.allclose(bound, call(pipe, frames=1), atol=1e-3)


def test_two_calls_in_one_block_are_alike(tiny_sd: Path) -> None:
    plan, pipe = plan_for(tiny_sd), stock(tiny_sd)
    with plan_applied(plan, pipe):
        assert torch.equal(call(pipe), call(pipe))


def test_other_layers_of_the_text_encoder_are_for_phrases_too(tiny_sdxl: Path) -> None:
    """``clip_skip`` takes a phrase's embeddings from the layer that the prompt's come from."""
    plan = plan_for(tiny_sdxl, "cross 0 self 0 frames each")
    pipe = stock(tiny_sdxl)
    seen: list[Tensor] = []
    with plan_applied(plan, pipe):
        hook = pipe.unet.register_forward_pre_hook(
            lambda _, args, kwargs: seen.append(kwargs["encoder_hidden_states"]), with_kwargs=True
        )
        call(pipe, clip_skip=1)
        hook.remove()
    words = pipe.encode_prompt("green robot", device="cpu", clip_skip=1)[0]
    (tokens,) = plan.edits[0].tokens
    torch.testing.assert_close(seen[0][-1, list(tokens)], words[0, 1:3])
    assert not torch.allclose(seen[0][0, list(tokens)], words[0, 1:3])  # the unconditional half


def test_embeddings_may_stand_for_the_prompt(tiny_sd: Path) -> None:
    plan, pipe = plan_for(tiny_sd), stock(tiny_sd)
    words, negative = pipe.encode_prompt(TARGET, "cpu", 1, True)
    given = {"prompt": None, "prompt_embeds": words, "negative_prompt_embeds": negative}
    assert torch.equal(under(plan, pipe, **given), under(plan, pipe))


def test_image_to_image_goes_the_same_way(tiny_sd: Path) -> None:
    plan = plan_for(tiny_sd, "until 100%", frames=1)
    pipe = StableDiffusionImg2ImgPipeline.from_pipe(stock(tiny_sd))
    pipe.set_progress_bar_config(disable=True)

    def draw() -> Tensor:
        return pipe(
            TARGET,
            image=Image.new("RGB", (64, 64), "red"),
            num_inference_steps=STEPS,
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
        ).images

    plain = draw()
    with plan_applied(plan, pipe):
        assert not torch.allclose(draw(), plain, atol=1e-3)
    assert torch.equal(draw(), plain)


def test_a_pipeline_with_controlnet_goes_the_same_way(tiny_sd: Path) -> None:
    """A fresh ControlNet adds nothing, so what is drawn is known."""
    plan, pipe = plan_for(tiny_sd), stock(tiny_sd)
    net = ControlNetModel.from_unet(pipe.unet, conditioning_channels=3).eval()
    parts = {name: part for name, part in pipe.components.items() if part is not None}
    controlled = StableDiffusionControlNetPipeline(
        **parts,
        controlnet=net,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    controlled.set_progress_bar_config(disable=True)
    edges = Image.new("RGB", (64, 64), "white")
    torch.testing.assert_close(
        under(plan, controlled, image=edges), under(plan, pipe), atol=1e-4, rtol=1e-4
    )


MISTAKES: dict[str, tuple[dict[str, Any], str, str]] = {
    "frames": (
        {"num_images_per_prompt": 1, "latents": noise(1)},
        "for 2 frames, but the pipeline makes 1",
        "`prompt=plan.target, num_images_per_prompt=2`",
    ),
    "size": (
        {"width": 128, "latents": None},
        "latents of 8x8, but the pipeline's are 16x8",
        "`width=64, height=64`",
    ),
    "prompt": ({"prompt": "a red robot"}, "another prompt", "prompt=plan.target"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_calls_that_are_not_the_plans_are_told(tiny_model: Path, name: str) -> None:
    changes, message, cure = MISTAKES[name]
    pipe = stock(tiny_model)
    before = call(pipe)
    with pytest.raises(GrainError, match=message) as raised:
        under(plan_for(tiny_model), pipe, **changes)
    (found,) = raised.value.diagnostics
    assert found.code == "G404"
    assert cure in found.cure
    assert torch.equal(call(pipe), before)


def test_a_list_of_prompts_makes_too_many_images(tiny_sd: Path) -> None:
    pipe, plan = stock(tiny_sd), plan_for(tiny_sd, frames=1)
    called = {"prompt": [plan.target] * 2, "num_images_per_prompt": 1}
    with pytest.raises(GrainError, match="for 1 frame, but the pipeline makes 2") as raised:
        under(plan, pipe, **called)
    cure = raised.value.diagnostics[0].cure
    assert "one prompt, `prompt=plan.target, num_images_per_prompt=1`" in cure
    pasted = {"prompt": plan.target, "num_images_per_prompt": 1, "latents": noise(1)}
    assert len(under(plan, pipe, **pasted)) == 1


def test_another_prompt_in_a_later_call_is_told(tiny_sd: Path) -> None:
    pipe = stock(tiny_sd)
    with plan_applied(plan_for(tiny_sd), pipe):
        call(pipe)
        with pytest.raises(GrainError, match="another prompt"):
            call(pipe, prompt="a red robot")


def test_other_tokenizers_are_told(tiny_sd: Path) -> None:
    plan, pipe = plan_for(tiny_sd), stock(tiny_sd)
    pipe.tokenizer.model_max_length = 40
    with (
        pytest.raises(GrainError, match="G404.*48 text tokens.*yields 40"),
        plan_applied(plan, pipe),
    ):
        pass
    pipe.tokenizer.model_max_length = 48
    pipe.tokenizer.add_tokens(["green robot"])
    with (
        pytest.raises(GrainError, match=r"G404.*“green robot” is tokens \[2, 3\]"),
        plan_applied(plan, pipe),
    ):
        pass


def test_plans_of_flow_matching_are_told(tiny_sd: Path) -> None:
    plan = replace(plan_for(tiny_sd), noise="flow", _cache={})
    with (
        pytest.raises(GrainError, match="G404.*for a flow-matching model"),
        plan_applied(plan, stock(tiny_sd)),
    ):
        pass


def test_pipelines_of_another_kind_are_told(tiny_sd: Path) -> None:
    plan, pipe = plan_for(tiny_sd), stock(tiny_sd)
    parts = {name: part for name, part in pipe.components.items() if part is not None}
    other = StableDiffusionPAGPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    with pytest.raises(GrainError, match="G504.*PAG"), plan_applied(plan, other):
        pass

    class Other:
        unet = None

    with pytest.raises(GrainError, match="G504.*no `scheduler`"), plan_applied(plan, Other()):
        pass


def test_the_example_puts_words_in_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the plan the robot's grey is on the left and the bear's yellow on the right."""
    out = tmp_path / "bound.png"
    monkeypatch.setattr(sys, "argv", ["text_to_image.py", "-o", str(out)])
    runpy.run_path(str(EXAMPLES / "text_to_image.py"), run_name="__main__")
    assert f"wrote {out}" in capsys.readouterr().out
    pixels = np.asarray(Image.open(out)).astype(int)
    assert pixels.shape == (96, 192, 3)
    bound = pixels[20:80, 96:]
    yellow = (bound[..., 0] > 190) & (bound[..., 1] > 140) & (bound[..., 2] < 130)
    left, right = yellow[:, :48].mean(), yellow[:, 48:].mean()
    assert right > 0.15
    assert left < 0.02
