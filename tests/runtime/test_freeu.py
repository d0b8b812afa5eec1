"""FreeU: installed in a UNet while an edit is sampled, restored exactly, and refused elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from clips import EXAMPLES
from tiny_models import TINY
from tiny_runs import FRAMES, STEPS, loaded, noise
from torch import Tensor
from wan import WanVariant

from grainspec import GrainError, check, parse
from grainspec.model.spec import FreeU, Inject, Sampler
from grainspec_runtime import Editor
from grainspec_runtime.backbones.registry import load_checkpoint
from grainspec_runtime.known import known
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.inject import injecting
from grainspec_runtime.processes.sample import sample

ONES = FreeU(b1=1, b2=1, s1=1, s2=1)
HEAD = 'grain 1 video "c" target "a bear" region r = all edit r -> "bear"\n'
SPEC = """grain 1
video "clips/two_men.mp4" {{ frames 0..1 size 64x64 }}
model "{model}"
source "a red man and a blue man on grass"
target "a green robot and a blue man on grass"
region left = masks("masks/two_men/left")
edit instance left -> "green robot"
sampler {{ steps 2 }}
{more}
"""


def attributes(unet: Any) -> list[dict[str, Any]]:
    """The attributes of the decoder's blocks that FreeU may set."""
    names = ("s1", "s2", "b1", "b2")
    return [{name: it for name, it in vars(b).items() if name in names} for b in unet.up_blocks]


def sampled(checkpoint: Any, freeu: FreeU | None, inject: Inject | None = None) -> Tensor:
    trajectory = torch.stack([noise()] * (STEPS + 1))
    attention = FoldedAttention(FRAMES)
    denoiser = Denoiser(checkpoint)
    with injecting(denoiser, inject, trajectory, source="a man", attention=attention) as injected:
        return sample(
            injected,
            trajectory,
            attention,
            [checkpoint.encode_prompt(prompt) for prompt in ("", "a man")],
            scheduler=checkpoint.schedule.solver(Sampler(steps=STEPS), checkpoint.device),
            guidance=5,
            freeu=freeu,
        )


@pytest.mark.parametrize("name", ["StableDiffusionPipeline", "AnimateDiffPipeline"])
def test_it_is_diffusers_own_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(str(TINY[name](tmp_path)), Path(), LoadOptions(device="cpu"))
    unet: Any = checkpoint.denoiser
    weights = {key: value.clone() for key, value in unet.state_dict().items()}
    before = attributes(unet)
    plain, found = sampled(checkpoint, None), sampled(checkpoint, FreeU())
    assert not torch.allclose(plain, found, atol=1e-3)
    assert attributes(unet) == before == [{}] * len(unet.up_blocks)
    assert torch.equal(sampled(checkpoint, None), plain)
    unet.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6)
    assert torch.equal(sampled(checkpoint, None), found)
    own = attributes(unet)
    sampled(checkpoint, FreeU(b1=1.1))
    assert attributes(unet) == own  # of a network that had it before
    assert all(torch.equal(weights[key], value) for key, value in unet.state_dict().items())


def test_an_error_inside_restores_the_unet(tiny_sd: Path) -> None:
    checkpoint = loaded(tiny_sd)
    with pytest.raises(RuntimeError, match="stop"), checkpoint.with_freeu(FreeU()):
        assert attributes(checkpoint.unet)[0] == {"s1": 0.9, "s2": 0.2, "b1": 1.5, "b2": 1.6}
        raise RuntimeError("stop")
    assert attributes(checkpoint.unet) == [{}] * len(checkpoint.unet.up_blocks)


def test_factors_of_one_change_no_bit(tiny_model: Path) -> None:
    checkpoint = loaded(tiny_model)
    assert torch.equal(sampled(checkpoint, ONES), sampled(checkpoint, None))
    for name in ("b1", "b2", "s1", "s2"):
        factor = ONES.replaced({}, **{name: 0.5})
        assert not torch.allclose(sampled(checkpoint, factor), sampled(checkpoint, None), atol=1e-4)


def test_the_sources_pass_of_an_injection_has_it_too(tiny_sd: Path) -> None:
    """A clip that is injected into itself stays the same, with FreeU as without."""
    checkpoint = loaded(tiny_sd)
    whole = Inject(features=1, self=1, feature_levels="all", self_levels="all")
    seen: list[bool] = []
    predict = checkpoint.unet.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        seen.append("b1" in vars(checkpoint.unet.up_blocks[0]))
        return predict(*args, **kwargs)

    checkpoint.unet.forward = forward
    sampled(checkpoint, FreeU(), whole)
    assert len(seen) == 2 * STEPS
    assert all(seen)


def test_inversion_and_reconstruction_are_without_it(tiny_sd: Path) -> None:
    editor = Editor(str(tiny_sd), device="cpu", reconstruct=True)
    plain, found = (
        editor.run(parse(SPEC.format(model=tiny_sd, more=more)), base=EXAMPLES)
        for more in ("", "freeu { b1 1.3 }")
    )
    assert found.inversion_cached
    assert plain.run_key != found.run_key
    assert (plain.edited != found.edited).any()
    assert plain.reconstruction is not None
    assert found.reconstruction is not None
    assert (plain.reconstruction.frames == found.reconstruction.frames).all()


def test_a_transformer_is_refused_before_loading(wan_folder: Callable[[WanVariant], Path]) -> None:
    folder = wan_folder("2.1")
    spec = parse(SPEC.format(model=folder, more="sampler").replace("sampler\n", "freeu\n"))
    with pytest.raises(GrainError, match="G504.*`freeu` is not supported by Wan"):
        known(spec, Path()).check(spec, Path())
    checkpoint = load_checkpoint(str(folder), Path(), LoadOptions(device="cpu"))
    with pytest.raises(GrainError, match=r"G504.*which FreeU is not for. Remove `freeu`"):
        checkpoint.with_freeu(FreeU())


def test_what_a_spec_says_in_vain() -> None:
    ones = "freeu { b1 1 b2 1 s1 1 s2 1 }"
    (finding,) = check(parse(HEAD + ones))
    assert (finding.code, finding.message) == ("G111", "`freeu` has no effect with factors of 1")
    assert check(parse(HEAD + "freeu { s1 1 b1 1 }")) == []
    spec = HEAD + 'model "a/b" source "a man" sampler { process flow_edit } freeu'
    with pytest.raises(GrainError, match="G203.*`freeu` needs a UNet"):
        parse(spec)
    with pytest.raises(GrainError, match="G203.*invalid value `0` for `s1`"):
        parse(HEAD + "freeu { s1 0 }")
