"""Which prompt the unconditional pass reads: `attention { unconditional … }`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import wan_runs
from diffusers import ControlNetModel
from tiny_runs import FRAMES, TARGET, call, loaded, noise, plan_for, stock
from wan import tiny_wan

from grainspec import parse
from grainspec.model.spec import Control
from grainspec.plan.compile import compile_plan
from grainspec.regions.layout import Layout
from grainspec.testing import word_backbone
from grainspec_runtime import plan_applied
from grainspec_runtime.backbones.registry import load_checkpoint
from grainspec_runtime.conditioning.nets import load_controls
from grainspec_runtime.models.options import LoadOptions

NEGATIVE = "blurry"


def test_of_the_editor_the_denoiser_reads_the_empty_prompt(tiny_model: Path) -> None:
    checkpoint = loaded(tiny_model)
    empty, negative, target = map(checkpoint.encode_prompt, ("", NEGATIVE, TARGET))
    assert not torch.equal(empty.words, negative.words)
    theirs = checkpoint.encode_unconditional(
        NEGATIVE, plan_for(tiny_model, "unconditional empty_prompt")
    )
    assert torch.equal(theirs.words, empty.words)
    assert theirs.for_controls is not None
    assert torch.equal(theirs.for_controls, negative.words)
    if negative.pooled is not None:
        assert theirs.pooled is not None
        assert torch.equal(theirs.pooled, negative.pooled)
    ours = plan_for(tiny_model, "unconditional negative_prompt")
    assert torch.equal(checkpoint.encode_unconditional(NEGATIVE, ours).words, negative.words)
    assert checkpoint.encode_unconditional(NEGATIVE, ours).for_controls is None
    encoded = checkpoint.encode_target(plan_for(tiny_model, "unconditional empty_prompt"))
    assert encoded.for_controls is not None
    assert torch.equal(encoded.for_controls, target.words)
    assert not torch.equal(encoded.words, target.words)  # isolated phrases
    assert checkpoint.encode_target(ours).for_controls is None


@pytest.mark.parametrize("choice", ["negative_prompt", "empty_prompt"])
def test_controlnets_read_the_negative_prompt(tiny_sd: Path, tmp_path: Path, choice: str) -> None:
    checkpoint = loaded(tiny_sd)
    ControlNetModel.from_unet(checkpoint.unet).save_pretrained(tmp_path)
    controls = load_controls(
        [Control(kind="canny", net=str(tmp_path))],
        [np.zeros((FRAMES, 64, 64, 3), np.uint8)],
        tmp_path,
        str(tiny_sd),
        device=checkpoint.device,
        dtype=checkpoint.dtype,
    )
    assert controls is not None
    read: dict[str, Any] = {}

    def recorded(name: str) -> Any:
        def record(module: Any, inputs: Any, named: dict[str, Any]) -> None:
            read[name] = named["encoder_hidden_states"]

        return record

    checkpoint.unet.register_forward_pre_hook(recorded("unet"), with_kwargs=True)
    controls.parts[0].net.register_forward_pre_hook(recorded("net"), with_kwargs=True)
    plan = plan_for(tiny_sd, f"unconditional {choice}")
    prompts = [checkpoint.encode_unconditional(NEGATIVE, plan), checkpoint.encode_target(plan)]
    x = noise()
    t, given = torch.tensor(981), checkpoint.condition(prompts, x)
    with torch.no_grad():
        checkpoint.predict(
            torch.cat([x, x]), t, given, range(FRAMES), step=0, steps=2, controls=controls
        )
    empty, negative, target = (
        checkpoint.encode_prompt(text).words for text in ("", NEGATIVE, TARGET)
    )
    isolated = checkpoint.encode_target(plan).words
    expected = {
        "negative_prompt": {"unet": (negative, isolated), "net": (negative, isolated)},
        "empty_prompt": {"unet": (empty, isolated), "net": (negative, target)},
    }[choice]
    for name, passes in expected.items():
        wanted = torch.cat([words.expand(FRAMES, -1, -1) for words in passes])
        assert torch.equal(read[name], wanted), name


def test_under_plan_applied_the_negative_prompt_is_not_read(tiny_sd: Path) -> None:
    pipe, words = stock(tiny_sd), {"guidance_scale": 5.0}
    with plan_applied(plan_for(tiny_sd, "unconditional empty_prompt"), pipe):
        plain = call(pipe, **words)
        theirs = call(pipe, **words, negative_prompt=NEGATIVE)
        alone = call(pipe, guidance_scale=1.0)
    torch.testing.assert_close(theirs, plain, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(alone, plain, atol=1e-3)
    with plan_applied(plan_for(tiny_sd, "unconditional negative_prompt"), pipe):
        torch.testing.assert_close(call(pipe, **words), plain, atol=1e-5, rtol=1e-5)
        ours = call(pipe, **words, negative_prompt=NEGATIVE)
    assert not torch.allclose(ours, plain, atol=1e-4)
    with plan_applied(plan_for(tiny_sd, "unconditional empty_prompt"), pipe, trust_embeds=True):
        trusted = call(pipe, **words, negative_prompt=NEGATIVE)
    torch.testing.assert_close(trusted, ours, atol=1e-5, rtol=1e-5)


def test_of_wan(tmp_path: Path) -> None:
    folder = tiny_wan(tmp_path, "2.1")
    pipe = wan_runs.stock(folder)
    empty = wan_runs.plan_for(folder, "until 100% unconditional empty_prompt")
    read = wan_runs.plan_for(folder, "until 100% unconditional negative_prompt")
    given = wan_runs.embedded(pipe, negative=NEGATIVE)
    with plan_applied(empty, pipe):
        plain = wan_runs.call(pipe)
        theirs = wan_runs.call(pipe, **given)
    torch.testing.assert_close(theirs, plain, atol=1e-5, rtol=1e-5)
    with plan_applied(read, pipe):
        assert not torch.allclose(wan_runs.call(pipe, **given), plain, atol=1e-4)
    checkpoint = load_checkpoint(str(folder), Path(), LoadOptions(device="cpu"))
    for text, plan in (("", empty), (NEGATIVE, read)):
        found = checkpoint.encode_unconditional(NEGATIVE, plan).words
        assert torch.equal(found, checkpoint.encode_prompt(text).words)


@pytest.mark.parametrize(
    ("lines", "message", "cure"),
    [
        (
            "",
            "with the profile `videograin`, nothing reads",
            "`attention { unconditional negative_prompt }`",
        ),
        (
            "attention videograin",
            "with the profile `videograin`, nothing",
            "`unconditional negative_prompt`",
        ),
        (
            "attention demo { unconditional empty_prompt }",
            "with `unconditional empty_prompt`, nothing",
            "`uncond",
        ),
        (
            "control depth",
            "with the profile `videograin`, only the ControlNets read",
            "`attention {",
        ),
        ("attention { unconditional negative_prompt }", "", ""),
        ("attention animatediff", "", ""),
        ("sampler { guidance 1 }", "", ""),
    ],
)
def test_a_negative_prompt_that_the_denoiser_does_not_read(
    lines: str, message: str, cure: str
) -> None:
    text = 'grain 1 video "c" model "owner/name" target "a bear" region r = all edit r -> "bear" '
    layout = Layout.of({"r": np.ones((1, 16, 16), bool)})
    for negative, expected in (('negative "blurry" ', bool(message)), ('negative " " ', False)):
        compiled = compile_plan(parse(text + negative + lines), layout, word_backbone(levels=1))
        found = [warning for warning in compiled.warnings if warning.code == "G588"]
        assert bool(found) == expected
        if expected:
            assert message in found[0].message
            assert cure in found[0].cure
            assert found[0].span is not None
