"""Injection: which layers, what reaches the network, when, and that nothing of it stays."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import EXAMPLES
from command import Grain
from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.models.resnet import ResnetBlock2D
from PIL import Image
from tiny_runs import FRAMES, STEPS, TARGET, loaded, noise, plan_for
from torch import Tensor

from grainspec import Builder, EditSpec, GrainError, box, load, override, parse
from grainspec.model.spec import Control, Inject, Size
from grainspec_runtime import Editor
from grainspec_runtime.backbones.families.sd_unet.checkpoint import StableDiffusion
from grainspec_runtime.backbones.unets.decoder import InjectedLayers, injected_layers
from grainspec_runtime.backbones.unets.features import UNetFeatures
from grainspec_runtime.backbones.unets.install import installed
from grainspec_runtime.backbones.unets.memory import kept_of_attention
from grainspec_runtime.backbones.unets.norms import ClipNorm
from grainspec_runtime.conditioning.nets import load_controls
from grainspec_runtime.demo.render import render
from grainspec_runtime.demo.world import Figure, Scene, advance, caption
from grainspec_runtime.editing import resume
from grainspec_runtime.memory.out_of_memory import out_of_memory
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.modulation.layers import AttentionLayer
from grainspec_runtime.prepare import prepare
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.inject import injecting
from grainspec_runtime.processes.sample import sample
from grainspec_runtime.report.contents import contents_of
from grainspec_runtime.schedules.ddim import solver

WHOLE = Inject(features=1, self=1, feature_levels="all", self_levels="all")
SOURCE = "two men"

# --- which layers --------------------------------------------------------------------------------

SD15 = {
    "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
    "layers_per_block": 2,
}
SDXL = {
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 2,
}


def attentions(*places: str) -> tuple[str, ...]:
    """``"1.2"`` is the third attention of the second block of the decoder."""
    return tuple(f"up_blocks.{p[0]}.attentions.{p[2]}" for p in places)


def test_the_default_is_plug_and_plays_own_on_stable_diffusion() -> None:
    """Its code: residual layer `up_blocks[1].resnets[1]`; attentions {1: 1 2, 2: 0 1 2, 3: 0 1 2}."""
    found = injected_layers(Inject(), SD15)
    assert found.residual == ("up_blocks.1.resnets.1",)
    assert found.attention == attentions("1.1", "1.2", "2.0", "2.1", "2.2", "3.0", "3.1", "3.2")
    assert injected_layers(Inject(), {}) == found  # diffusers' defaults are of this shape


def test_layers_of_videograin_on_stable_diffusion() -> None:
    """Those that its code's `prepare_latents_ddim_inverted` records."""
    found = injected_layers(Inject(layers="videograin"), SD15)
    residual = ("up_blocks.1.resnets.0", "up_blocks.1.resnets.1", "up_blocks.2.resnets.0")
    assert found.residual == residual
    assert found.attention == attentions("1.1", "1.2", "2.0", "2.1", "2.2", "3.0")


def test_layers_of_videograin_on_other_decoders() -> None:
    chosen = Inject(layers="videograin")
    found = injected_layers(chosen, SDXL)
    assert found.residual == tuple(
        f"up_blocks.{b}.resnets.{n}" for b, n in ((0, 0), (0, 1), (1, 0))
    )
    assert found.attention == attentions("0.1", "0.2", "1.0")
    single = {"up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"], "layers_per_block": 2}
    found = injected_layers(chosen, single)
    assert found.residual == ("up_blocks.0.resnets.0", "up_blocks.0.resnets.1")
    assert found.attention == attentions("0.1", "0.2")
    named = injected_layers(chosen.replaced({}, self_levels=(0,)), SD15)
    assert named.attention == attentions("3.0", "3.1", "3.2")


def test_on_sdxl_it_begins_at_the_coarsest_level_too() -> None:
    found = injected_layers(Inject(), SDXL)
    assert found.residual == ("up_blocks.0.resnets.1",)
    assert found.attention == attentions("0.1", "0.2", "1.0", "1.1", "1.2")


def test_levels_count_from_the_finest() -> None:
    chosen = Inject(feature_levels=(0, 3), self_levels=(2,))
    found = injected_layers(chosen, SD15 | {"layers_per_block": [1, 1, 2, 1]})
    assert found.residual == tuple(
        f"up_blocks.{block}.resnets.{layer}" for block in (0, 3) for layer in (0, 1)
    )
    assert found.attention == attentions("1.0", "1.1", "1.2")  # two layers in the encoder
    whole = injected_layers(WHOLE, SD15)
    assert (len(whole.residual), len(whole.attention)) == (12, 9)


def test_a_share_of_nothing_takes_no_layers() -> None:
    assert injected_layers(Inject(features=0), SD15).residual == ()
    assert injected_layers(Inject(self=0), SD15).attention == ()


@pytest.mark.parametrize(
    ("inject", "config", "words"),
    [
        (Inject(feature_levels=(4,)), SD15, "has no level 4.*`feature_levels 0 1 2 3`"),
        (Inject(self_levels=(0, 3)), SD15, "no self-attention at level 3.*`self_levels 0 1 2`"),
        (Inject(self_levels=(0,)), SDXL, "no self-attention at level 0.*`self_levels 1 2`"),
        (Inject(), {"up_block_types": ["UpBlock2D"] * 3}, "no self-attention.*`self 0%`"),
        (WHOLE, {"up_block_types": ["UpBlock2D"] * 3}, "no self-attention.*`self 0%`"),
    ],
)
def test_levels_that_are_not_there(inject: Inject, config: Any, words: str) -> None:
    with pytest.raises(GrainError, match=f"G404.*{words}"):
        injected_layers(inject, config)


# --- what reaches the network --------------------------------------------------------------------


class Spy(FoldedAttention):
    """Writes down the queries and keys that attend, layer by layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen: list[tuple[Tensor, Tensor]] = []

    def self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        self.seen.append((query, key))
        return super().self_attention(layer, query, key, value)


def residuals(unet: UNet2DConditionModel) -> dict[str, list[Tensor]]:
    """From now on, what the residual blocks of the decoder add to their input, call by call."""
    found: dict[str, list[Tensor]] = {}
    for name, module in unet.named_modules():
        if isinstance(module, ResnetBlock2D) and name.startswith("up_blocks"):

            def look(block: Any, given: Any, out: Tensor, name: str = name) -> None:
                x = given[0]
                shortcut = block.conv_shortcut(x) if block.conv_shortcut else x
                added = out * block.output_scale_factor - shortcut
                found.setdefault(name, []).append(added)

            module.register_forward_hook(look)
    return found


def to_every_pass(source: Tensor, passes: int) -> Tensor:
    return torch.cat([source] * passes)


@torch.no_grad()
@pytest.mark.parametrize("norm", ["each", "clip"])
@pytest.mark.parametrize("inject", [Inject(), WHOLE], ids=["default", "whole"])
def test_both_halves_have_the_sources_features(tiny_model: Path, inject: Inject, norm: Any) -> None:
    """Queries and keys as they attend, under a plan, and what residual blocks add: the source's,
    at the chosen layers, to the bit; and the edit's own at the others."""
    checkpoint = loaded(tiny_model)
    layers = injected_layers(inject, checkpoint.unet.config)
    added = residuals(checkpoint.unet)
    plan = plan_for(tiny_model, "until 100%")
    spies = [Spy(FRAMES, norm=norm), Spy(FRAMES, plan=plan, norm=norm)]
    trajectory = torch.stack([noise() * share for share in (0.1, 0.4, 0.7, 1, 1.3)])
    step, x = 1, torch.randn(2 * FRAMES, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    words = words_of(checkpoint, "", TARGET)
    with (
        injecting(
            Denoiser(checkpoint), inject, trajectory, source=SOURCE, attention=spies[0]
        ) as denoiser,
        installed(checkpoint.unet, spies[1]),
    ):
        spies[1].begin_step(step, STEPS, 700.0)
        denoiser(x, torch.tensor(700), words, spies[1], step=step, steps=STEPS)
    names = [name for name in checkpoint.unet.attn_processors if ".attn1." in name]
    order = [name for part in ("down", "mid", "up") for name in names if name.startswith(part)]
    assert len(order) == len(spies[0].seen) == len(spies[1].seen)
    same, other = 0, 0
    for name, theirs, ours in zip(order, spies[0].seen, spies[1].seen, strict=True):
        chosen = any(name.startswith(f"{layer}.") for layer in layers.attention)
        for source, found in zip(theirs, ours, strict=True):
            assert torch.equal(found, to_every_pass(source, 2)) == chosen, name
        same, other = same + chosen, other + (not chosen)
    assert same
    assert other
    for name, (source, found) in added.items():
        near = torch.allclose(found, to_every_pass(source, 2), atol=1e-5)
        assert near == (name in layers.residual), name


def words_of(checkpoint: StableDiffusion, *prompts: str) -> dict[str, Any]:
    return Denoiser(checkpoint).checkpoint.condition(
        [checkpoint.encode_prompt(p) for p in prompts], noise()
    )


@torch.no_grad()
def test_the_source_is_at_the_point_and_timestep_of_the_step(tiny_sd: Path) -> None:
    checkpoint = loaded(tiny_sd)
    trajectory = torch.stack([noise() * share for share in range(5)])
    seen: list[tuple[Tensor, float]] = []
    checkpoint.unet.register_forward_pre_hook(lambda _, given: seen.append(given[:2]))
    with injecting(
        Denoiser(checkpoint), WHOLE, trajectory, source=SOURCE, attention=FoldedAttention(FRAMES)
    ) as denoiser:
        for step, t in enumerate((751, 501, 251, 1)):
            denoiser(
                noise(),
                torch.tensor(t),
                words_of(checkpoint, TARGET),
                FoldedAttention(FRAMES),
                step=step,
                steps=4,
            )
    for step, (source, edit) in enumerate(zip(seen[::2], seen[1::2], strict=True)):
        assert torch.equal(source[0], trajectory[4 - step])
        assert torch.equal(edit[0], noise())
        assert source[1] == edit[1] == (751, 501, 251, 1)[step]


@torch.no_grad()
def test_the_output_moves_towards_the_sources(tiny_model: Path) -> None:
    checkpoint = loaded(tiny_model)
    source = 3 * noise().flip(0, 2)
    words, t = words_of(checkpoint, "", TARGET), torch.tensor(500)
    args: Any = {"attention": FoldedAttention(FRAMES), "step": 0, "steps": 1}
    plain = Denoiser(checkpoint)
    x = torch.cat([noise(), noise()])
    with installed(checkpoint.unet, FoldedAttention(FRAMES)):
        theirs = plain(source, t, words_of(checkpoint, SOURCE), **args).repeat(2, 1, 1, 1)
        ours = plain(x, t, words, **args)
        with injecting(
            plain, WHOLE, source[None], source=SOURCE, attention=FoldedAttention(FRAMES)
        ) as denoiser:
            moved = denoiser(x, t, words, **args)
    for half in (slice(0, FRAMES), slice(FRAMES, None)):
        before, after = (float((o[half] - theirs[half]).norm()) for o in (ours, moved))
        assert after < 0.95 * before


# --- identities ----------------------------------------------------------------------------------


def way_of_sampling(
    denoiser: Denoiser, method: Any, control: FoldedAttention
) -> tuple[Tensor, Tensor]:
    """A way from noise with the source prompt, as a trajectory: sampling it back is exact."""
    scheduler = solver(denoiser.checkpoint.scheduler, method)
    scheduler.set_timesteps(STEPS)
    points = [noise()]
    end = sample(
        denoiser,
        noise()[None].expand(STEPS + 1, -1, -1, -1, -1),
        control,
        [denoiser.checkpoint.encode_prompt(SOURCE)],
        scheduler=scheduler,
        guidance=1,
        keep=lambda done, state: points.append(state["latents"].clone()),
    )
    return torch.stack(points[::-1]), end


def sampled(
    denoiser: Denoiser,
    inject: Inject | None,
    trajectory: Tensor,
    prompts: list[str],
    *,
    method: Any = "ddim",
    control: FoldedAttention | None = None,
    guidance: float = 1,
) -> Tensor:
    checkpoint = denoiser.checkpoint
    scheduler = solver(checkpoint.scheduler, method)
    scheduler.set_timesteps(STEPS)
    control = control or FoldedAttention(FRAMES)
    plain = FoldedAttention(FRAMES, norm=control.norm)
    with injecting(denoiser, inject, trajectory, source=SOURCE, attention=plain) as injected:
        return sample(
            injected,
            trajectory,
            control,
            [checkpoint.encode_prompt(prompt) for prompt in prompts],
            scheduler=scheduler,
            guidance=guidance,
        )


@pytest.mark.parametrize("method", ["ddim", "dpmpp"])
@pytest.mark.parametrize("norm", ["each", "clip"])
@pytest.mark.parametrize("inject", [Inject(), WHOLE], ids=["default", "whole"])
def test_a_clip_injected_into_itself_stays_the_same_to_the_bit(
    tiny_model: Path, inject: Inject, method: Any, norm: Any
) -> None:
    denoiser, control = Denoiser(loaded(tiny_model)), FoldedAttention(FRAMES, norm=norm)
    trajectory, end = way_of_sampling(denoiser, method, control)
    back = sampled(denoiser, inject, trajectory, [SOURCE], method=method, control=control)
    assert torch.equal(back, end)
    other = sampled(denoiser, inject, trajectory.flip(1), [SOURCE], method=method, control=control)
    assert not torch.allclose(other, end, atol=1e-2)


def test_controlnets_see_the_same_in_the_sources_pass(tiny_sd: Path, tmp_path: Path) -> None:
    checkpoint = loaded(tiny_sd)
    torch.manual_seed(1)
    made = ControlNetModel.from_unet(checkpoint.unet)
    last = made.controlnet_cond_embedding.conv_out
    for layer in [*made.controlnet_down_blocks, made.controlnet_mid_block, last]:
        torch.nn.init.normal_(layer.weight, std=0.3)
    made.save_pretrained(tmp_path)
    shown = np.random.default_rng(0).integers(0, 256, (FRAMES, 64, 64, 3), dtype=np.uint8)
    nets = [Control.model_validate({"kind": "canny", "net": str(tmp_path), "from": 0.25})]
    controls = load_controls(
        nets, [shown], Path(), str(tiny_sd), device=torch.device("cpu"), dtype=torch.float32
    )
    denoiser = Denoiser(checkpoint, controls)
    trajectory, end = way_of_sampling(denoiser, "ddim", FoldedAttention(FRAMES))
    assert torch.equal(sampled(denoiser, WHOLE, trajectory, [SOURCE]), end)
    without, _ = way_of_sampling(Denoiser(checkpoint), "ddim", FoldedAttention(FRAMES))
    assert not torch.allclose(without[0], end, atol=1e-2)
    pair = sampled(denoiser, Inject(), trajectory, ["", TARGET], guidance=5)
    assert pair.isfinite().all()


def test_of_no_steps_it_is_off(tiny_sd: Path) -> None:
    denoiser = Denoiser(loaded(tiny_sd))
    trajectory = torch.stack([noise() * share for share in (0.1, 0.4, 0.7, 1, 1.3)])
    for inject in (None, Inject(features=0, self=0)):
        with injecting(
            denoiser, inject, trajectory, source=SOURCE, attention=FoldedAttention(FRAMES)
        ) as found:
            assert found is denoiser


@torch.no_grad()
@pytest.mark.parametrize(
    ("inject", "residual", "attention"),
    [(Inject(features=0.5, self=0.25), 2, 1), (Inject(features=0.25, self=0.5), 1, 2)],
)
def test_after_its_steps_nothing_is_injected(
    tiny_sd: Path, inject: Inject, residual: int, attention: int
) -> None:
    checkpoint = loaded(tiny_sd)
    trajectory = torch.stack([noise().flip(0) * share for share in (0.1, 0.4, 0.7, 1, 1.3)])
    words, t = words_of(checkpoint, TARGET), torch.tensor(500)
    plain = Denoiser(checkpoint)
    spy, source = Spy(FRAMES), Spy(FRAMES)
    added = residuals(checkpoint.unet)
    with (
        injecting(plain, inject, trajectory, source=SOURCE, attention=source) as denoiser,
        installed(checkpoint.unet, spy),
    ):
        want = plain(noise(), t, words, spy, step=0, steps=4)
        for step in range(4):
            for record in (spy.seen, source.seen, *added.values()):
                record.clear()
            found = denoiser(noise(), t, words, spy, step=step, steps=4)
            assert torch.equal(found, want) == (step >= max(residual, attention))
            assert bool(source.seen) == (step < max(residual, attention))
            if source.seen:
                keys = torch.equal(spy.seen[-1][1], source.seen[-1][1])
                assert keys == (step < attention)
                theirs, ours = added["up_blocks.1.resnets.1"]
                near = torch.allclose(ours, theirs, atol=1e-5)
                assert near == (step < residual)


# --- nothing of it stays -------------------------------------------------------------------------


class Broken(Exception):
    pass


@torch.no_grad()
def test_the_unet_is_as_before_whatever_is_raised(tiny_model: Path) -> None:
    checkpoint = loaded(tiny_model)
    unet = checkpoint.unet
    modules, state = dict(unet.named_modules()), dict(unet.state_dict())
    words, t = words_of(checkpoint, TARGET), torch.tensor(500)
    trajectory = torch.stack([noise(), 2 * noise()])
    plain = Denoiser(checkpoint)
    whole = FoldedAttention(FRAMES)
    want = plain(noise(), t, words, whole, step=0, steps=1)
    processors = unet.attn_processors
    with (
        pytest.raises(Broken),
        injecting(
            Denoiser(checkpoint),
            WHOLE,
            trajectory,
            source=SOURCE,
            attention=FoldedAttention(FRAMES, norm="clip"),
        ) as denoiser,
        installed(unet, FoldedAttention(FRAMES, norm="clip")),
    ):
        assert not torch.equal(denoiser(noise(), t, words, whole, step=0, steps=1), want)
        raise Broken
    assert dict(unet.named_modules()) == modules
    assert not any(isinstance(module, ClipNorm) for module in unet.modules())
    assert unet.attn_processors == processors
    assert list(unet.state_dict()) == list(state)
    assert all(torch.equal(unet.state_dict()[name], weight) for name, weight in state.items())
    assert torch.equal(plain(noise(), t, words, whole, step=0, steps=1), want)


class Weighed(UNetFeatures):
    """Writes down how many bytes are kept whenever they are about to be freed."""

    held: list[int]

    def clear(self) -> None:
        self.held = [*getattr(self, "held", []), self.size]
        super().clear()


@pytest.mark.parametrize("inject", [WHOLE, Inject(features=0.5, self=1), Inject(features=0)])
def test_memory_is_one_steps_features_whatever_the_steps(
    tiny_model: Path, inject: Inject, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Weighed] = []

    def weighed(unet: UNet2DConditionModel, layers: InjectedLayers) -> Weighed:
        made.append(Weighed(unet, layers))
        return made[-1]

    module = "grainspec_runtime.backbones.unets.checkpoint"
    monkeypatch.setattr(f"{module}.UNetFeatures", weighed)
    checkpoint = loaded(tiny_model)
    trajectory = torch.stack([noise() * share for share in (0.1, 0.4, 0.7, 1, 1.3)])
    sampled(Denoiser(checkpoint), inject, trajectory, ["", TARGET], guidance=5)
    [features] = made
    layers = injected_layers(inject, checkpoint.unet.config)
    attention = 4 * FRAMES * kept_of_attention(checkpoint.unet.config, layers, 8, 8)
    at_most = max(features.held)
    assert features.size == 0
    assert len(features.held) == (2 if inject.self_ == 0.5 else 4)
    if inject.features == 1:
        assert set(features.held) == {at_most}
    elif inject.features == 0:
        assert set(features.held) == {attention}
    else:  # at the last two of four steps the residual blocks are on their own again
        assert features.held[0] == features.held[1] > features.held[2]
        assert features.held[2] == features.held[3] == attention
    assert at_most >= attention > 0


def test_when_memory_runs_out_it_is_among_what_to_lower(tiny_sd: Path) -> None:
    checkpoint = loaded(tiny_sd)
    plan = plan_for(tiny_sd, size=512)

    def cure(stage: str, inject: Inject | None) -> str:
        error = torch.OutOfMemoryError("CUDA out of memory.")
        return out_of_memory(stage, plan, checkpoint, error, inject=inject).diagnostics[0].cure

    layers = injected_layers(Inject(), checkpoint.unet.config)
    size = 4 * FRAMES * kept_of_attention(checkpoint.unet.config, layers, 64, 64)
    assert f"`inject {{ self 0% }}` saves about {size / 1e6:.0f} MB" in cure("sample", Inject())
    assert "inject" not in cure("invert", Inject())
    assert "inject" not in cure("sample", Inject(self=0))
    assert "inject" not in cure("sample", None)


def test_a_compiled_unet_has_it_too(two_levels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs: list[torch.fx.GraphModule] = []

    def count(graph: torch.fx.GraphModule, _: object) -> object:
        graphs.append(graph)
        return graph.forward

    whole = UNet2DConditionModel.compile
    monkeypatch.setattr(UNet2DConditionModel, "compile", lambda unet: whole(unet, backend=count))
    torch.compiler.reset()
    compiled, plain = loaded(two_levels, compile=True), loaded(two_levels)
    trajectory = torch.stack([noise() * share for share in (0.1, 0.4, 0.7, 1, 1.3)])
    plan = plan_for(two_levels, "until 50%")

    def edited(checkpoint: StableDiffusion, inject: Inject | None, scale: float) -> Tensor:
        control = FoldedAttention(FRAMES, plan=plan, norm="clip")
        return sampled(
            Denoiser(checkpoint),
            inject,
            trajectory * scale,
            ["", TARGET],
            control=control,
            guidance=5,
        )

    for inject, scale in [(None, 1), (Inject(features=0.75), 1), (Inject(), 2), (None, 2)]:
        torch.testing.assert_close(
            edited(compiled, inject, scale), edited(plain, inject, scale), atol=1e-4, rtol=1e-4
        )
    assert len(graphs) <= 6  # with modulation and without, and as before injection or after it


# --- asked for by a spec -------------------------------------------------------------------------


def short(*sets: str, model: Path | None = None, name: str = "instance", steps: int = 4) -> Any:
    spec = load(EXAMPLES / f"{name}.grain")
    if "unipc" in sets:
        spec = spec.replaced({}, sampler=spec.sampler.replaced({}, method="unipc"))
    few = f"sampler.steps={steps}", "attention.until=60%", "video.frames=0..1"
    chosen = [*few, *sets]
    chosen = [one for one in chosen if one != "unipc"]
    if model is not None:
        chosen += [f"model={model}"]
        video = spec.video.replaced({}, size=Size(width=64, height=64))
        spec = spec.replaced({}, video=video)
    return override(spec, chosen)


ON = ("inject.features=50%", "inject.self=25%")


def test_a_spec_turns_it_on_and_serves_itself_of_the_same_inversion() -> None:
    editor = Editor()
    plain = editor.run(short(), base=EXAMPLES)
    found = editor.run(short(*ON), base=EXAMPLES)
    again = editor.run(short(*ON), base=EXAMPLES)
    off = editor.run(short("inject.features=0%", "inject.self=0%"), base=EXAMPLES)
    assert found.inversion_cached
    assert len({one.run_key for one in (plain, found, off)}) == 3
    assert not np.array_equal(plain.edited, found.edited)
    np.testing.assert_array_equal(found.edited, again.edited)
    np.testing.assert_array_equal(off.edited, plain.edited)


@pytest.mark.parametrize(
    "more",
    [
        ["flow.levels=0"],
        ["attention.frames=sparse_causal", "attention.norm=clip"],
        ["unipc"],
        ["sampler.eta=0.5", "sampler.seed=3"],
    ],
)
def test_it_goes_with_the_other_settings(tiny_model: Path, more: list[str]) -> None:
    editor = Editor(str(tiny_model), device="cpu")
    without = editor.run(short(*more, model=tiny_model), base=EXAMPLES)
    found = editor.run(short(*ON, *more, model=tiny_model), base=EXAMPLES)
    assert not np.array_equal(found.edited, without.edited)
    recording = Editor(str(tiny_model), device="cpu", study=True)
    studied = recording.run(short(*ON, *more, model=tiny_model), base=EXAMPLES)
    np.testing.assert_array_equal(studied.edited, found.edited)
    assert studied.study is not None
    assert len(studied.study.steps) == 2  # of 4, as `until 60%` has it; the source's are no steps


class Stopped(Exception):
    pass


@pytest.mark.parametrize("step", [1, 3])
def test_a_stopped_run_continues_with_the_same_result(
    tiny_sd: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(resume, "_SECONDS_BETWEEN", 0.0)
    editor, spec = Editor(str(tiny_sd), device="cpu"), short(*ON, model=tiny_sd)
    straight = editor.run(spec, base=EXAMPLES)

    def stop(name: str, done: int, total: int) -> None:
        if (name, done) == ("sample", step) and total > 1:
            raise Stopped

    with pytest.raises(Stopped):
        editor.run(spec, base=EXAMPLES, progress=stop)
    again = editor.run(spec, base=EXAMPLES)
    assert again.resumed_at == step
    np.testing.assert_array_equal(again.edited, straight.edited)


def test_the_pose_is_kept_better(tmp_path: Path) -> None:
    """In a loose box no mask says where the limbs are: a man's, jogging, become the robot's."""
    man = Figure("man", "red", phase=0.3)
    scene, times = Scene((man,)), (0, 2)
    wanted = replace(scene, figures=(replace(man, kind="robot", colour="green"),))
    (tmp_path / "clip").mkdir()
    for number, time in enumerate(times):
        frame, _ = render(advance(scene, time))
        Image.fromarray(frame).save(tmp_path / "clip" / f"{number}.png")
    edit = (
        Builder("clip")
        .source(caption(scene))
        .target(caption(wanted))
        .region("figure", box("15%", "10%", "85%", "98%"))
        .instance("figure", "green robot")
        .attention(self=1.0, until=0.6, decay=1.0)
        .sampler(steps=15, guidance=4.0)
    )
    empty = np.stack([render(advance(replace(scene, figures=()), time))[0] for time in times])
    right = np.stack([render(advance(wanted, time))[1]["figure0"] for time in times])

    def overlap(spec: EditSpec) -> float:
        edited = Editor(device="cpu").run(spec, base=tmp_path).edited
        found = np.abs(edited.astype(int) - empty).max(-1) > 40
        return float((found & right).sum() / (found | right).sum())

    assert overlap(edit.inject().build()) > overlap(edit.build()) + 0.03


def test_levels_are_checked_before_a_model_loads(tiny_sdxl: Path) -> None:
    text = (EXAMPLES / "instance.grain").read_text()
    with pytest.raises(GrainError, match=r"G404.*no level 3.*feature_levels 0 1 2") as raised:
        prepare(parse(text + "inject { feature_levels 3 }"), EXAMPLES)
    [found] = raised.value.diagnostics
    assert found.span is not None
    assert found.span.line == text.count("\n") + 1
    spec = short("inject.self_levels=0", model=tiny_sdxl)
    with pytest.raises(GrainError, match=r"G404.*no self-attention at level 0"):
        prepare(spec, EXAMPLES)


def test_the_command_takes_it_and_the_page_says_it(grain: Grain, tmp_path: Path) -> None:
    said = grain(
        *("run", EXAMPLES / "instance.grain", "-o", tmp_path / "out", "--format", "json"),
        *("--set", "sampler.steps=2", "--set", "video.frames=0..1"),
        *("--set", "inject.features=50%", "--set", "inject.self_levels=1..2"),
    )
    assert said.code == 0, said.err
    wanted = {"features": 0.5, "self": 0.5, "feature_levels": None, "self_levels": [1, 2]}
    assert said.json["spec"]["inject"] == wanted
    manifest = json.loads((tmp_path / "out" / "run.json").read_text())
    assert manifest["spec"]["inject"] == wanted
    settings = dict(contents_of(tmp_path / "out").settings)
    assert dict(settings["Injection"]) == {"features": "0.5", "self": "0.5", "self_levels": "1 2"}


@torch.no_grad()
def test_windows_inject_the_features_of_their_own_frames(tiny_sd: Path) -> None:
    """Where frames do not look at each other, windows change nothing."""
    from grainspec.model.spec import Context
    from grainspec.plan.windows import frame_windows
    from grainspec_runtime.modulation.windowed import clip_attention

    checkpoint, frames = loaded(tiny_sd), 7
    trajectory = torch.stack([noise(frames) * share for share in (0.3, 1.0)])
    windows = frame_windows(frames, Context(frames=4, overlap=1, keys=1))
    assert len(windows) > 1
    words, t = words_of(checkpoint, TARGET), torch.tensor(500)
    x, found = noise(frames).flip(0), []
    for through in (frame_windows(frames, None), windows):
        controls = [
            clip_attention(
                through, lambda window: FoldedAttention(len(window.frames), scope="each")
            )
            for _ in range(2)
        ]
        with (
            injecting(
                Denoiser(checkpoint), WHOLE, trajectory, source=SOURCE, attention=controls[0]
            ) as denoiser,
            installed(checkpoint.unet, controls[1]),
        ):
            found.append(denoiser(x, t, words, controls[1], step=0, steps=1))
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-4)
    plain = Denoiser(checkpoint)
    whole = FoldedAttention(frames, scope="each")
    with installed(checkpoint.unet, whole):
        assert not torch.allclose(plain(x, t, words, whole, step=0, steps=1), found[0], atol=1e-3)
