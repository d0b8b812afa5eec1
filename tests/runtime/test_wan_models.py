"""Loaded checkpoints of Wan, compared with diffusers' own pipelines.

Dimensions: P passes, F latent frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

import gc
import shutil
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from wan import VARIANTS, WanVariant, stand_in_for_ftfy, tiny_wan

from grainspec import parse
from grainspec.diagnostics import GrainError
from grainspec.model.spec import Control, EditSpec, Sampler
from grainspec_runtime.backbones import components
from grainspec_runtime.backbones.families.wan import load as load_module
from grainspec_runtime.backbones.families.wan import versions
from grainspec_runtime.backbones.families.wan.checkpoint import Wan
from grainspec_runtime.backbones.registry import load_checkpoint
from grainspec_runtime.editing.edit import edit
from grainspec_runtime.editing.editor import Editor
from grainspec_runtime.editing.result import EditResult
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.models.additions import Lora
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.prepare import prepare

FRAMES, WIDTH, HEIGHT, STEPS = 9, 64, 32, 3
TARGET, NEGATIVE = "a red robot on grass", "blurry rain"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[WanVariant, Path]:
    """A tiny checkpoint of every variant."""
    base = tmp_path_factory.mktemp("wan")
    return {variant: tiny_wan(base / variant, variant) for variant in VARIANTS}


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> WanVariant:
    """Each of them in turn."""
    name: WanVariant = request.param
    return name


def loaded(folder: Path, **options: Any) -> Wan:
    checkpoint = load_checkpoint(str(folder), Path(), LoadOptions(**{"device": "cpu", **options}))
    assert isinstance(checkpoint, Wan)
    return checkpoint


def clip(frames: int = FRAMES, seed: int = 0) -> Frames:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (frames, HEIGHT, WIDTH, 3), dtype=np.uint8)


def images(frames: Frames) -> list[Image.Image]:
    return [Image.fromarray(frame) for frame in frames]


@dataclass
class Calls:
    """What the transformers of a pipeline received and gave, in order."""

    received: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    by: list[str] = field(default_factory=list)

    def watch(self, pipe: Any) -> None:
        for name in ("transformer", "transformer_2"):
            network = getattr(pipe, name, None)
            if network is not None:
                network.register_forward_hook(self._hook(name), with_kwargs=True)

    def _hook(self, name: str) -> Any:
        def hook(module: Any, args: Any, given: dict[str, Any], output: Any) -> None:
            self.received.append(given)
            self.outputs.append(output[0].clone())
            self.by.append(name)

        return hook


def stock(folder: Path, **options: Any) -> tuple[Any, Calls]:
    """diffusers' own pipeline, and the calls of its transformers."""
    stand_in_for_ftfy()
    pipe: Any = DiffusionPipeline.from_pretrained(folder, **options)
    pipe.set_progress_bar_config(disable=True)
    calls = Calls()
    calls.watch(pipe)
    return pipe, calls


def run_stock(pipe: Any, **more: Any) -> Any:
    return pipe(
        prompt=TARGET,
        negative_prompt=NEGATIVE,
        height=HEIGHT,
        width=WIDTH,
        num_frames=FRAMES,
        num_inference_steps=STEPS,
        guidance_scale=5.0,
        generator=torch.Generator().manual_seed(0),
        output_type="latent",
        **more,
    ).frames


def embeds_of(pipe: Any, text: str) -> Tensor:
    with torch.no_grad():
        return pipe.encode_prompt(text, do_classifier_free_guidance=False, max_sequence_length=512)[
            0
        ]


def predicted(checkpoint: Wan, x_Fchw: Tensor, t: Tensor, **more: Any) -> Tensor:
    """The unconditional and the conditional prediction, ``[2 * F, c, h, w]``."""
    prompts = [checkpoint.encode_prompt(text) for text in (NEGATIVE, TARGET)]
    conditioning = checkpoint.condition(prompts, x_Fchw)
    frames = more.pop("frames", range(len(x_Fchw)))
    settings = {"step": 0, "steps": STEPS, **more}
    with torch.no_grad():
        return checkpoint.predict(torch.cat([x_Fchw] * 2), t, conditioning, frames, **settings)


def assert_same_calls(checkpoint: Wan, calls: Calls, **more: Any) -> None:
    """Every step's predictions are bit-identical to those of the stock pipeline."""
    channels = checkpoint.pipe.vae.config.z_dim
    assert len(calls.outputs) == 2 * STEPS
    for step in range(STEPS):
        given = calls.received[2 * step]
        x = given["hidden_states"][0, :channels].transpose(0, 1).float()
        t = checkpoint.pipe.scheduler.timesteps[step]
        out = predicted(checkpoint, x, t, step=step, **more)
        for index, call in enumerate((2 * step + 1, 2 * step)):  # the conditional one comes first
            expected = calls.outputs[call][0].transpose(0, 1).float()
            assert torch.equal(out[index * len(x) :][: len(x)], expected), (step, index)


def with_timesteps(checkpoint: Wan) -> Wan:
    checkpoint.pipe.scheduler.set_timesteps(STEPS)
    return checkpoint


def test_predictions_are_those_of_the_stock_pipeline(
    variant: WanVariant, folders: dict[WanVariant, Path]
) -> None:
    pipe, calls = stock(folders[variant])
    frames = clip()
    image = {"image": Image.fromarray(frames[0])} if variant == "i2v" else {}
    run_stock(pipe, **image)
    checkpoint = with_timesteps(loaded(folders[variant]))
    checkpoint.encode_clip(frames)
    assert_same_calls(checkpoint, calls)


def test_an_image_as_the_first_latent(folders: dict[WanVariant, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["ti2v"], tmp_path / "model")
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace('"WanPipeline"', '"WanImageToVideoPipeline"'))
    pipe, calls = stock(folder)
    frames = clip()
    run_stock(pipe, image=Image.fromarray(frames[0]))
    checkpoint = with_timesteps(loaded(folder))
    source = checkpoint.encode_clip(frames)
    for step, t in enumerate(checkpoint.pipe.scheduler.timesteps):
        given = calls.received[2 * step]
        x = given["hidden_states"][0].transpose(0, 1)
        torch.testing.assert_close(x[0], source[0])  # the clean image
        found = predicted(checkpoint, x, t)[3:]
        assert torch.equal(found[1:], calls.outputs[2 * step][0].transpose(0, 1)[1:])
    noise, sigma = torch.randn_like(source), 0.9
    mixed = (1 - sigma) * source + sigma * noise
    first = predicted(checkpoint, mixed, torch.tensor(900))[0]
    torch.testing.assert_close(first, (noise - source)[0], atol=1e-4, rtol=1e-4)


def test_in_bfloat16_the_same_parts_stay_in_float32(
    variant: WanVariant, folders: dict[WanVariant, Path]
) -> None:
    pipe, _ = stock(folders[variant], dtype=torch.bfloat16)
    checkpoint = loaded(folders[variant], dtype=torch.bfloat16)
    for name in ("transformer", "transformer_2"):
        if getattr(pipe, name, None) is None:
            continue
        expected, own = (
            {key: it.dtype for key, it in getattr(of, name).named_parameters()}
            for of in (pipe, checkpoint.pipe)
        )
        assert own == expected
        assert set(own.values()) == {torch.float32, torch.bfloat16}
    encoder = checkpoint.text._network
    expected = {key: it.dtype for key, it in pipe.text_encoder.named_parameters()}
    assert {key: it.dtype for key, it in encoder.named_parameters()} == expected
    assert {it.dtype for it in checkpoint.pipe.vae.parameters()} == {torch.float32}
    assert checkpoint.dtype == torch.bfloat16
    words = checkpoint.encode_prompt(TARGET).words
    assert words.dtype == torch.bfloat16
    assert torch.equal(words, embeds_of(pipe, TARGET))


@pytest.mark.parametrize("variant", ["2.1", "2.2", "ti2v"])
def test_in_bfloat16_predictions_are_those_of_the_stock_pipeline(
    variant: WanVariant, folders: dict[WanVariant, Path]
) -> None:
    pipe, calls = stock(folders[variant], dtype=torch.bfloat16)
    run_stock(pipe)
    checkpoint = with_timesteps(loaded(folders[variant], dtype=torch.bfloat16))
    assert_same_calls(checkpoint, calls)


def test_prompts_are_those_of_the_stock_pipeline(
    variant: WanVariant, folders: dict[WanVariant, Path]
) -> None:
    pipe, _ = stock(folders[variant])
    checkpoint = loaded(folders[variant])
    for text in (TARGET, "", "  a &amp;  dog\n on   grass", "robot " * 600):
        encoded = checkpoint.encode_prompt(text)
        assert torch.equal(encoded.words, embeds_of(pipe, text))
        assert bool((encoded.words[:, encoded.length :] == 0).all())
        assert bool(encoded.words[:, encoded.length - 1].any())


def test_the_text_encoder_is_in_memory_only_while_it_encodes(
    folders: dict[WanVariant, Path],
) -> None:
    checkpoint = loaded(folders["2.1"])
    first = checkpoint.encode_prompt(TARGET)
    weight = weakref.ref(next(checkpoint.text._network.parameters()))
    assert checkpoint.text.is_loaded
    x = torch.randn(3, 16, 4, 8)
    predicted(checkpoint, x, torch.tensor(900))
    gc.collect()
    assert weight() is None
    assert not checkpoint.text.is_loaded
    assert "text_encoder" not in {
        name for name, part in checkpoint.pipe.components.items() if part is not None
    }
    assert torch.equal(checkpoint.encode_prompt(TARGET).words, first.words)
    assert not checkpoint.text.is_loaded  # what was encoded before is kept
    again = checkpoint.encode_prompt("a dog")
    assert checkpoint.text.is_loaded
    assert torch.equal(loaded(folders["2.1"]).encode_prompt("a dog").words, again.words)


def test_few_embeddings_are_kept(folders: dict[WanVariant, Path]) -> None:
    checkpoint = loaded(folders["2.1"])
    for number in range(40):
        checkpoint.encode_prompt("dog " * number)
    assert len(checkpoint.text._kept) == 32
    assert max(map(len, checkpoint.text._kept.values())) == 40


def test_clips_are_encoded_and_decoded_as_the_stock_vae_does(
    variant: WanVariant, folders: dict[WanVariant, Path]
) -> None:
    pipe, _ = stock(folders[variant])
    checkpoint, frames = loaded(folders[variant]), clip()
    video = torch.from_numpy(frames.copy()).float().permute(3, 0, 1, 2)[None] / 127.5 - 1
    config = pipe.vae.config
    mean, deviation = (
        torch.tensor(values).view(1, -1, 1, 1, 1)
        for values in (config.latents_mean, config.latents_std)
    )
    with torch.no_grad():
        expected = (pipe.vae.encode(video).latent_dist.mode() - mean) / deviation
        decoded = pipe.vae.decode(expected * deviation + mean).sample
    latents = checkpoint.encode_clip(frames)
    assert latents.shape == (3, config.z_dim, *expected.shape[-2:])
    torch.testing.assert_close(latents, expected[0].transpose(0, 1), atol=1e-6, rtol=1e-5)
    shown = ((decoded[0].permute(1, 2, 3, 0) + 1) * 127.5).round().to(torch.uint8).numpy()
    found = checkpoint.decode_clip(latents)
    assert found.shape == frames.shape
    assert np.abs(found.astype(int) - shown).max() <= 1  # of a level, by rounding


def test_frames_that_fill_no_latent_are_refused(folders: dict[WanVariant, Path]) -> None:
    with pytest.raises(ValueError, match="1 frame and then 4 at a time, not 8 frames"):
        loaded(folders["2.1"]).encode_clip(clip(8))


def test_the_experts_switch_at_the_boundary(
    folders: dict[WanVariant, Path],
) -> None:
    pipe, calls = stock(folders["2.2"])
    run_stock(pipe)
    checkpoint = loaded(folders["2.2"])
    own = Calls()
    own.watch(checkpoint.pipe)
    pipe.scheduler.set_timesteps(STEPS)
    for t in pipe.scheduler.timesteps:
        predicted(checkpoint, torch.randn(3, 16, 4, 8), t)
    assert own.by == calls.by
    assert set(own.by) == {"transformer", "transformer_2"}
    for t, network in ((875.0, "transformer"), (874.9, "transformer_2")):
        assert checkpoint.experts.at(t) is getattr(checkpoint.pipe, network)
    sampler = Sampler(guidance=4, low_noise_guidance=3)
    assert [checkpoint.guidance_at(sampler, t) for t in (999.0, 875.0, 874.0)] == [4, 4, 3]
    assert checkpoint.guidance_at(Sampler(guidance=4), 100.0) == 4
    assert {name.partition(".")[0] for name, _ in checkpoint.denoiser.named_parameters()} == {
        "transformer",
        "transformer_2",
    }


def test_passes_are_named_for_caches(folders: dict[WanVariant, Path]) -> None:
    checkpoint, names = loaded(folders["2.1"]), []
    context = checkpoint.pipe.transformer.cache_context

    def noted(name: str, **more: Any) -> Any:
        names.append(name)
        return context(name, **more)

    checkpoint.pipe.transformer.cache_context = noted
    x = torch.randn(3, 16, 4, 8)
    predicted(checkpoint, x, torch.tensor(900))
    prompts = [checkpoint.encode_prompt(NEGATIVE), checkpoint.encode_prompt(TARGET)]
    of_target = SimpleNamespace(
        target=TARGET, attention=SimpleNamespace(phrases="in_context"), edits=()
    )
    target: Any = of_target
    prompts[1] = checkpoint.encode_target(target)
    with torch.no_grad():
        checkpoint.predict(
            torch.cat([x, x]), torch.tensor(900), tuple(prompts), range(3), step=0, steps=1
        )
    assert names == ["src_uncond", "src_cond", "uncond", "cond"]


def test_windows_of_a_clip_have_their_own_frames_of_conditions(
    folders: dict[WanVariant, Path],
) -> None:
    checkpoint = loaded(folders["i2v"])
    latents = checkpoint.encode_clip(clip(17))
    calls = Calls()
    calls.watch(checkpoint.pipe)
    predicted(checkpoint, latents, torch.tensor(900))
    predicted(checkpoint, latents[[0, 3, 4]], torch.tensor(900), frames=[0, 3, 4])
    whole, part = calls.received[0]["hidden_states"], calls.received[2]["hidden_states"]
    assert torch.equal(part, whole[:, :, [0, 3, 4]])
    with pytest.raises(GrainError, match="not those of the clip"):
        predicted(checkpoint, latents[:2], torch.tensor(900), frames=[0, 5])


def half_mask(frames: int = FRAMES) -> Frames:
    """White, to be edited, in a half of each frame."""
    mask = np.zeros((frames, HEIGHT, WIDTH, 3), np.uint8)
    mask[:, :, WIDTH // 2 :] = 255
    return mask


DEPTH = Control(kind="depth", scale=0.7)
INPAINT = Control(kind="inpaint", scale=0.7)


@pytest.mark.parametrize("kinds", ["depth", "inpaint", "depth and inpaint", "inpaint and depth"])
def test_controls_of_vace_are_those_of_the_stock_pipeline(
    kinds: str, folders: dict[WanVariant, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, depth, mask = clip(), clip(seed=1), half_mask()
    given = {"depth": (DEPTH, depth), "inpaint": (INPAINT, mask)}
    pipe, calls = stock(folders["vace"])
    shown = depth / np.float32(255) if "depth" in kinds else np.full(depth.shape, 0.5, np.float32)
    if "inpaint" in kinds:
        shown = np.where(mask > 0, shown, source / np.float32(255)).astype(np.float32)
    more = {"mask": images(mask)} if "inpaint" in kinds else {}
    monkeypatch.setattr(  # pictures of 8 bits have no grey of exactly one half
        pipe.video_processor,
        "preprocess_video",
        lambda video, height, width, real=pipe.video_processor.preprocess_video: (
            torch.from_numpy(2 * shown - 1).permute(3, 0, 1, 2)[None]
            if video[0] is first
            else real(video, height, width)
        ),
    )
    video = images(depth)
    first = video[0]
    run_stock(pipe, video=video, conditioning_scale=0.7, **more)
    checkpoint = with_timesteps(loaded(folders["vace"]))
    checkpoint.encode_clip(source)
    chosen = [given[kind] for kind in kinds.split(" and ")]
    controls = checkpoint.load_controls(
        [control for control, _ in chosen], [pictures for _, pictures in chosen], Path()
    )
    assert controls is not None
    assert_same_calls(checkpoint, calls, controls=controls)


def test_a_control_acts_at_its_steps_and_in_windows(folders: dict[WanVariant, Path]) -> None:
    checkpoint = loaded(folders["vace"])
    latents = checkpoint.encode_clip(clip(17))
    control = DEPTH.replaced({}, start=0.25, until=0.75)
    controls = checkpoint.load_controls((control,), (clip(17, seed=1),), Path())
    calls = Calls()
    calls.watch(checkpoint.pipe)
    for step in range(4):
        predicted(checkpoint, latents, torch.tensor(900), controls=controls, step=step, steps=4)
    scales = [given["control_hidden_states_scale"].tolist() for given in calls.received]
    assert scales[::2] == [[0, 0], [pytest.approx(0.7)] * 2, [pytest.approx(0.7)] * 2, [0, 0]]
    window = [0, 3, 4]
    predicted(checkpoint, latents[window], torch.tensor(900), controls=controls, frames=window)
    whole, part = (calls.received[at]["control_hidden_states"] for at in (0, -1))
    assert torch.equal(part, whole[:, :, window])


def test_controls_are_told_by_content(folders: dict[WanVariant, Path]) -> None:
    checkpoint = loaded(folders["vace"])
    checkpoint.encode_clip(clip())

    def facts(control: Control, pictures: Frames) -> list[Any]:
        controls = checkpoint.load_controls((control,), (pictures,), Path())
        assert controls is not None
        return controls.facts()

    one = facts(DEPTH, clip(seed=1))
    assert facts(DEPTH, clip(seed=1)) == one
    assert facts(DEPTH, clip(seed=2)) != one
    assert facts(DEPTH.replaced({}, scale=0.5), clip(seed=1)) != one
    assert facts(INPAINT, half_mask()) != facts(INPAINT, 255 - half_mask())
    assert checkpoint.load_controls((), (), Path()) is None


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ((DEPTH, Control(kind="pose", scale=0.7)), "one control video, .* of several kinds"),
        ((Control(kind="zoe"),), "was not trained on `control zoe`"),
        ((Control(kind="depth", net="lllyasviel/x"),), "follows controls itself"),
        ((DEPTH, Control(kind="inpaint")), "one video, which has one `scale`"),
        ((DEPTH, INPAINT.replaced({}, start=0.5)), "which has one `from`"),
    ],
)
def test_controls_that_vace_cannot_follow(
    controls: tuple[Control, ...], message: str, folders: dict[WanVariant, Path]
) -> None:
    checkpoint = loaded(folders["vace"])
    checkpoint.encode_clip(clip())
    with pytest.raises(GrainError, match=message) as raised:
        checkpoint.load_controls(controls, [clip()] * len(controls), Path())
    assert raised.value.diagnostics[0].code == "G546"


def test_other_models_follow_no_controls(folders: dict[WanVariant, Path]) -> None:
    with pytest.raises(GrainError, match="Use a VACE checkpoint"):
        loaded(folders["2.1"]).load_controls((DEPTH,), (clip(),), Path())


RANK = 2
_LAYERS = {
    f"{layer}.{part}": (f"{own}.{letter}", 32, 32)
    for layer, own in (("attn1", "self_attn"), ("attn2", "cross_attn"))
    for part, letter in (("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "o"))
} | {"ffn.net.0.proj": ("ffn.0", 32, 64), "ffn.net.2": ("ffn.2", 64, 32)}
"""The linear layers of a block: Wan's own name, and widths."""


def save_lora(path: Path, style: str, block: int = 0) -> dict[str, Tensor]:
    """Save a LoRA of a block's linear layers; return what it adds to each weight."""
    generator = torch.Generator().manual_seed(block)
    tensors, added = {}, {}
    for layer, (own, width, out) in _LAYERS.items():
        down = 0.3 * torch.randn(RANK, width, generator=generator)
        up = 0.3 * torch.randn(out, RANK, generator=generator)
        added[f"blocks.{block}.{layer}.weight"] = up @ down
        own = f"blocks.{block}.{own}"
        name, a, b = {
            "diffusers": (f"transformer.blocks.{block}.{layer}", "lora_A", "lora_B"),
            "wan": (f"diffusion_model.{own}", "lora_down", "lora_up"),
            "peft": (f"diffusion_model.{own}", "lora_A", "lora_B"),
            "trainer": ("lora_unet_" + own.replace(".", "_"), "lora_down", "lora_up"),
        }[style]
        tensors |= {f"{name}.{a}.weight": down, f"{name}.{b}.weight": up}
        if style == "trainer":
            tensors[f"{name}.alpha"] = torch.tensor(float(RANK))
    save_file(tensors, path)
    return added


@pytest.mark.parametrize("style", ["diffusers", "wan", "peft", "trainer"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_loras_are_fused(style: str, folders: dict[WanVariant, Path], tmp_path: Path) -> None:
    added = save_lora(tmp_path / "one.safetensors", style)
    # diffusers' converter of this trainer's files expects the first blocks
    other = save_lora(tmp_path / "other.safetensors", style, block=0 if style == "trainer" else 1)
    before = loaded(folders["2.1"]).pipe.transformer.state_dict()
    loras = (Lora(tmp_path / "one.safetensors", 0.5), Lora(tmp_path / "other.safetensors", -1.0))
    checkpoint = loaded(folders["2.1"], loras=loras)
    after = checkpoint.pipe.transformer.state_dict()
    assert after.keys() == before.keys()
    for name, weight in before.items():
        expected = weight + 0.5 * added.get(name, 0 * weight) - other.get(name, 0 * weight)
        torch.testing.assert_close(after[name], expected, msg=name)
    assert checkpoint.findings == ()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_loras_of_two_experts(folders: dict[WanVariant, Path], tmp_path: Path) -> None:
    for name in ("high_noise", "LowNoise", "ink"):
        save_lora(tmp_path / f"{name}.safetensors", "wan")
    plain = loaded(folders["2.2"]).pipe
    for name, changed in (
        ("high_noise", {"transformer"}),
        ("LowNoise", {"transformer_2"}),
        ("ink", {"transformer", "transformer_2"}),
    ):
        pipe = loaded(folders["2.2"], loras=[Lora(tmp_path / f"{name}.safetensors")]).pipe
        key = "blocks.0.attn1.to_q.weight"
        assert changed == {
            expert
            for expert in ("transformer", "transformer_2")
            if not torch.equal(
                getattr(pipe, expert).state_dict()[key], getattr(plain, expert).state_dict()[key]
            )
        }


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_lora_in_bfloat16_keeps_the_parts_in_float32(
    folders: dict[WanVariant, Path], tmp_path: Path
) -> None:
    save_lora(tmp_path / "ink.safetensors", "wan")
    dtypes = [
        {
            name: it.dtype
            for name, it in loaded(
                folders["2.1"], dtype=torch.bfloat16, loras=loras
            ).pipe.transformer.named_parameters()
        }
        for loras in ((), (Lora(tmp_path / "ink.safetensors"),))
    ]
    assert dtypes[0] == dtypes[1]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_loras_of_another_model(folders: dict[WanVariant, Path], tmp_path: Path) -> None:
    save_lora(tmp_path / "deep.safetensors", "diffusers", block=7)
    with pytest.raises(GrainError, match="does not fit the model") as raised:
        loaded(folders["2.1"], loras=[Lora(tmp_path / "deep.safetensors")])
    assert raised.value.diagnostics[0].code == "G508"
    assert "size and kind of Wan" in str(raised.value)


@pytest.mark.parametrize("variant", ["2.1", "2.2", "i2v", "vace"])
@pytest.mark.parametrize("offload", ["model", "group"])
def test_parts_that_come_and_go_compute_the_same(
    offload: str, variant: WanVariant, folders: dict[WanVariant, Path]
) -> None:
    def road(**options: Any) -> list[Tensor]:
        checkpoint = loaded(folders[variant], **options)
        latents = checkpoint.encode_clip(clip())
        outs = [predicted(checkpoint, latents, torch.tensor(t)) for t in (900, 100, 950)]
        frames = checkpoint.decode_clip(latents)
        more = checkpoint.encode_prompt("a dog").words
        return [latents, *outs, torch.from_numpy(frames), more]

    for one, other in zip(road(offload=offload), road(), strict=True):
        # weights lie elsewhere in memory, so that convolutions may round differently
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_the_vae_is_tiled_where_asked(folders: dict[WanVariant, Path]) -> None:
    vae = loaded(folders["2.1"], vae_slicing=True, vae_tiling=True).pipe.vae
    assert (vae.use_slicing, vae.use_tiling) == (True, True)
    vae = loaded(folders["2.1"]).pipe.vae
    assert (vae.use_slicing, vae.use_tiling) == (False, False)


def test_options_that_do_not_go_together(
    folders: dict[WanVariant, Path], tiny_sd: Path, tmp_path: Path
) -> None:
    for options in ({"compile": True, "device": "cuda"}, {"device": "cpu"}):
        with pytest.raises(ValueError, match="sequential offload requires a GPU"):
            loaded(folders["2.1"], offload="sequential", **options)
    word: Any = SimpleNamespace(path=tmp_path / "toy.safetensors", word=None)
    with pytest.raises(GrainError, match="no textual inversions"):
        loaded(folders["2.1"], embeddings=[word])
    with pytest.raises(GrainError, match="is for video transformers") as raised:
        load_checkpoint(str(tiny_sd), Path(), LoadOptions(device="cpu", offload="group"))
    assert raised.value.diagnostics[0].code == "G545"


@pytest.mark.parametrize("part", ["transformer", "transformer_2", "vae", "text_encoder"])
def test_missing_weights_are_errors(
    part: str, folders: dict[WanVariant, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders["2.2"], tmp_path / "model")
    [file] = (folder / part).glob("*.safetensors")
    tensors = load_file(file)
    name = max(name for name in tensors if name.endswith("weight") and "shared" not in name)
    save_file({key: it for key, it in tensors.items() if key != name}, file, {"format": "pt"})
    with pytest.raises(GrainError, match=f"{part} lacks 1 weights, such as {name}") as raised:
        loaded(folder)
    assert raised.value.diagnostics[0].code == "G502"


def test_an_old_diffusers_is_named(
    folders: dict[WanVariant, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "_NEEDED", ("WanPipeline", "WanNextPipeline"))
    with pytest.raises(GrainError, match="requires WanNextPipeline, which diffusers") as raised:
        loaded(folders["2.1"])
    assert raised.value.diagnostics[0].code == "G529"


@pytest.mark.parametrize("where", ["encoder.conv_in.weight", "decoder.conv_in.weight"])
def test_a_vae_that_breaks_down_is_named(where: str, folders: dict[WanVariant, Path]) -> None:
    checkpoint = loaded(folders["2.1"])
    checkpoint.pipe.vae.state_dict()[where].fill_(torch.nan)
    with pytest.raises(GrainError, match="the VAE produced NaN") as raised:
        checkpoint.decode_clip(checkpoint.encode_clip(clip()))
    assert raised.value.diagnostics[0].code == "G505"


SPEC = """
grain 1 video "clip" {{ size {width}x{height} }} model "{model}"
source "a man on grass" target "a red robot on grass"
region side = box({side})
edit side -> "red robot"
{more}
sampler {{ steps 3 }}
"""


LONG = 13
LEFT, RIGHT = "0%, 0%, 50%, 100%", "50%, 0%, 100%, 100%"


def spec_of(model: Path, more: str = "", side: str = LEFT) -> EditSpec:
    values = {"width": WIDTH, "height": HEIGHT, "model": model, "more": more, "side": side}
    return parse(SPEC.format(**values))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with a clip, and a clip of pictures of depth."""
    for name, frames in (("clip", clip(LONG)), ("depth", clip(LONG, seed=1))):
        (tmp_path / name).mkdir()
        for number, image in enumerate(images(frames)):
            image.save(tmp_path / name / f"{number:05}.png")
    return tmp_path


def run(model: Path, base: Path, more: str = "", **options: Any) -> EditResult:
    editor = Editor(str(model), device="cpu", use_cache=False, **options)
    return editor.run(spec_of(model, more), base=base)


def test_an_edit_with_a_control_video(folders: dict[WanVariant, Path], base: Path) -> None:
    plain, depth, inside, windows = (
        run(folders["vace"], base, more)
        for more in (
            "",
            'control depth { clip "depth" }',
            'control inpaint control depth { clip "depth" }',
            "control inpaint context { frames 9 overlap 4 keys 1 }",
        )
    )
    assert not np.array_equal(plain.edited, depth.edited)
    assert not np.array_equal(depth.edited, inside.edited)
    mask, pictures = inside.controls
    assert (mask[:, :, : WIDTH // 2] == 255).all()
    assert (mask[:, :, WIDTH // 2 :] == 0).all()
    assert np.array_equal(pictures, clip(LONG, seed=1))
    assert windows.edited.shape == plain.edited.shape


def test_masks_of_ones_own_are_white_where_the_clip_is_edited(
    folders: dict[WanVariant, Path], base: Path
) -> None:
    (base / "masks").mkdir()
    for number, image in enumerate(images(half_mask(LONG))):
        image.save(base / "masks" / f"{number:05}.png")
    own = run(folders["vace"], base, 'control inpaint { clip "masks" }')
    assert (own.controls[0][:, :, WIDTH // 2 :] == 255).all()
    other = run(folders["vace"], base, "control inpaint")
    assert not np.array_equal(own.edited, other.edited)


def test_variants_that_edit_other_regions_run_alone(
    folders: dict[WanVariant, Path], base: Path
) -> None:
    one, other = (
        prepare(spec_of(folders["vace"], "control inpaint", side), base) for side in (LEFT, RIGHT)
    )
    editor = Editor(str(folders["vace"]), device="cpu", use_cache=False)
    with editor.session([one]) as session:
        assert edit(session, one).edited.shape == clip(LONG).shape
        with pytest.raises(GrainError, match="an edit has other edited regions") as raised:
            edit(session, other)
    assert raised.value.diagnostics[0].code == "G547"


@pytest.mark.parametrize(
    ("variant", "control", "message"),
    [
        ("vace", "control normal", "was not trained on `control normal`"),
        ("vace", 'control depth { net "x/y" }', "without a ControlNet"),
        ("vace", "control depth control pose", "one control video"),
        ("2.1", "control depth", "not supported"),
    ],
)
def test_controls_are_checked_before_a_model_is_loaded(
    variant: WanVariant,
    control: str,
    message: str,
    folders: dict[WanVariant, Path],
    base: Path,
) -> None:
    with pytest.raises(GrainError, match=message):
        prepare(spec_of(folders[variant], control), base)


def test_stable_diffusion_has_no_inpaint(tiny_sd: Path, base: Path) -> None:
    with pytest.raises(GrainError, match="`control inpaint` is for VACE") as raised:
        prepare(spec_of(tiny_sd, "control inpaint"), base)
    assert raised.value.diagnostics[0].code == "G546"


@pytest.mark.parametrize("process", ["flow_edit", "invert_and_sample"])
def test_the_text_encoder_is_loaded_once_for_an_edit(
    process: str, folders: dict[WanVariant, Path], base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    real = components.load_component

    def counted(model: Any, folder: Path, **more: Any) -> Any:
        names.append(folder.name)
        return real(model, folder, **more)

    monkeypatch.setattr(load_module, "load_component", counted)
    spec = spec_of(folders["2.1"])
    spec = spec.replaced({}, sampler=spec.sampler.replaced({}, process=process))
    Editor(str(folders["2.1"]), device="cpu", use_cache=False).run(spec, base=base)
    assert names.count("text_encoder") == 1
