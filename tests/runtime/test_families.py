"""The contract of a model family: the same tests for every pipeline class of every family.

A new family is tested by adding a tiny checkpoint of each of its pipelines to
``tiny_models.TINY``; nothing here knows what kind of network it is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from tiny_models import TINY
from torch import Tensor

from grainspec import GrainError, parse
from grainspec.model.spec import Inject, Modulation, Sampler
from grainspec.plan.backbone import Backbone
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.layout import Layout
from grainspec_runtime import Editor, plan_applied
from grainspec_runtime.backbones.family import Checkpoint
from grainspec_runtime.backbones.registry import (
    describe,
    families,
    find_model,
    load_checkpoint,
    native_size,
    pipelines,
)
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.modulation.layers import Attend, AttentionLayer

FRAMES, SIDE = 3, 64
TARGET = "a green robot and a yellow bear on grass"
SPEC = """
grain 1 video "clip" {{ size {side}x{side} }} model "{model}" target "{target}"
region left = box(0%, 0%, 50%, 100%) region right = box(50%, 0%, 100%, 100%)
edit left -> "green robot" edit right -> "yellow bear"
attention {{ until 100% decay 1 }} sampler {{ steps 3 }}
"""


class Seen:
    """An attention recorder that notes the layers and their latent tokens."""

    def __init__(self) -> None:
        self.layers: dict[AttentionLayer, int] = {}

    def begin_step(self, step: int, steps: int, *, modulated: bool) -> None:
        """Note nothing."""

    def record(
        self, layer: AttentionLayer, attend: Attend, query: Tensor, key: Tensor, out: Tensor
    ) -> None:
        """Note the layer."""
        self.layers[layer] = query.shape[2]


@pytest.fixture(scope="module", params=sorted(pipelines()))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert request.param in TINY, f"add a tiny {request.param} to tiny_models.TINY"
    folder = tmp_path_factory.mktemp("family") / request.param
    save: Any = TINY[request.param]
    save(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(model: Path) -> Checkpoint:
    return load_checkpoint(str(model), Path(), LoadOptions(device="cpu"))


@pytest.fixture(scope="module")
def backbone(model: Path) -> Backbone:
    return describe(str(model), Path())


@pytest.fixture(scope="module")
def plan(model: Path, backbone: Backbone) -> MaskPlan:
    masks = {name: np.zeros((FRAMES, SIDE, SIDE), bool) for name in ("left", "right")}
    masks["left"][:, :, : SIDE // 2] = masks["right"][:, :, SIDE // 2 :] = True
    spec = parse(SPEC.format(side=SIDE, model=model, target=TARGET))
    return compile_plan(spec, Layout.of(masks), backbone).plan


@pytest.fixture
def clip() -> Any:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (FRAMES, SIDE, SIDE, 3), dtype=np.uint8)


def plain(plan: MaskPlan) -> Modulation:
    """The plan's settings, with every frame for itself: what a stock pass computes."""
    return plan.attention.replaced({}, frames="each", norm="each")


def prediction(
    checkpoint: Checkpoint, latents: Tensor, attention: Any, *, prompts: tuple[str, ...] = (TARGET,)
) -> Tensor:
    x = torch.cat([latents] * len(prompts))
    encoded = [checkpoint.encode_prompt(text) for text in prompts]
    conditioning = checkpoint.condition(encoded, latents)
    frames = range(len(latents))
    with torch.no_grad(), checkpoint.installed(attention):
        attention.begin_step(0, 10, 900.0)
        return checkpoint.predict(x, torch.tensor(900), conditioning, frames, step=0, steps=10)


# --- before a model is loaded ---------------------------------------------------------------------


def test_a_family_is_found_by_the_checkpoints_own_class(model: Path) -> None:
    found, family = find_model(str(model), Path())
    assert found.pipeline in family.parts
    assert pipelines()[found.pipeline] is family
    assert family in families()
    assert family.name
    assert set(family.weighted) & set(family.parts[found.pipeline])


def test_it_is_described_without_torch(model: Path) -> None:
    source = (
        "import sys; from pathlib import Path\n"
        "from grainspec_runtime.backbones.registry import describe, native_size\n"
        f"describe({str(model)!r}, Path()).tokenize('a red robot')\n"
        f"native_size({str(model)!r}, Path())\n"
        "assert not {'torch', 'diffusers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", source], check=True)


def test_it_is_reviewed_without_its_tokenizer(model: Path) -> None:
    source = (
        "import sys; from pathlib import Path\n"
        "from grainspec_runtime.backbones.registry import find_model\n"
        f"found, family = find_model({str(model)!r}, Path())\n"
        "assert family.review(found) == []\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'tokenizers', 'huggingface_hub'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", source], check=True)


def test_its_description_is_whole(model: Path, backbone: Backbone) -> None:
    assert backbone.name == str(model)
    size = native_size(str(model), Path())
    assert size == backbone.native
    assert size.size == backbone.native_size
    assert set(backbone.attended_levels) <= set(range(backbone.level_count))
    spans = backbone.tokenize(TARGET)
    assert len(spans) == backbone.max_tokens
    words = {TARGET[start:end] for start, end in spans if start < end}
    assert {"green", "robot", "grass"} <= words
    assert spans[-1][0] == spans[-1][1]  # padding stands nowhere


def test_what_it_cannot_do_is_found_before_it_loads(model: Path, tmp_path: Path) -> None:
    found, family = find_model(str(model), Path())
    spec = parse(SPEC.format(side=SIDE, model=model, target=TARGET))
    family.check(spec, tmp_path, found)
    impossible = spec.replaced({}, inject=Inject(feature_levels=(15,)))
    with pytest.raises(GrainError):
        family.check(impossible, tmp_path, found)


# --- a loaded model -------------------------------------------------------------------------------


def test_it_is_loaded_as_it_was_asked_for(model: Path, checkpoint: Checkpoint) -> None:
    assert checkpoint.name == str(model)
    assert checkpoint.folder == model
    assert checkpoint.device == torch.device("cpu")
    assert checkpoint.dtype == torch.float32
    assert not any(weight.requires_grad for weight in checkpoint.denoiser.parameters())
    assert checkpoint.load_controls((), (), Path()) is None
    half = load_checkpoint(str(model), Path(), LoadOptions(device="cpu", dtype=torch.bfloat16))
    assert half.dtype == torch.bfloat16


def test_clips_become_latents_and_come_back(
    checkpoint: Checkpoint, backbone: Backbone, clip: Any
) -> None:
    latents = checkpoint.encode_clip(clip)
    assert latents.ndim == 4
    assert len(latents) == len(backbone.frame_groups(FRAMES))
    assert tuple(latents.shape[-2:]) == backbone.latent_size(SIDE, SIDE)
    assert latents.is_contiguous()
    assert torch.equal(latents, checkpoint.encode_clip(clip))
    frames = checkpoint.decode_clip(latents)
    assert frames.shape == clip.shape
    assert frames.dtype == np.uint8


def test_predictions_are_of_the_latents_shape(
    checkpoint: Checkpoint, plan: MaskPlan, clip: Any
) -> None:
    latents = checkpoint.encode_clip(clip)
    attention = checkpoint.attention(len(latents), plain(plan))
    assert attention.frames == len(latents)
    output = prediction(checkpoint, latents, attention, prompts=("", TARGET))
    assert output.shape == (2 * len(latents), *latents.shape[1:])
    assert output.dtype == torch.float32
    assert output.isfinite().all()


def test_its_schedule_is_the_one_that_the_compiler_knows(
    checkpoint: Checkpoint, backbone: Backbone
) -> None:
    schedule = checkpoint.schedule
    assert schedule.methods
    for method in schedule.methods:
        solver = schedule.solver(Sampler(method=method, steps=5), checkpoint.device)
        assert solver.timesteps.tolist() == backbone.timesteps(5, method)
    x = torch.zeros(1)
    rates = [schedule.rates(t, x) for t in solver.timesteps.flip(0)]
    for less, more in zip([schedule.clean_rates(x), *rates], rates, strict=False):
        assert less.signal >= more.signal
        assert less.noise <= more.noise


# --- attention ------------------------------------------------------------------------------------


def test_every_layer_has_its_plans_grid(
    checkpoint: Checkpoint, backbone: Backbone, plan: MaskPlan, clip: Any
) -> None:
    """Layers are known by name; each attends on the token grid of its level, and all are seen."""
    seen = Seen()
    latents = checkpoint.encode_clip(clip)
    attention = checkpoint.attention(len(latents), plan.attention, plan=plan, recorder=seen)
    prediction(checkpoint, latents, attention, prompts=("", TARGET))
    assert {layer.level for layer in seen.layers} == set(backbone.attended_levels)
    assert {layer.kind for layer in seen.layers} in ({"self", "cross"}, {"joint"})
    assert len({layer.name for layer in seen.layers}) == len(seen.layers)
    modules = dict(checkpoint.denoiser.named_modules())
    for layer, tokens in seen.layers.items():
        assert layer.name in modules
        assert tokens == plan.levels[layer.level].tokens


def test_without_a_plan_it_is_the_stock_network(
    checkpoint: Checkpoint, plan: MaskPlan, clip: Any
) -> None:
    latents = checkpoint.encode_clip(clip)
    attention = checkpoint.attention(len(latents), plain(plan))
    installed = prediction(checkpoint, latents, attention)
    conditioning = checkpoint.condition([checkpoint.encode_prompt(TARGET)], latents)
    with torch.no_grad():
        stock = checkpoint.predict(
            latents, torch.tensor(900), conditioning, range(len(latents)), step=0, steps=10
        )
    torch.testing.assert_close(installed, stock, atol=1e-5, rtol=1e-5)


def test_a_plan_acts_in_the_conditional_pass_alone_and_while_it_is_active(
    checkpoint: Checkpoint, plan: MaskPlan, clip: Any
) -> None:
    latents = checkpoint.encode_clip(clip)
    count, settings = len(latents), plan.attention
    without = checkpoint.attention(count, settings)
    with_plan = checkpoint.attention(count, settings, plan=plan)
    before = prediction(checkpoint, latents, without, prompts=("", TARGET))
    after = prediction(checkpoint, latents, with_plan, prompts=("", TARGET))
    torch.testing.assert_close(after[:count], before[:count], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(after[count:], before[count:], atol=1e-4)
    late = plan.attention.replaced({}, until_timestep=1e6)
    idle = checkpoint.attention(count, settings, plan=_with(plan, late))
    assert torch.equal(prediction(checkpoint, latents, idle, prompts=("", TARGET)), before)


def _with(plan: MaskPlan, settings: Modulation) -> MaskPlan:
    from dataclasses import replace

    return replace(plan, attention=settings, _cache={})


def test_it_comes_off_whatever_is_raised(checkpoint: Checkpoint, plan: MaskPlan) -> None:
    network = checkpoint.denoiser
    modules, processors = dict(network.named_modules()), _processors(network)
    weights = {name: weight.clone() for name, weight in network.state_dict().items()}
    attention = checkpoint.attention(FRAMES, plan.attention, plan=plan)
    with pytest.raises(KeyError), checkpoint.installed(attention):
        assert _processors(network) != processors
        raise KeyError
    assert dict(network.named_modules()) == modules
    assert _processors(network) == processors
    assert all(torch.equal(weight, weights[name]) for name, weight in network.state_dict().items())


def _processors(network: torch.nn.Module) -> dict[str, object]:
    return {
        name: module.processor
        for name, module in network.named_modules()
        if hasattr(module, "processor")
    }


# --- what else a run asks for ---------------------------------------------------------------------


def test_what_changes_a_pass_is_told_as_json(checkpoint: Checkpoint, plan: MaskPlan) -> None:
    facts = checkpoint.pass_facts(plan.attention)
    assert json.loads(json.dumps(facts)) == facts
    assert checkpoint.pass_facts(plan.attention.replaced({}, cross=0.1)) == facts
    assert checkpoint.pass_facts(plain(plan)) != facts


def test_its_memory_is_estimated(checkpoint: Checkpoint) -> None:
    memory = checkpoint.memory
    weights = memory.weights()
    assert weights["vae"] > 0
    assert 0 < memory.denoiser_weights() < sum(weights.values())
    size = {"height": SIDE, "width": SIDE}
    one, two = (memory.denoiser_frame(passes=passes, **size) for passes in (1, 2))
    assert 0 < one < two
    assert memory.vae_frame(**size) > 0
    assert memory.injected_frame(Inject(), **size) > 0
    assert memory.vae_batch >= 1
    assert memory.vae_tile > 0
    assert memory.pixels_per_latent >= 1


def test_features_are_kept_and_given(checkpoint: Checkpoint, plan: MaskPlan, clip: Any) -> None:
    source = checkpoint.encode_clip(clip)
    other = torch.randn_like(source)
    attention = checkpoint.attention(len(source), plain(plan))
    features = checkpoint.source_features(Inject(features=1, self=1))
    kinds = {"residual": True, "attention": True}
    alone = prediction(checkpoint, other, attention)
    with features.installed():
        with features.storing(**kinds):
            kept = prediction(checkpoint, source, attention)
        with features.replacing(**kinds):
            given = prediction(checkpoint, source, attention)
            changed = prediction(checkpoint, other, attention)
        features.clear()
        assert torch.equal(prediction(checkpoint, other, attention), alone)
    torch.testing.assert_close(given, kept, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(changed, alone, atol=1e-4)
    assert torch.equal(prediction(checkpoint, other, attention), alone)


def test_plans_go_on_its_pipelines(model: Path, plan: MaskPlan) -> None:
    pipe = DiffusionPipeline.from_pretrained(model)
    pipe.set_progress_bar_config(disable=True)
    assert [family for family in families() if family.owns(pipe)]

    def call() -> Any:
        return pipe(
            plan.target,
            num_inference_steps=2,
            num_images_per_prompt=FRAMES,
            width=SIDE,
            height=SIDE,
            generator=torch.Generator().manual_seed(0),
            output_type="np",
        ).images

    before = call()
    with plan_applied(plan, pipe):
        during = call()
    assert during.shape == (FRAMES, SIDE, SIDE, 3)
    assert not np.array_equal(before, during)
    np.testing.assert_array_equal(before, call())


def test_a_whole_edit_repeats(model: Path, tmp_path: Path, clip: Any) -> None:
    from PIL import Image

    (tmp_path / "clip").mkdir()
    for number, frame in enumerate(clip):
        Image.fromarray(frame).save(tmp_path / "clip" / f"{number:05}.png")
    spec = parse(SPEC.format(side=SIDE, model=model, target=TARGET))
    results = [
        Editor(str(model), device="cpu", use_cache=False, **more).run(spec, base=tmp_path)
        for more in ({}, {"reconstruct": True, "study": True})
    ]
    assert results[0].edited.shape == clip.shape
    np.testing.assert_array_equal(results[0].edited, results[1].edited)
    assert results[1].study is not None
    assert results[1].reconstruction is not None
