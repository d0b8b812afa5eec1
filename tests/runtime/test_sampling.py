"""Solvers, drawn noise, and how an edit is joined to its clip."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from clips import EXAMPLES
from command import Grain
from tiny_runs import FRAMES, TARGET, loaded, noise

from grainspec import EditSpec, parse
from grainspec.model.spec import SamplerMethod
from grainspec.plan.backbone import leading_timesteps
from grainspec_runtime import Editor
from grainspec_runtime.media.blend import blended, faded
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.prepare import prepare
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.invert import invert
from grainspec_runtime.processes.sample import sample
from grainspec_runtime.schedules.ddim import solver


@pytest.mark.parametrize("method", get_args(SamplerMethod))
def test_timesteps_are_known_before_torch_is_loaded(method: SamplerMethod, tiny_sd: Path) -> None:
    scheduler = solver(loaded(tiny_sd).scheduler, method)
    for steps in (1, 7, 30, 50):
        scheduler.set_timesteps(steps)
        assert scheduler.timesteps.tolist() == leading_timesteps(steps, 1000, 1, method)


@pytest.mark.parametrize("method", get_args(SamplerMethod))
def test_every_solver_leads_back_from_the_inversion(method: SamplerMethod, tiny_sd: Path) -> None:
    checkpoint = loaded(tiny_sd)
    checkpoint.unet.conv_out.weight.data *= 0.1  # smooth, as trained networks are
    checkpoint.unet.conv_out.bias.data += 0.8
    scheduler = solver(checkpoint.scheduler, method)
    scheduler.set_timesteps(30)
    control, denoiser = FoldedAttention(FRAMES), Denoiser(checkpoint)
    latents = noise()
    there = invert(denoiser, latents, control, prompt=TARGET, scheduler=scheduler)
    prompts = [checkpoint.encode_prompt(TARGET)]
    back = sample(denoiser, there, control, prompts, scheduler=scheduler, guidance=1)
    assert float((there[-1] - latents).norm() / latents.norm()) > 0.3
    assert float((back - latents).norm() / latents.norm()) < 0.05


def test_eta_draws_from_the_seed(tiny_sd: Path) -> None:
    checkpoint = loaded(tiny_sd)
    scheduler = solver(checkpoint.scheduler, "ddim")
    start = noise()[None].expand(6, -1, -1, -1, -1)

    def sampled(eta: float, seed: int) -> torch.Tensor:
        scheduler.set_timesteps(5)
        control, prompts = FoldedAttention(FRAMES), [checkpoint.encode_prompt(TARGET)]
        return sample(
            Denoiser(checkpoint),
            start,
            control,
            prompts,
            scheduler=scheduler,
            guidance=1,
            eta=eta,
            seed=seed,
        )

    assert torch.equal(sampled(0, 1), sampled(0, 2))
    assert torch.equal(sampled(0.5, 1), sampled(0.5, 1))
    assert not torch.allclose(sampled(0.5, 1), sampled(0.5, 2))
    assert not torch.allclose(sampled(0.5, 1), sampled(0, 1))


# --- blending ---


def test_an_edit_fades_out() -> None:
    mask = np.zeros((2, 21, 21), bool)
    mask[0, 10, 10] = True
    weights = faded(mask, 4)
    assert weights[0, 10, 10] == 1
    assert weights[0, 10, 8:15].tolist() == [0.5, 0.75, 1, 0.75, 0.5, 0.25, 0]
    assert weights[0, 13, 14] == 0  # five away, as the crow flies
    assert not weights[1].any()
    assert (faded(mask, 0) == mask).all()


def test_blending_in_pixels_is_exact_outside() -> None:
    rng = np.random.default_rng(0)
    source, edited = rng.integers(0, 256, (2, 2, 21, 21, 3), dtype=np.uint8)
    mask = np.zeros((2, 21, 21), bool)
    mask[:, 10, 10] = True
    weights = faded(mask, 4)
    found = blended(source, edited, weights)
    assert (found[weights == 0] == source[weights == 0]).all()
    assert (found[weights == 1] == edited[weights == 1]).all()
    low, high = np.minimum(source, edited), np.maximum(source, edited)
    assert ((found >= low) & (found <= high)).all()


def edit(*lines: str) -> EditSpec:
    return parse(
        'grain 1 video "clips/two_men.mp4" { frames 0..1 } source "a red man and a blue man" '
        'target "a green robot and a blue man" region left = box(0%, 0%, 40%, 100%) '
        'edit left -> "green robot" ' + " ".join(lines)
    )


@pytest.fixture(scope="module")
def editor() -> Editor:
    return Editor(device="cpu", use_cache=False)


def test_where_an_edit_is_joined(editor: Editor) -> None:
    ways = (
        "",
        "feather 24px",
        "space pixels",
        "space both",
        "space pixels feather 24px",
        "space none",
    )
    prepared = [
        prepare(edit("sampler ddim { steps 4 }", f"blend {{ {way} }}" if way else ""), EXAMPLES)
        for way in ways
    ]
    outside = prepared[0].bound.edits.bits_FHW == 0
    far = faded(~outside, 24) == 0
    gaps = {
        way: np.abs(result.source.astype(int) - result.edited)
        for way, result in zip(ways, editor.run_all(prepared), strict=True)
    }
    assert gaps["space pixels"][outside].max() == 0
    assert gaps["space both"][outside].max() == 0
    assert gaps["space pixels feather 24px"][far].max() == 0
    assert gaps["space pixels feather 24px"][outside].max() > 0
    hard, soft, free = (gaps[way][outside].mean() for way in ("", "feather 24px", "space none"))
    assert hard < soft < free


def test_blending_begins_after_its_share_of_the_steps(editor: Editor) -> None:
    ways = ("", "from 0%", "from 50%", "from 100%", "space none")
    prepared = [
        prepare(edit("sampler ddim { steps 4 }", f"blend {{ {way} }}" if way else ""), EXAMPLES)
        for way in ways
    ]
    outside = prepared[0].bound.edits.bits_FHW == 0
    results = dict(zip(ways, editor.run_all(prepared), strict=True))
    edited = {way: result.edited for way, result in results.items()}
    assert (edited[""] == edited["from 0%"]).all()
    assert (edited["from 100%"] == edited["space none"]).all()
    gaps = [
        np.abs(results[way].source.astype(int) - edited[way])[outside].mean()
        for way in ("from 0%", "from 50%", "from 100%")
    ]
    assert gaps[0] < gaps[2]
    assert gaps[1] < gaps[2]
    assert (edited["from 50%"] != edited[""]).any()


def test_the_feather_is_in_source_pixels() -> None:
    whole = prepare(edit("blend { feather 10px }"), EXAMPLES)
    facts = whole.bound.facts
    assert whole.feather == pytest.approx(10 * 96 / min(facts.width, facts.height))
    share = prepare(edit("blend { feather 5% }"), EXAMPLES)
    assert share.feather == pytest.approx(0.05 * 96)
    assert prepare(edit(), EXAMPLES).feather == 0


def test_reconstruction_is_measured(grain: Grain, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "clips", tmp_path / "clips")
    from grainspec import dumps

    (tmp_path / "edit.grain").write_text(dumps(edit("sampler ddim { steps 10 }")))
    said = grain(
        "run", tmp_path / "edit.grain", "-o", tmp_path / "out", "--reconstruct", "--no-cache"
    )
    assert said.code == 0, said.err
    assert "reconstruction PSNR: " in said.out
    import json

    found = json.loads((tmp_path / "out" / "run.json").read_text())["reconstruction"]
    assert 20 < found["psnr"] <= found["vae_psnr"] + 0.5
    assert (tmp_path / "out" / "reconstruction.mp4").stat().st_size > 500


def test_solvers_edit(editor: Editor) -> None:
    for method in ("dpmpp", "unipc", "deis"):
        spec = edit(f"sampler {method} {{ steps 4 }}")
        result = editor.run(spec, base=EXAMPLES)
        assert result.edited.shape == result.source.shape
        assert replace(result, controls=()).reconstruction is None
