"""A plan on diffusers' own pipelines of Wan."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DiffusionPipeline,
    FirstBlockCacheConfig,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    LucyEditPipeline,
    WanPipeline,
    WanTransformer3DModel,
    WanVideoToVideoPipeline,
)
from PIL import Image
from torch import Tensor
from wan import VARIANTS, WanVariant, tiny_wan
from wan_runs import (
    FRAMES,
    STEPS,
    TARGET,
    ByDefinition,
    call,
    embedded,
    plan_for,
    size_for,
    stock,
)

from grainspec import GrainError
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime import plan_applied
from grainspec_runtime.backbones.families.wan.install import installed
from grainspec_runtime.backbones.registry import load_checkpoint
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.modulation.clip import ClipAttention


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[WanVariant, Path]:
    base = tmp_path_factory.mktemp("wan")
    return {variant: tiny_wan(base / variant, variant) for variant in VARIANTS}


@pytest.fixture(scope="module")
def folder(folders: dict[WanVariant, Path]) -> Path:
    return folders["2.1"]


@pytest.fixture
def pipe(folder: Path) -> DiffusionPipeline:
    return stock(folder)


@pytest.fixture(scope="module")
def plan(folder: Path) -> MaskPlan:
    return plan_for(folder)


def fitting(pipe: DiffusionPipeline, folder: Path, settings: str = "until 100%") -> MaskPlan:
    return plan_for(folder, settings, size=size_for(pipe))


def under(plan: MaskPlan, pipe: DiffusionPipeline, **changes: Any) -> Tensor:
    with plan_applied(plan, pipe):
        return call(pipe, **changes)


class Calls:
    """What the transformers of a pipeline receive and give, in order."""

    def __init__(self, pipe: DiffusionPipeline) -> None:
        self.given: list[dict[str, Any]] = []
        self.velocities: list[Tensor] = []
        self.by: list[str] = []
        self.hooks = []
        for name in ("transformer", "transformer_2"):
            if getattr(pipe, name, None) is not None:
                module = getattr(pipe, name)
                self.hooks.append(module.register_forward_hook(self._of(name), with_kwargs=True))

    def _of(self, name: str) -> Any:
        def note(_: Any, args: Any, given: dict[str, Any], out: Any) -> None:
            self.by.append(name)
            self.given.append({key: it for key, it in given.items() if isinstance(it, Tensor)})
            self.velocities.append(out[0].clone())

        return note

    def remove(self) -> None:
        for hook in self.hooks:
            hook.remove()


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_pass_is_what_the_plan_defines(
    folders: dict[WanVariant, Path], variant: WanVariant
) -> None:
    """Every call of a pipeline's run is that of the stock transformer, or of the definition."""
    folder = folders[variant]
    pipe = stock(folder)
    plan = fitting(pipe, folder, "until 50% decay 1")
    with plan_applied(plan, pipe):
        calls = Calls(pipe)
        call(pipe)
        calls.remove()
    assert len(calls.given) == 2 * STEPS
    own = embedded(pipe)["prompt_embeds"]
    words = plan.words_ET.any(0)
    for index, (given, found) in enumerate(zip(calls.given, calls.velocities, strict=True)):
        timestep = float(given["timestep"].max())
        conditional, modulated = index % 2 == 0, index < STEPS
        expert = getattr(pipe, calls.by[index])
        received = given["encoder_hidden_states"]
        if conditional:
            assert torch.equal(received[:, ~words], own[:, ~words])
            assert not torch.allclose(received[:, words], own[:, words], atol=1e-3)
        with torch.no_grad():
            plain = expert(**given).sample
            if conditional and modulated:
                with installed([expert], ByDefinition(plan, timestep)):
                    wanted = expert(**given).sample
                torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-4)
                assert (found - plain).abs().max() > 1e-4
            else:
                assert torch.equal(found, plain)
    experts = {"2.2": {"transformer", "transformer_2"}}.get(variant, {"transformer"})
    assert set(calls.by) == experts


def test_both_experts_are_modulated(folders: dict[WanVariant, Path]) -> None:
    pipe = stock(folders["2.2"])
    with plan_applied(fitting(pipe, folders["2.2"]), pipe) as attention:
        modulated: list[tuple[str, bool]] = []
        for name in ("transformer", "transformer_2"):
            getattr(pipe, name).blocks[0].register_forward_hook(
                lambda *_, name=name: modulated.append(
                    (name, attention.modulated and attention.runs_last_pass)
                )
            )
        call(pipe)
    first, second = (
        [done for name, done in modulated if name == it] for it in ("transformer", "transformer_2")
    )
    assert first == [True, False] * (len(first) // 2)
    assert second == [True, False] * (len(second) // 2)
    assert first
    assert second


def test_one_transformer_may_be_both_experts(folders: dict[WanVariant, Path]) -> None:
    pipe = stock(folders["2.2"])
    pipe.transformer_2 = pipe.transformer
    plan = fitting(pipe, folders["2.2"], "until 100% decay 0")
    with plan_applied(plan, pipe):
        calls = Calls(pipe)
        call(pipe)
    assert len(calls.by) == 4 * STEPS  # both names' hooks see each call
    assert not any(
        torch.equal(one, other)
        for one, other in zip(calls.velocities[::4], calls.velocities[2::4], strict=True)
    )


def test_the_road_of_edits_predicts_the_same(folder: Path, pipe: DiffusionPipeline) -> None:
    plan = plan_for(folder, "until 100% decay 1")
    with plan_applied(plan, pipe):
        calls = Calls(pipe)
        call(pipe, num_inference_steps=1)
        calls.remove()
    checkpoint = load_checkpoint(str(folder), Path(), LoadOptions(device="cpu"))
    attention = checkpoint.attention(len(plan.groups), plan.attention, plan=plan)
    latents = calls.given[0]["hidden_states"][0].transpose(0, 1)
    prompts = [checkpoint.encode_prompt(""), checkpoint.encode_target(plan)]
    t = calls.given[0]["timestep"][0]
    with checkpoint.installed(attention), torch.no_grad():
        attention.begin_step(0, 1, float(t))
        conditioning = checkpoint.condition(prompts, latents)
        both = checkpoint.predict(
            torch.cat([latents, latents]), t, conditioning, range(3), step=0, steps=1
        )
    wanted = torch.cat([calls.velocities[1][0], calls.velocities[0][0]], 1).transpose(0, 1)
    torch.testing.assert_close(both, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_pipeline_is_its_own_again_afterwards(
    folders: dict[WanVariant, Path], variant: WanVariant
) -> None:
    pipe = stock(folders[variant])
    before, processors = call(pipe), pipe.transformer.attn_processors
    plan = fitting(pipe, folders[variant])
    nothing = fitting(pipe, folders[variant], "until 100% cross 0 self 0 phrases in_context")
    torch.testing.assert_close(under(nothing, pipe), before, atol=2e-5, rtol=1e-5)
    assert not torch.allclose(under(plan, pipe), before, atol=1e-3)
    with pytest.raises(RuntimeError, match="on purpose"), plan_applied(plan, pipe):
        call(pipe, callback_on_step_end=raising)
    assert torch.equal(call(pipe), before)
    assert all(pipe.transformer.attn_processors[it] is kept for it, kept in processors.items())
    assert not pipe.transformer._forward_pre_hooks
    assert not pipe.transformer._forward_hooks


def raising(*_: Any) -> None:
    raise RuntimeError("on purpose")


def test_between_calls_the_pipeline_is_the_users(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    """A callback sees stock processors, and may change the pipeline and its embeddings."""
    kinds = set()

    def look(pipe: Any, step: int, t: Any, given: dict[str, Any]) -> dict[str, Any]:
        kinds.update(type(it).__name__ for it in pipe.transformer.attn_processors.values())
        return given

    expected = under(plan, pipe)
    names = ["latents", "prompt_embeds"]
    seen = under(plan, pipe, callback_on_step_end=look, callback_on_step_end_tensor_inputs=names)
    assert torch.equal(seen, expected)
    assert kinds == {"WanAttnProcessor"}


def test_guidance_may_end_in_a_run(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    """Without guidance the one pass is modulated; also from a step on."""
    plain = call(pipe, guidance_scale=1.0)
    bound = under(plan, pipe, guidance_scale=1.0)
    assert not torch.allclose(bound, plain, atol=1e-3)

    def end(pipe: Any, step: int, t: Any, given: dict[str, Any]) -> dict[str, Any]:
        pipe._guidance_scale = 1.0 if step in (0, 1) else 5.0
        return given

    with plan_applied(plan, pipe) as attention:
        conditional = []
        pipe.transformer.blocks[0].register_forward_hook(
            lambda *_: conditional.append(attention.runs_last_pass)
        )
        call(pipe, callback_on_step_end=end)
    assert conditional == [True, False, True, True, True, False]


def test_two_calls_in_one_block_are_alike(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    with plan_applied(plan, pipe):
        assert torch.equal(call(pipe), call(pipe))
        with pytest.raises(RuntimeError, match="on purpose"):
            call(pipe, callback_on_step_end=raising)
        again = call(pipe, prompt=TARGET, negative_prompt="")
    torch.testing.assert_close(again, under(plan, pipe), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "scheduler", [FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler]
)
def test_other_schedulers_of_flow_matching(
    plan: MaskPlan, pipe: DiffusionPipeline, scheduler: Any
) -> None:
    pipe.scheduler = scheduler(shift=3.0)
    with plan_applied(plan, pipe) as attention:
        seen: list[tuple[bool, float]] = []
        pipe.transformer.blocks[0].register_forward_hook(
            lambda *_: seen.append((attention.runs_last_pass, attention.share))
        )
        call(pipe)
    passes, shares = zip(*seen, strict=True)
    assert list(passes) == [True, False] * (len(seen) // 2)
    assert shares[0] == pytest.approx(((float(pipe.scheduler.timesteps[0]) - 1) / 1000) ** 5)
    assert list(shares) == sorted(shares, reverse=True)


def test_video_to_video_begins_later(plan: MaskPlan, folder: Path, pipe: DiffusionPipeline) -> None:
    other = WanVideoToVideoPipeline(
        **{
            name: pipe.components[name]
            for name in ("tokenizer", "text_encoder", "transformer", "vae")
        },
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )
    other.set_progress_bar_config(disable=True)
    width, height = size_for(pipe)
    given = {
        **embedded(pipe),
        "video": [Image.new("RGB", (width, height), "red")] * FRAMES,
        "height": height,
        "width": width,
        "num_inference_steps": STEPS,
        "strength": 0.5,
        "output_type": "latent",
    }

    def draw() -> Tensor:
        return other(**given, generator=torch.Generator().manual_seed(0)).frames

    plain = draw()
    with plan_applied(plan_for(folder, "until 50% decay 1"), other) as attention:
        seen = []
        other.transformer.blocks[0].register_forward_hook(
            lambda *_: seen.append(attention.modulated)
        )
        assert not torch.allclose(draw(), plain, atol=1e-4)
    assert seen == [True, True, False, False], "the first of the two steps that are made"


def test_a_loop_of_the_user(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    """Its passes are told apart by their embeddings, in any order."""
    words = embedded(pipe)
    pipe.scheduler.set_timesteps(STEPS)
    t = pipe.scheduler.timesteps[:1]
    latents = torch.randn(1, 16, 3, 4, 8, generator=torch.Generator().manual_seed(0))

    def velocity(name: str) -> Tensor:
        with torch.no_grad():
            return pipe.transformer(latents, t, words[name]).sample

    plain = [velocity(name) for name in words]
    with plan_applied(plan, pipe):
        for _ in range(2):
            assert torch.equal(velocity("negative_prompt_embeds"), plain[1])
            assert not torch.allclose(velocity("prompt_embeds"), plain[0], atol=1e-3)
    with plan_applied(plan, pipe, trust_embeds=True):
        assert not torch.allclose(velocity("prompt_embeds"), plain[0], atol=1e-3)
        assert torch.equal(velocity("negative_prompt_embeds"), plain[1])


MISTAKES: dict[str, tuple[dict[str, Any], str, str]] = {
    "frames": ({"num_frames": 13}, "for 9 frames, but the pipeline makes 13", "`num_frames=9`"),
    "size": (
        {"width": 128},
        "latents of 8x4, but the pipeline's are 16x4",
        "`width=64, height=32`",
    ),
    "prompt": ({"prompt": "a red robot"}, "another prompt", "prompt=plan.target"),
    "negative": (
        {"prompt": "a red robot", "negative_prompt": TARGET},
        "another prompt",
        "prompt=plan.target",
    ),
    "videos": (
        {"prompt": TARGET, "num_videos_per_prompt": 2},
        "for one video, but the transformer receives 2 videos at once",
        "`num_videos_per_prompt=1`",
    ),
    "words": (
        {"prompt": TARGET, "max_sequence_length": 226},
        "for 512 text tokens, but the transformer receives 226",
        "`max_sequence_length=512`",
    ),
}


def told(plan: MaskPlan, pipe: Any, act: Any = call, **changes: Any) -> tuple[str, str, str]:
    with pytest.raises(GrainError) as raised, plan_applied(plan, pipe):
        act(pipe, **changes)
    (found,) = raised.value.diagnostics
    return found.code, found.message, found.cure


@pytest.mark.parametrize("name", MISTAKES)
def test_calls_that_are_not_the_plans_are_told(
    plan: MaskPlan, pipe: DiffusionPipeline, name: str
) -> None:
    changes, message, cure = MISTAKES[name]
    before = call(pipe)
    code, found, said = told(plan, pipe, **changes)
    assert code == "G404"
    assert re.search(message, found)
    assert cure in said
    assert torch.equal(call(pipe), before)


def test_embeddings_are_compared_or_trusted(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    weighted = embedded(pipe)
    weighted["prompt_embeds"] = 1.3 * weighted["prompt_embeds"]
    assert told(plan, pipe, **weighted)[0] == "G404"
    with plan_applied(plan, pipe, trust_embeds=True):
        call(pipe, **weighted)
    given = embedded(pipe)
    in_context = replace(
        plan, attention=plan.attention.replaced({}, phrases="in_context"), _cache={}
    )
    pipe.text_encoder = None
    code, _, cure = told(in_context, pipe, **given)
    assert code == "G411"
    assert "trust_embeds=True" in cure
    with plan_applied(in_context, pipe, trust_embeds=True):
        call(pipe, **given)
    code, message, cure = told(plan, pipe, **given)
    assert code == "G404"
    assert "isolates phrases" in message
    assert "phrases in_context" in cure


PLANS: dict[str, tuple[dict[str, Any], str, str]] = {
    "noise": ({"noise": "ddpm"}, "for a model with DDPM's noise levels", "Compile the plan"),
    "frames": ({"frames": "each"}, "restricted to `frames each`", "frames full"),
    "layers": ({"layers": (0, 7)}, "block 7, but the pipeline's transformer has 2", "layers 0..1"),
}


@pytest.mark.parametrize("name", PLANS)
def test_plans_for_other_models_are_told(
    plan: MaskPlan, pipe: DiffusionPipeline, name: str
) -> None:
    changes, message, cure = PLANS[name]
    if name != "noise":
        changes = {"attention": plan.attention.replaced({}, **changes)}
    code, found, said = told(replace(plan, **changes, _cache={}), pipe)
    assert code == "G404"
    assert message in found
    assert cure in said


def test_a_scheduler_of_another_kind_is_told(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    pipe.scheduler = DDIMScheduler()
    code, message, cure = told(plan, pipe)
    assert code == "G412"
    assert "DDIMScheduler" in message
    assert "use_flow_sigmas=True" in cure


def test_other_tokenizers_are_told(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    pipe.tokenizer.add_tokens(["green robot"])
    code, message, _ = told(plan, pipe)
    assert code == "G404"
    assert "“green robot” is tokens" in message


def test_other_pipelines_are_told(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    parts = {
        name: pipe.components[name]
        for name in ("tokenizer", "text_encoder", "transformer", "vae", "scheduler")
    }
    code, message, cure = told(plan, LucyEditPipeline(**parts))
    assert code == "G504"
    assert "LucyEditPipeline" in message
    assert "WanVACEPipeline" in cure


def test_caches_in_a_block_are_told(folders: dict[WanVariant, Path]) -> None:
    pipe = stock(folders["2.2"])
    plan = fitting(pipe, folders["2.2"])
    with plan_applied(plan, pipe):
        pipe.transformer_2.enable_cache(FirstBlockCacheConfig(threshold=0.1))
        with pytest.raises(
            GrainError,
            match=r"G550.*transformer_2.*FirstBlockCacheConfig.*`pipe.transformer_2.disable_cache\(\)`",
        ):
            call(pipe)
        pipe.transformer_2.disable_cache()
        call(pipe)


def test_a_transformer_follows_one_plan_of_one_pipeline(
    plan: MaskPlan, pipe: DiffusionPipeline
) -> None:
    with (
        plan_applied(plan, pipe),
        pytest.raises(GrainError, match="G413.*to this transformer"),
        plan_applied(plan, pipe),
    ):
        pass
    parts = {
        name: pipe.components[name]
        for name in ("tokenizer", "text_encoder", "transformer", "vae", "scheduler")
    }
    other = WanPipeline(**parts)
    other.set_progress_bar_config(disable=True)
    with plan_applied(plan, pipe), pytest.raises(GrainError, match="G413.*another WanPipeline"):
        call(other)
    call(other)


def test_a_replaced_transformer_is_told(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    config = dict(pipe.transformer.config)
    with (
        pytest.raises(GrainError, match="G415.*transformer was replaced"),
        plan_applied(plan, pipe),
    ):
        pipe.transformer = WanTransformer3DModel.from_config(config)
        call(pipe)


def test_gradients_are_told(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    words = embedded(pipe)["prompt_embeds"]
    pipe.scheduler.set_timesteps(STEPS)
    latents = torch.randn(1, 16, 3, 4, 8, requires_grad=True)
    with plan_applied(plan, pipe), pytest.raises(GrainError, match="G414.*gradients"):
        pipe.transformer(latents, pipe.scheduler.timesteps[:1], words)


def test_a_plan_that_ends_before_a_run_begins_is_told(
    folder: Path, pipe: DiffusionPipeline
) -> None:
    late = plan_for(folder, "until 100% until_timestep 1000")
    with pytest.warns(RuntimeWarning, match="G416.*none of the pipeline's 4 steps"):
        under(late, pipe)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        under(plan_for(folder, "until 30%"), pipe)


@pytest.mark.parametrize("in_place", [True, False])
def test_a_compiled_transformer_follows_the_plan_too(folder: Path, in_place: bool) -> None:
    plan = plan_for(folder)
    plain, compiled = stock(folder), stock(folder)
    torch.compiler.reset()
    if in_place:
        compiled.transformer.compile(backend="eager")
    else:
        compiled.transformer = torch.compile(compiled.transformer, backend="eager")
    few = {"num_inference_steps": 2}
    before = call(compiled, **few)
    bound = under(plan, compiled, **few)
    torch.testing.assert_close(bound, under(plan, plain, **few), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(call(compiled, **few), before)
    torch.compiler.reset()


def test_a_plan_moves_with_its_pipeline(plan: MaskPlan) -> None:
    attention = ClipAttention(3, plan=plan)
    attention.to(torch.device("meta"))
    assert attention.device.type == "meta"
