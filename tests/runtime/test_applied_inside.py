"""What users do with their pipeline inside the block of a plan: set, load, save, compile, raise."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import cpu_offload
from accelerate.hooks import remove_hook_from_submodules
from diffusers import DiffusionPipeline, StableDiffusionImg2ImgPipeline
from diffusers.models.attention_processor import (
    AttnProcessor,
    AttnProcessor2_0,
    IPAdapterAttnProcessor2_0,
    SlicedAttnProcessor,
    XFormersAttnProcessor,
)
from peft import LoraConfig
from tiny_runs import FRAMES, TARGET, call, noise, plan_for, stock
from torch import Tensor

from grainspec import GrainError
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime import plan_applied
from grainspec_runtime.backbones.unets.norms import ClipNorm


@pytest.fixture
def plan(tiny_sd: Path) -> MaskPlan:
    return plan_for(tiny_sd, "until 100% decay 0")


@pytest.fixture
def pipe(tiny_sd: Path) -> DiffusionPipeline:
    return stock(tiny_sd)


def kinds(pipe: DiffusionPipeline) -> set[type]:
    return {type(processor) for processor in pipe.unet.attn_processors.values()}


def refusal(*args: Any, **kwargs: Any) -> tuple[str, str, str]:
    with pytest.raises(GrainError) as raised:
        call(*args, **kwargs)
    (found,) = raised.value.diagnostics
    return found.code, found.message, found.cure


def add_lora(pipe: DiffusionPipeline) -> None:
    torch.manual_seed(3)
    config = LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
    pipe.unet.add_adapter(config)


def sliced(pipe: DiffusionPipeline) -> None:
    pipe.enable_attention_slicing(1)


SETTINGS: dict[str, tuple[Callable[[DiffusionPipeline], Any], set[type] | None]] = {
    "attention slicing": (sliced, {SlicedAttnProcessor}),
    "fused projections": (lambda pipe: pipe.fuse_qkv_projections(vae=False), None),
    "fused and unfused": (
        lambda pipe: (pipe.fuse_qkv_projections(vae=False), pipe.unfuse_qkv_projections(vae=False)),
        {AttnProcessor2_0},
    ),
    "a processor": (lambda pipe: pipe.unet.set_attn_processor(AttnProcessor()), {AttnProcessor}),
    "freeu": (lambda pipe: pipe.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6), {AttnProcessor2_0}),
    "lora": (add_lora, {AttnProcessor2_0}),
    "offload": (
        lambda pipe: cpu_offload(pipe.unet, execution_device=torch.device("cpu")),
        {AttnProcessor2_0},
    ),
    "double precision": (lambda pipe: pipe.to(torch.float64), {AttnProcessor2_0}),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_set_inside_stays_and_so_does_the_plan(
    tiny_sd: Path, plan: MaskPlan, pipe: DiffusionPipeline, name: str
) -> None:
    set_it, processors = SETTINGS[name]
    before = stock(tiny_sd)
    set_it(before)
    latents = noise(FRAMES).to(before.unet.dtype)
    with plan_applied(plan, before):
        expected = call(before, latents=latents)
    plain = call(before, latents=latents)
    with plan_applied(plan, pipe):
        call(pipe)
        set_it(pipe)
        torch.testing.assert_close(call(pipe, latents=latents), expected, atol=1e-5, rtol=1e-5)
        assert processors is None or kinds(pipe) == processors
    assert not torch.allclose(plain, expected, atol=1e-3)
    assert processors is None or kinds(pipe) == processors
    torch.testing.assert_close(call(pipe, latents=latents), plain, atol=1e-5, rtol=1e-5)
    if name == "offload":
        remove_hook_from_submodules(pipe.unet)


def test_xformers_is_not_needed_for_a_plan(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    """Processors that compute plain attention stand aside; where xformers is, they need it."""
    with plan_applied(plan, pipe):
        expected = call(pipe)
        pipe.unet.set_attn_processor(XFormersAttnProcessor())
        assert torch.equal(call(pipe), expected)
    assert kinds(pipe) == {XFormersAttnProcessor}


def test_fused_projections_are_the_ones_that_run(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    pipe.fuse_qkv_projections(vae=False)
    with plan_applied(plan, pipe):
        once = call(pipe)
        for module in pipe.unet.modules():
            if getattr(module, "fused_projections", False) and not module.is_cross_attention:
                module.to_q.weight.data.zero_()
        assert torch.equal(call(pipe), once)


@pytest.mark.parametrize("name", ["IP-Adapter", "custom"])
def test_attention_that_would_be_lost_is_told(
    plan: MaskPlan, pipe: DiffusionPipeline, name: str
) -> None:
    class Custom(AttnProcessor2_0):
        pass

    def put() -> None:
        processors = pipe.unet.attn_processors
        for layer in processors:
            if ".attn2." in layer:
                adapter = IPAdapterAttnProcessor2_0(hidden_size=8, cross_attention_dim=16)
                processors[layer] = adapter if name == "IP-Adapter" else Custom()
        pipe.unet.set_attn_processor(processors)

    with plan_applied(plan, pipe):
        expected = call(pipe)
        put()
        code, message, cure = refusal(pipe)
        assert code == "G410"
        assert "down_blocks.0.attentions.0.transformer_blocks.0.attn2" in message
        assert ("unload_ip_adapter" if name == "IP-Adapter" else "AttnProcessor2_0()") in cure
        pipe.unet.set_attn_processor(AttnProcessor2_0())
        assert torch.equal(call(pipe), expected)
        put()
    assert kinds(pipe) >= {IPAdapterAttnProcessor2_0 if name == "IP-Adapter" else Custom}
    with pytest.raises(GrainError, match="G410"), plan_applied(plan, pipe):
        pass


def test_a_pipeline_saved_inside_is_the_plain_one(
    plan: MaskPlan, pipe: DiffusionPipeline, tmp_path: Path
) -> None:
    keys, plain = list(pipe.unet.state_dict()), call(pipe)
    with plan_applied(plan, pipe):
        call(pipe)
        assert list(pipe.unet.state_dict()) == keys
        pipe.save_pretrained(tmp_path)
    assert torch.equal(call(stock(tmp_path)), plain)


@pytest.mark.parametrize("way", ["in place", "wrapped", "forward"])
def test_a_unet_may_be_compiled_inside(two_levels: Path, way: str) -> None:
    plan, pipe = plan_for(two_levels, "until 100% decay 0 norm clip"), stock(two_levels)
    plain = call(pipe)
    torch.compiler.reset()
    with plan_applied(plan, pipe):
        expected = call(pipe)
        if way == "in place":
            pipe.unet.compile(backend="eager")
        elif way == "wrapped":
            pipe.unet = torch.compile(pipe.unet, backend="eager")
        else:
            pipe.unet.forward = torch.compile(pipe.unet.forward, backend="eager")
        torch.testing.assert_close(call(pipe), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(call(pipe), plain, atol=1e-4, rtol=1e-4)
    other = plan_for(two_levels, "until 100% decay 0 norm each frames each")
    fresh = stock(two_levels)
    with plan_applied(other, pipe):
        again = call(pipe)
    with plan_applied(other, fresh):
        torch.testing.assert_close(again, call(fresh), atol=1e-4, rtol=1e-4)


def test_another_unet_inside_is_told(tiny_sd: Path, plan: MaskPlan) -> None:
    pipe, other = stock(tiny_sd), stock(tiny_sd).unet
    with pytest.raises(GrainError, match="G415"), plan_applied(plan, pipe):
        pipe.unet = other
        call(pipe)


def test_a_replaced_forward_runs_under_the_plan(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    """As DeepCache does."""
    forward, ran = pipe.unet.forward, []

    def cached(*args: Any, **kwargs: Any) -> Any:
        ran.append(sum(isinstance(module, ClipNorm) for module in pipe.unet.modules()))
        return forward(*args, **kwargs)

    with plan_applied(plan, pipe):
        expected = call(pipe)
        pipe.unet.forward = cached
        assert torch.equal(call(pipe), expected)
    assert len(ran) == 2
    assert all(ran)
    assert pipe.unet.forward is cached


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_whatever_is_raised_in_the_unet_it_is_restored(
    plan: MaskPlan, pipe: DiffusionPipeline, error: type[BaseException]
) -> None:
    names, plain = [name for name, _ in pipe.unet.named_modules()], call(pipe)

    def fall(*_: Any) -> None:
        raise error("on purpose")

    with plan_applied(plan, pipe):
        expected = call(pipe)
        hook = pipe.unet.mid_block.register_forward_hook(fall)
        with pytest.raises(error, match="on purpose"):
            call(pipe)
        hook.remove()
        assert torch.equal(call(pipe), expected)
        hook = pipe.unet.mid_block.register_forward_hook(fall)
        with pytest.raises(error, match="on purpose"):
            call(pipe)
        hook.remove()
    assert [name for name, _ in pipe.unet.named_modules()] == names
    assert kinds(pipe) == {AttnProcessor2_0}
    assert torch.equal(call(pipe), plain)
    assert not any(module._forward_hooks for module in pipe.unet.modules())


def test_a_unet_follows_one_plan_at_a_time(tiny_sd: Path, plan: MaskPlan) -> None:
    pipe = stock(tiny_sd)
    other = StableDiffusionImg2ImgPipeline.from_pipe(pipe)
    with plan_applied(plan, pipe):
        expected = call(pipe)
        for again in (pipe, other):
            with pytest.raises(GrainError, match="G413.*already"), plan_applied(plan, again):
                pass
        assert torch.equal(call(pipe), expected)
    free = stock(tiny_sd)
    with plan_applied(plan, pipe), plan_applied(plan, free):
        assert torch.equal(call(free), expected)


def test_another_pipeline_with_the_same_unet_is_told(tiny_sd: Path, plan: MaskPlan) -> None:
    pipe = stock(tiny_sd)
    other = type(pipe)(**pipe.components, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    with plan_applied(plan, pipe):
        assert refusal(other)[0] == "G413"
        call(pipe)
    call(other)


def test_a_block_may_be_entered_again(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    block = plan_applied(plan, pipe)
    with block:
        first = call(pipe)
        with pytest.raises(GrainError, match="G413"), block:
            pass
        assert torch.equal(call(pipe), first)
    with block:
        assert torch.equal(call(pipe), first)


def test_another_thread_may_call(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    found: list[Tensor] = []
    with plan_applied(plan, pipe):
        worker = threading.Thread(target=lambda: found.append(call(pipe)))
        worker.start()
        worker.join()
        assert torch.equal(found[0], call(pipe))


def test_two_threads_at_once_are_told_and_the_first_goes_on(
    plan: MaskPlan, pipe: DiffusionPipeline, loop: Callable[[Tensor], Tensor]
) -> None:
    within, go_on, found = threading.Event(), threading.Event(), []

    def wait(*_: Any) -> None:
        within.set()
        assert go_on.wait(60)

    def run() -> None:
        with torch.no_grad():
            found.append(loop(noise(FRAMES)))

    with torch.no_grad(), plan_applied(plan, pipe):
        expected = loop(noise(FRAMES))
        hook = pipe.unet.mid_block.register_forward_hook(wait)
        worker = threading.Thread(target=run)
        worker.start()
        assert within.wait(60)
        with pytest.raises(GrainError, match="G413.*two threads"):
            loop(noise(FRAMES))
        go_on.set()
        worker.join()
        hook.remove()
        assert torch.equal(found[0], expected)
        assert torch.equal(loop(noise(FRAMES)), expected)


def test_the_scale_of_loras_counts(plan: MaskPlan, pipe: DiffusionPipeline, tiny_sd: Path) -> None:
    still = plan_for(tiny_sd, "cross 0 self 0 frames each norm each phrases in_context")
    add_lora(pipe)
    full = call(pipe)
    given = {"cross_attention_kwargs": {"scale": 0.3}}
    less = call(pipe, **given)
    assert not torch.allclose(less, full, atol=1e-4)
    with plan_applied(still, pipe):
        torch.testing.assert_close(call(pipe, **given), less, atol=1e-5, rtol=1e-5)


@pytest.fixture
def loop(pipe: DiffusionPipeline) -> Callable[[Tensor], Tensor]:
    """A loop of the user's own, of one step."""
    words = pipe.encode_prompt(TARGET, "cpu", FRAMES, False)[0].detach()
    pipe.scheduler.set_timesteps(2)
    time = pipe.scheduler.timesteps[0]

    def step(latents: Tensor) -> Tensor:
        return pipe.unet(latents, time, encoder_hidden_states=words).sample.detach()

    return step


def test_gradients_are_told(
    plan: MaskPlan, pipe: DiffusionPipeline, loop: Callable[[Tensor], Tensor]
) -> None:
    pipe.unet.enable_gradient_checkpointing()
    with plan_applied(plan, pipe):
        plain = loop(noise(FRAMES))  # nothing says that gradients are wanted
        with pytest.raises(GrainError, match="G414.*gradients"):
            loop(noise(FRAMES).requires_grad_())
        pipe.unet.train()
        with pytest.raises(GrainError, match="G414.*gradients"):
            loop(noise(FRAMES))
        with torch.no_grad():
            assert torch.equal(loop(noise(FRAMES).requires_grad_()), plain)


def test_attention_masks_are_told(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    words = pipe.encode_prompt(TARGET, "cpu", FRAMES, False)[0]
    pipe.scheduler.set_timesteps(2)
    time = pipe.scheduler.timesteps[0]
    mask = torch.ones(FRAMES, words.shape[1])
    with torch.no_grad(), plan_applied(plan, pipe):
        plain = pipe.unet(noise(), time, words).sample
        everything = pipe.unet(noise(), time, words, encoder_attention_mask=mask).sample
        assert torch.equal(everything, plain)
        mask[:, -1] = 0
        with pytest.raises(GrainError, match="G414.*`encoder_attention_mask`"):
            pipe.unet(noise(), time, words, encoder_attention_mask=mask)
        with pytest.raises(GrainError, match="G414.*`attention_mask`"):
            pipe.unet(noise(), time, words, None, None, torch.zeros(FRAMES, 64))
