"""ControlNets: pictures of what is looked for, and networks that hold an edit to them."""

from __future__ import annotations

import gc
import json
import random
import shutil
import sys
import types
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import torch
from clips import EXAMPLES
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline
from PIL import Image
from tiny_models import save_net
from tiny_runs import FRAMES, STEPS, TARGET, loaded, noise, stock

from grainspec import EditSpec, GrainError, parse
from grainspec.clip.crop import FrameCrop
from grainspec.clip.facts import probe
from grainspec.diagnostics import Diagnostic
from grainspec.model.spec import DEMO, Control
from grainspec_runtime import Editor
from grainspec_runtime.backbones.families.sd_unet.checkpoint import StableDiffusion
from grainspec_runtime.bench.cases import make_case
from grainspec_runtime.bench.clips import RenderedCase
from grainspec_runtime.bench.edit import Bench
from grainspec_runtime.bench.methods import OURS
from grainspec_runtime.conditioning.annotate import annotator
from grainspec_runtime.conditioning.depth import DepthAnnotator, predicts_of
from grainspec_runtime.conditioning.nets import load_controls
from grainspec_runtime.conditioning.pictures import control_pictures
from grainspec_runtime.demo import world
from grainspec_runtime.demo.pose import pose_picture
from grainspec_runtime.demo.render import render
from grainspec_runtime.editing.edit import edit
from grainspec_runtime.measures.fidelity import psnr
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.prepare import prepare
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.sample import sample
from grainspec_runtime.schedules.ddim import solver

CPU = torch.device("cpu")
SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"


@pytest.fixture(scope="module")
def net(tiny_sd: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_net(loaded(tiny_sd).unet, tmp_path_factory.mktemp("net"))


def pictures(seed: int = 0) -> Frames:
    return np.random.default_rng(seed).integers(0, 256, (FRAMES, 64, 64, 3), dtype=np.uint8)


def sampled(model: Path, nets: list[Control], shown: list[Frames]) -> torch.Tensor:
    checkpoint = loaded(model)
    controls = load_controls(nets, shown, Path(), str(model), device=CPU, dtype=torch.float32)
    scheduler = solver(checkpoint.scheduler, "ddim")
    scheduler.set_timesteps(STEPS)
    prompts = [checkpoint.encode_prompt(""), checkpoint.encode_prompt(TARGET)]
    start = noise()[None].expand(STEPS + 1, -1, -1, -1, -1)
    control = FoldedAttention(FRAMES, scope="each")
    return sample(
        Denoiser(checkpoint, controls), start, control, prompts, scheduler=scheduler, guidance=5
    )


@pytest.mark.parametrize("span", [(0.0, 1.0), (0.25, 0.75)])
def test_as_diffusers_own_pipeline(tiny_sd: Path, net: Path, span: tuple[float, float]) -> None:
    start, until = span
    control = Control.model_validate(
        {"kind": "canny", "net": str(net), "scale": 0.7, "from": start, "until": until}
    )
    ours = sampled(tiny_sd, [control], [pictures()])
    parts = stock(tiny_sd).components
    pipe = StableDiffusionControlNetPipeline(
        **parts, controlnet=ControlNetModel.from_pretrained(net), requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(
        [TARGET] * FRAMES,
        image=[Image.fromarray(frame) for frame in pictures()],
        num_inference_steps=STEPS,
        guidance_scale=5.0,
        controlnet_conditioning_scale=0.7,
        control_guidance_start=start,
        control_guidance_end=until,
        latents=noise(),
        output_type="latent",
    ).images
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=2e-4)
    assert not torch.allclose(ours, sampled(tiny_sd, [], []), atol=1e-2)


def test_several_add_up(tiny_sd: Path, net: Path) -> None:
    def control(scale: float) -> Control:
        return Control(kind="depth", net=str(net), scale=scale)

    both = sampled(tiny_sd, [control(0.2), control(0.5)], [pictures(), pictures()])
    one = sampled(tiny_sd, [control(0.7)], [pictures()])
    torch.testing.assert_close(both, one, atol=1e-4, rtol=1e-4)
    other = sampled(tiny_sd, [control(0.2), control(0.5)], [pictures(), pictures(1)])
    assert not torch.allclose(both, other, atol=1e-3)


def spec_with(control: str, model: Path | str = "demo", crop: str = "") -> EditSpec:
    return parse(
        f'grain 1 video "clips/two_men.mp4" {{ frames 0..1 size 64x64 {crop} }} model "{model}" '
        'target "a green robot on grass" region r = box(0%, 0%, 70%, 100%) '
        f'edit r -> "green robot" sampler ddim {{ steps 2 }} {control}'
    )


def test_an_edit_under_control(tiny_sd: Path, net: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "clips", tmp_path / "clips")
    editor = Editor(str(tiny_sd), device="cpu", use_cache=False)
    free = editor.run(spec_with("", tiny_sd), base=tmp_path)
    held = editor.run(spec_with(f'control canny {{ net "{net}" }}', tiny_sd), base=tmp_path)
    assert (free.edited != held.edited).any()
    (edges,) = held.controls
    assert edges.shape == held.source.shape
    assert set(np.unique(edges)) == {0, 255}
    again = editor.run(
        spec_with(f'control canny {{ net "{net}" clip "clips/two_men.mp4" }}', tiny_sd),
        base=tmp_path,
    )
    assert np.array_equal(again.controls[0], again.source)  # the clip itself, as its own control


def test_a_clip_of_another_size_is_scaled(tiny_sd: Path, net: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "clips", tmp_path / "clips")
    (tmp_path / "depth").mkdir()
    for number in range(2):
        ramp = np.tile(np.linspace(0, 255, 192, dtype=np.uint8), (192, 1))
        Image.fromarray(ramp).save(tmp_path / "depth" / f"{number:05}.png")
    crop = "crop box(50%, 0%, 100%, 50%)"
    spec = spec_with(f'control depth {{ net "{net}" clip "depth" }}', tiny_sd, crop)
    result = Editor(str(tiny_sd), device="cpu", use_cache=False).run(spec, base=tmp_path)
    (depth,) = result.controls
    assert depth[0, 0, 0, 0] == pytest.approx(128, abs=3)  # the crop's left edge
    assert depth[0, 0, -1, 0] == pytest.approx(254, abs=3)


def test_a_clip_of_another_rate_is_matched_by_time(tmp_path: Path) -> None:
    """A control clip with every frame twice, at twice the rate: frame k is its frame 2k."""
    for name, times, fps in (("clip.mp4", 1, 8), ("double.mp4", 2, 16)):
        shades = [np.full((64, 64, 3), 20 * k, np.uint8) for k in range(8) for _ in range(times)]
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("libx264", rate=fps)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            for shade in shades:
                frame = av.VideoFrame.from_ndarray(shade, format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    facts = probe(tmp_path / "clip.mp4")
    crop = FrameCrop((0, 0, 64, 64), 64, 64)
    pictures = control_pictures(
        Control(kind="canny", clip="double.mp4"),
        np.empty((3, 64, 64, 3), np.uint8),
        base=tmp_path,
        clip=tmp_path / "clip.mp4",
        model=SD15,
        frames=[2, 3, 6],
        crop=crop,
        facts=facts,
        device=CPU,
    )
    assert [round(float(picture.mean()) / 20) for picture in pictures] == [2, 3, 6]


# --- what looks for things ---


def test_canny_finds_edges() -> None:
    frames = np.zeros((1, 40, 40, 3), np.uint8)
    frames[:, :, 20:] = 255
    found = annotator(Control(kind="canny"), Path(), SD15, device=CPU)(frames)
    assert found.shape == frames.shape
    assert (found[0, 5:-5, 18:22].max(axis=1) == 255).all()
    assert not found[0, :, :15].any()


def test_depth_is_one_scale_for_the_clip(tmp_path: Path) -> None:
    from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessor

    torch.manual_seed(0)
    config = DPTConfig(
        hidden_size=8,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=8,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        reassemble_factors=[4, 2, 1, 0.5],
        is_hybrid=False,
    )
    model = DPTForDepthEstimation(config)
    for parameter in model.head.parameters():
        parameter.data.abs_()  # or the last ReLU would make all of it nothing
    model.save_pretrained(tmp_path)
    DPTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    frames = pictures()
    control = Control(kind="depth", annotator=str(tmp_path))
    found = annotator(control, Path(), SD15, device=CPU)(frames)
    assert found.shape == frames.shape
    assert (found.min(), found.max()) == (0, 255)
    assert (found[..., 0] == found[..., 2]).all()


def test_controlnet_aux_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Detector:
        @classmethod
        def from_pretrained(cls, place: str) -> Detector:
            assert place == "lllyasviel/Annotators"
            return cls()

        def to(self, device: torch.device) -> Detector:
            return self

        def __call__(self, image: Image.Image, **sizes: int) -> Image.Image:
            assert sizes == {"detect_resolution": 64, "image_resolution": 64}
            return image.convert("L").resize((32, 32))

    fake: Any = types.ModuleType("controlnet_aux")
    fake.OpenposeDetector = Detector
    monkeypatch.setitem(sys.modules, "controlnet_aux", fake)
    found = annotator(Control(kind="pose"), Path(), SD15, device=CPU)(pictures())
    assert found.shape == pictures().shape
    assert found.dtype == np.uint8


@pytest.mark.parametrize("size", [96, 68])
def test_the_demo_model_finds_poses_itself(size: int) -> None:
    rng = random.Random(50_000_000)
    scenes = [world.random_scene(rng) for _ in range(24)]
    frames = np.stack([render(scene, size)[0] for scene in scenes])
    wanted = np.stack([pose_picture(scene, size) for scene in scenes])
    found = annotator(Control(kind="pose"), Path(), DEMO, device=CPU)(frames)
    assert found.shape == frames.shape
    if size == 96:  # the one that it has learnt
        assert psnr(found, wanted) > 30


@pytest.mark.slow  # two edits of a case with the demo model, five steps each
def test_the_demo_models_controlnet_holds_poses() -> None:
    """An alien becomes a penguin, which is wider, and a cat: the same step, at the same height."""
    case = RenderedCase(make_case(3, "tuning"))
    held, free = (
        replace(OURS, name=name, control=control) for name, control in (("a", {}), ("b", None))
    )
    failed: list[object] = []
    edits = Bench("cpu").edits(
        case, (held, free), steps=5, failed=lambda method, error: failed.append(error)
    )
    scores = {method.name: values for method, values, _ in edits}
    assert not failed
    assert scores["a"]["pose"] > scores["b"]["pose"] + 0.15
    assert scores["a"]["warp"] < 0.6 * scores["b"]["warp"]


def test_edits_that_run_together_have_the_same_controls() -> None:
    prepared = [prepare(spec_with(control), EXAMPLES) for control in ("control pose", "")]
    with pytest.raises(ValueError, match="same controls"):
        Editor(device="cpu").run_all(prepared)


def test_a_session_that_ended_keeps_no_control_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    nets: list[weakref.ref[ControlNetModel]] = []
    load = StableDiffusion.load_controls

    def remembered(*arguments: Any) -> Any:
        controls = load(*arguments)
        nets.append(weakref.ref(controls.parts[0].net))
        return controls

    monkeypatch.setattr(StableDiffusion, "load_controls", remembered)
    prepared = prepare(spec_with("control pose"), EXAMPLES)
    gc.collect()
    gc.disable()  # it would free them later, on a GPU too late
    try:
        with Editor(device="cpu").session([prepared]) as session:
            edit(session, prepared)
            assert nets[0]() is not None
        assert nets[0]() is None
        ended = weakref.ref(session)
        del session
        assert ended() is None
    finally:
        gc.enable()


# --- what can go wrong, all of it before a model is loaded ---


def refused(spec: EditSpec, monkeypatch: pytest.MonkeyPatch) -> Diagnostic:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(GrainError) as raised:
        prepare(spec, EXAMPLES)
    (finding,) = raised.value.diagnostics
    assert finding.span is not None
    return finding


def test_packages_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "controlnet_aux", None)
    found = refused(spec_with("control lineart"), monkeypatch)
    assert found.code == "G501"
    assert "grainspec[control]" in str(found)
    assert "clip" in str(found)


def test_nets_that_do_not_do(
    net: Path, tiny_sd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = refused(spec_with("control canny", tiny_sd), monkeypatch)
    assert found.code == "G503"
    assert "control_v11p_sd15_canny" in str(found)
    found = refused(spec_with("control canny"), monkeypatch)
    assert found.code == "G507"  # the demo model has one of its own, for poses alone
    assert "`control pose`" in str(found)
    found = refused(spec_with(f'control canny {{ net "{tmp_path / "no"}" }}'), monkeypatch)
    assert found.code == "G502"
    found = refused(spec_with(f'control canny {{ net "{net}" }}'), monkeypatch)
    assert found.code == "G507"  # the demo model reads text of another width
    other = tmp_path / "other"
    shutil.copytree(net, other)
    config = json.loads((net / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "_class_name": "UNet"}))
    found = refused(spec_with(f'control canny {{ net "{other}" }}', tiny_sd), monkeypatch)
    assert found.code == "G504"
    shutil.copy(net / "config.json", other / "config.json")
    (other / "diffusion_pytorch_model.safetensors").write_bytes(b"cut off")
    with pytest.raises(GrainError, match="G502"):
        Editor(str(tiny_sd), device="cpu", use_cache=False).run(
            spec_with(f'control canny {{ net "{other}" }}', tiny_sd), base=EXAMPLES
        )


def test_clips_that_do_not_do(
    net: Path, tiny_sd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = refused(
        spec_with(f'control canny {{ net "{net}" clip "no.mp4" }}', tiny_sd), monkeypatch
    )
    assert found.code == "G301"
    (tmp_path / "short").mkdir()
    Image.new("RGB", (96, 96)).save(tmp_path / "short" / "00000.png")
    control = f'control canny {{ net "{net}" clip "{tmp_path / "short"}" }}'
    assert refused(spec_with(control, tiny_sd), monkeypatch).code == "G303"
    (tmp_path / "wide").mkdir()
    for number in range(2):
        Image.new("RGB", (192, 96)).save(tmp_path / "wide" / f"{number:05}.png")
    control = f'control canny {{ net "{net}" clip "{tmp_path / "wide"}" }}'
    found = refused(spec_with(control, tiny_sd), monkeypatch)
    assert found.code == "G306"


# --- depth: near is bright, whatever a model predicts ---


def depth_folder(kind: str, folder: Path, **more: Any) -> Path:
    """A tiny random depth model of a kind, with its image processor."""
    import transformers as tf

    torch.manual_seed(0)
    dino = tf.Dinov2Config(
        hidden_size=8,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    sizes: dict[str, Any] = {
        "reassemble_factors": [4, 2, 1, 0.5],
        "neck_hidden_sizes": [8, 8, 8, 8],
        "fusion_hidden_size": 8,
    }
    size = {"height": 28, "width": 28}
    model: Any
    if kind == "depth_anything":
        config = tf.DepthAnythingConfig(
            backbone_config=dino, patch_size=14, reassemble_hidden_size=8, head_hidden_size=8, **sizes, **more
        )  # fmt: skip
        model = tf.DepthAnythingForDepthEstimation(config)
        for parameter in model.head.parameters():
            parameter.data.abs_()  # or a ReLU would make all of it nothing
    elif kind == "glpn":
        model = tf.GLPNForDepthEstimation(
            tf.GLPNConfig(hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 1, 1], decoder_hidden_size=8)
        )  # fmt: skip
    else:
        beit = tf.BeitConfig(
            hidden_size=8,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=16,
            image_size=32,
            patch_size=16,
            use_relative_position_bias=True,
            reshape_hidden_states=False,
            out_features=["stage1", "stage2", "stage3", "stage4"],
        )
        config = tf.ZoeDepthConfig(
            backbone_config=beit, backbone_hidden_size=8, bottleneck_features=8, num_relative_features=8, bin_embedding_dim=8, **sizes
        )  # fmt: skip
        model, size = tf.ZoeDepthForDepthEstimation(config), {"height": 32, "width": 32}
    model.save_pretrained(folder)
    if kind == "glpn":
        tf.GLPNImageProcessor(size_divisor=32).save_pretrained(folder)
    elif kind == "zoedepth":
        tf.ZoeDepthImageProcessor(size=size, keep_aspect_ratio=False).save_pretrained(folder)
    else:
        tf.DPTImageProcessor(size=size).save_pretrained(folder)
    return folder


def predictions(folder: Path, frames: Frames) -> npt.NDArray[np.float32]:
    made = DepthAnnotator(Control(kind="depth", annotator=str(folder)), Path(), CPU)
    return np.stack([made._predict(frame) for frame in frames])


@pytest.mark.parametrize(
    ("kind", "more", "predicts"),
    [
        ("depth_anything", {}, "inverse"),
        ("depth_anything", {"depth_estimation_type": "metric", "max_depth": 80}, "metric"),
        ("glpn", {}, "metric"),
        ("zoedepth", {}, "metric"),
    ],
)
def test_near_is_bright(kind: str, more: dict[str, Any], predicts: str, tmp_path: Path) -> None:
    folder, frames = depth_folder(kind, tmp_path, **more), pictures()
    depths = predictions(folder, frames)
    assert depths.shape == frames.shape[:3]
    control = Control(kind="depth", annotator=str(folder))
    found = annotator(control, Path(), SD15, device=CPU)(frames)
    assert found.shape == frames.shape
    assert (found.min(), found.max()) == (0, 255)
    order = np.argsort(depths.ravel() * (1 if predicts == "inverse" else -1), kind="stable")
    brightness = found[..., 0].ravel()[order].astype(int)
    assert (np.diff(brightness) >= 0).all()  # from far to near
    if predicts == "metric":
        control = Control(kind="zoe", annotator=str(folder))
        zoe = annotator(control, Path(), SD15, device=CPU)(frames)
        assert (np.diff(zoe[..., 0].ravel()[order].astype(int)) >= 0).all()
        assert zoe.min() == 0
        assert zoe.max() == 255
        assert (zoe != found).any()


@pytest.mark.parametrize(
    ("config", "predicts"),
    [
        ({"model_type": "dpt"}, "inverse"),
        ({"model_type": "dpt", "backbone_config": {"model_type": "dinov2"}}, "metric"),
        ({"model_type": "dpt", "backbone_config": {"model_type": "bit"}}, "inverse"),
        ({"model_type": "depth_pro"}, "inverse"),
        ({"model_type": "depth_anything"}, "inverse"),
        ({"model_type": "depth_anything", "depth_estimation_type": "metric"}, "metric"),
        ({"model_type": "glpn"}, "metric"),
        ({"model_type": "chmv2"}, None),
        ({"model_type": ["dpt"]}, None),
        ({}, None),
    ],
)
def test_what_depth_models_predict(config: dict[str, Any], predicts: str | None) -> None:
    assert predicts_of(config) == predicts


def test_depth_models_that_do_not_do(
    net: Path, tiny_sd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.json"
    named = f'net "{net}" annotator "{tmp_path}"'
    path.write_text('{"model_type": "dpt"}')
    found = refused(spec_with(f"control zoe {{ {named} }}", tiny_sd), monkeypatch)
    assert found.code == "G519"
    assert "`control depth {" in found.cure
    path.write_text('{"model_type": "own"}')
    found = refused(spec_with(f"control depth {{ {named} }}", tiny_sd), monkeypatch)
    assert found.code == "G519"
    assert "`depth_values metric`" in found.cure
    for chosen in ("metric", "inverse"):
        control = f"control depth {{ {named} depth_values {chosen} }}"
        prepare(spec_with(control, tiny_sd), EXAMPLES)
    missing = f'control depth {{ net "{net}" annotator "{tmp_path / "no"}" }}'
    assert refused(spec_with(missing, tiny_sd), monkeypatch).code == "G502"


@pytest.mark.parametrize(
    ("keypoints", "asked"),
    [
        ("body", {}),
        ("hands", {"include_hand": True}),
        ("face", {"include_face": True}),
        ("full", {"include_hand": True, "include_face": True}),
    ],
)
def test_hands_and_faces(
    keypoints: Any, asked: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Detector:
        @classmethod
        def from_pretrained(cls, place: str) -> Detector:
            return cls()

        def __call__(self, image: Image.Image, *, detect_resolution: int, image_resolution: int, **more: bool) -> Image.Image:  # fmt: skip
            assert more == asked
            return image

    fake: Any = types.ModuleType("controlnet_aux")
    fake.OpenposeDetector = Detector
    monkeypatch.setitem(sys.modules, "controlnet_aux", fake)
    control = Control(kind="pose", keypoints=keypoints)
    found = annotator(control, Path(), SD15, device=CPU)(pictures())
    assert np.array_equal(found, pictures())
