"""Group norms over the clip."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from clips import EXAMPLES
from tiny_runs import FRAMES, loaded, noise, plan_for
from torch import nn

from grainspec import load
from grainspec.model.spec import FrameRange
from grainspec_runtime import Editor
from grainspec_runtime.backbones.families.sd_unet.checkpoint import StableDiffusion
from grainspec_runtime.backbones.unets.install import installed
from grainspec_runtime.backbones.unets.norms import ClipNorm, norms_over_clip
from grainspec_runtime.backbones.unets.prompts import repeated
from grainspec_runtime.modulation.folded import FoldedAttention


@torch.inference_mode()
def output(checkpoint: StableDiffusion, latents: torch.Tensor, passes: int = 1) -> torch.Tensor:
    prompts = [checkpoint.encode_prompt("a robot")] * passes
    given = repeated(checkpoint.condition(prompts, latents), len(latents) // passes)
    return checkpoint.unet(latents, 500, **given).sample


def test_statistics_are_those_of_all_frames_of_a_pass() -> None:
    norm = nn.GroupNorm(2, 4)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(2 * 3, 4, 5, 6)  # 2 passes of 3 frames
    found = ClipNorm(norm, FoldedAttention(3))(x).view(2, 3, 2, 2, 5, 6)
    groups = x.view(2, 3, 2, 2, 5, 6)
    mean = groups.mean(dim=(1, 3, 4, 5), keepdim=True)
    var = groups.var(dim=(1, 3, 4, 5), keepdim=True, correction=0)
    weight, bias = norm.weight.view(2, 2, 1, 1), norm.bias.view(2, 2, 1, 1)
    torch.testing.assert_close(found, (groups - mean) / (var + norm.eps).sqrt() * weight + bias)


def test_frames_that_are_alike_have_the_same_norms_either_way(tiny_model: Path) -> None:
    checkpoint = loaded(tiny_model)
    alike = noise(1).expand(FRAMES, -1, -1, -1).contiguous()
    plain = output(checkpoint, alike)
    with norms_over_clip(checkpoint.unet, FoldedAttention(FRAMES)):
        torch.testing.assert_close(output(checkpoint, alike), plain, atol=1e-5, rtol=1e-5)
        over = output(checkpoint, noise() * torch.tensor([1.0, 3.0]).view(2, 1, 1, 1))
    each = output(checkpoint, noise() * torch.tensor([1.0, 3.0]).view(2, 1, 1, 1))
    assert not torch.allclose(over, each, atol=1e-3)


def test_passes_do_not_share_their_norms(tiny_sd: Path) -> None:
    checkpoint = loaded(tiny_sd)
    with norms_over_clip(checkpoint.unet, FoldedAttention(FRAMES)):
        alone = output(checkpoint, noise())
        both = output(checkpoint, torch.cat([5 * noise(), noise()]), passes=2)
    torch.testing.assert_close(both[FRAMES:], alone, atol=1e-5, rtol=1e-5)


def test_the_model_is_bit_identical_afterwards(tiny_model: Path) -> None:
    checkpoint = loaded(tiny_model)
    before = output(checkpoint, noise())
    names = [name for name, _ in checkpoint.unet.named_modules()]
    plan = plan_for(tiny_model)
    control = FoldedAttention(FRAMES, plan=plan, scope="each", norm="clip")
    with installed(checkpoint.unet, control):
        swapped = [m for m in checkpoint.unet.modules() if isinstance(m, ClipNorm)]
        assert len(swapped) > 10
        assert not torch.equal(output(checkpoint, noise()), before)
    with pytest.raises(RuntimeError, match="on purpose"), installed(checkpoint.unet, control):
        raise RuntimeError("on purpose")
    assert torch.equal(output(checkpoint, noise()), before)
    assert [name for name, _ in checkpoint.unet.named_modules()] == names


def test_one_frame_is_a_clip_by_itself(tiny_sd: Path) -> None:
    checkpoint = loaded(tiny_sd)
    before = output(checkpoint, noise(1))
    with norms_over_clip(checkpoint.unet, FoldedAttention(1)):
        assert torch.equal(output(checkpoint, noise(1)), before)


def test_the_editor_norms_as_the_spec_says() -> None:
    spec = load(EXAMPLES / "part.grain")
    video = spec.video.model_copy(update={"frames": FrameRange(first=0, last=1)})
    sampler = spec.sampler.model_copy(update={"steps": 2})
    spec = spec.model_copy(update={"video": video, "sampler": sampler})
    editor, results = Editor(device="cpu"), {}
    for norm in ("auto", "each", "clip"):
        attention = spec.attention.model_copy(update={"norm": norm})
        results[norm] = editor.run(spec.model_copy(update={"attention": attention}), base=EXAMPLES)
    assert (results["auto"].edited == results["each"].edited).all()
    assert results["each"].inversion_cached  # of auto, which is the same here
    assert not results["clip"].inversion_cached
    assert (results["clip"].edited != results["each"].edited).any()
