"""Less memory or more speed, with the same pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from clips import EXAMPLES
from command import Grain
from diffusers import UNet2DConditionModel
from tiny_runs import loaded, noise, plan_for, sampled
from torch import Tensor

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")


def road(model: Path, **options: object) -> tuple[Tensor, Tensor, Tensor]:
    """Latents of frames, what is sampled, and frames of that."""
    checkpoint = loaded(model, **options)
    frames = torch.linspace(-1, 1, 6 * 64 * 64).view(2, 3, 64, 64)
    there = checkpoint.encode_frames(frames)
    edited = sampled(checkpoint, plan_for(model), noise().to(checkpoint.device))
    return there, edited, checkpoint.decode_latents(edited)


def assert_same(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.cpu(), other, atol=1e-4, rtol=1e-4)


def test_parts_that_come_and_go_compute_the_same(tiny_model: Path) -> None:
    plain = road(tiny_model)
    assert_same(road(tiny_model, offload="model", vae_slicing=True), plain)


@GPU
@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_offloading_from_a_gpu(tiny_model: Path, offload: str) -> None:
    settings = {"device": "cuda", "dtype": torch.float32}  # where convolutions round as on no CPU
    plain = tuple(tensor.cpu() for tensor in road(tiny_model, **settings))
    assert_same(road(tiny_model, offload=offload, **settings), plain)
    checkpoint = loaded(tiny_model, device="cuda", offload=offload)
    assert {part.device.type for part in checkpoint.unet.parameters()} <= {"cpu", "meta"}


def test_the_vae_is_sliced_and_tiled_where_asked(tiny_sd: Path) -> None:
    vae = loaded(tiny_sd, vae_slicing=True, vae_tiling=True).vae
    assert (vae.use_slicing, vae.use_tiling) == (True, True)
    vae = loaded(tiny_sd).vae
    assert (vae.use_slicing, vae.use_tiling) == (False, False)


def test_layers_that_come_and_go_are_not_compiled(tiny_sd: Path) -> None:
    for options in ({"compile": True, "device": "cuda"}, {"device": "cpu"}):
        with pytest.raises(ValueError, match="sequential offload requires a GPU"):
            load(tiny_sd, offload="sequential", **options)


def load(model: Path, **options: object) -> object:
    from grainspec_runtime.backbones.registry import load_checkpoint
    from grainspec_runtime.models.options import LoadOptions

    return load_checkpoint(str(model), Path(), LoadOptions(**options))


@pytest.mark.slow  # compiles a UNet four times
def test_a_compiled_unet_follows_every_plan(
    two_levels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plans, norms and strengths may change from call to call; nothing of an earlier one stays."""
    graphs: list[torch.fx.GraphModule] = []

    def count(graph: torch.fx.GraphModule, _: object) -> object:
        graphs.append(graph)
        return graph.forward

    whole = UNet2DConditionModel.compile
    monkeypatch.setattr(UNet2DConditionModel, "compile", lambda unet: whole(unet, backend=count))
    torch.compiler.reset()
    compiled, plain = loaded(two_levels, compile=True), loaded(two_levels)
    plans = [plan_for(two_levels, f"norm {norm}") for norm in ("clip", "each", "clip")]
    pictures = []
    for plan in plans:
        pictures.append(sampled(compiled, plan, noise()))
        torch.testing.assert_close(
            pictures[-1], sampled(plain, plan, noise()), atol=1e-4, rtol=1e-4
        )
    assert not torch.allclose(pictures[0], pictures[1], atol=1e-3)
    assert len(graphs) == 4  # with modulation and without, for each of the norms


def test_the_command_has_them_and_writes_them_down(
    grain: Grain, tmp_path: Path, tiny_sd: Path
) -> None:
    for part in ("clips", "masks"):
        shutil.copytree(EXAMPLES / part, tmp_path / part)
    spec = tmp_path / "edit.grain"
    spec.write_text(
        f'grain 1 video "clips/two_men.mp4" {{ frames 0..1 size 128x64 }} model "{tiny_sd}" '
        'target "a green robot on grass" region r = box(0%, 0%, 50%, 100%) '
        'edit r -> "green robot" sampler ddim { steps 2 }'
    )
    options = ("--device", "cpu", "--vae-slicing", "--vae-tiling")
    assert grain("run", spec, "-o", tmp_path / "out", *options).code == 0
    manifest = json.loads((tmp_path / "out" / "run.json").read_text())
    assert manifest["options"] == {"vae_slicing": True, "vae_tiling": True}
    refused = grain("run", spec, "-o", tmp_path / "out", "--device", "cpu", "--offload", "model")
    assert refused.code == 2
    assert "GPU" in refused.err
    refused = grain("run", spec, "--compile", "--offload", "sequential")
    assert refused.code == 2
    assert "--offload model" in refused.err
