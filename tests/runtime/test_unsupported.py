"""What a model family cannot do is an error that names the family and the place in the spec."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest
from clips import ClipFolder
from command import Grain

from grainspec import GrainError, parse
from grainspec.checking import outlined_model
from grainspec_runtime.backbones.unsupported import Feature, check_supported
from grainspec_runtime.known import known

HEAD = 'grain 1 video "c" target "a bear" region r = all edit r -> "bear"\n'
ALL: Collection[Feature] = {"inject", "freeu", "flow", "norm", "frames", "low_noise_guidance"}


@pytest.mark.parametrize(
    ("line", "message", "cure", "place"),
    [
        (
            "inject { self 10% }",
            "`inject` is not supported by Wan",
            "Remove the statement. With `process flow_edit`, a larger `skip` keeps more of the "
            "source's structure.",
            "inject { self 10% }",
        ),
        (
            "freeu { b1 1.2 }",
            "`freeu` is not supported by Wan",
            "Remove the statement: these models have no skip connections to weigh.",
            "freeu { b1 1.2 }",
        ),
        (
            "flow",
            "`flow` is not supported by Wan",
            "Remove the statement: these models attend across all frames by themselves.",
            "flow",
        ),
        (
            "attention { norm clip }",
            "`norm clip` is not supported by Wan",
            "Remove `norm`: these models have no group norms.",
            "clip",
        ),
        (
            "attention { frames sparse_causal }",
            "`frames sparse_causal` is not supported by Wan",
            "Write `frames full`: these models attend across all frames.",
            "sparse_causal",
        ),
        (
            "attention demo",
            "`frames each` is not supported by Wan",
            "Write `frames full`: these models attend across all frames. It is a setting of "
            "`attention demo`.",
            "attention demo",
        ),
        (
            "sampler { low_noise_guidance 3 }",
            "`low_noise_guidance` is not supported by Wan",
            "Remove it: the model has one denoiser, and `guidance` is for all steps.",
            "3",
        ),
    ],
)
def test_what_a_family_lacks(line: str, message: str, cure: str, place: str) -> None:
    spec = parse(HEAD + line).replaced({}, model="Wan-AI/Wan2.1-T2V-1.3B-Diffusers")
    with pytest.raises(GrainError) as caught:
        check_supported(spec, "Wan", ALL)
    (finding,) = caught.value.diagnostics
    assert (finding.code, finding.message, finding.cure) == ("G504", message, cure)
    assert finding.span is not None
    assert line[finding.span.column - 1 : finding.span.end_column - 1] == place
    check_supported(spec, "Wan", ())


def test_a_checkpoint_with_one_expert_is_named() -> None:
    spec = parse(HEAD + "inject sampler { low_noise_guidance 3 }").replaced({}, model="a/b")
    with pytest.raises(GrainError) as caught:
        check_supported(spec, "Wan", {"inject"}, one_expert=True)
    assert [finding.message for finding in caught.value.diagnostics] == [
        "`inject` is not supported by Wan",
        "`low_noise_guidance` is not supported by a/b, a checkpoint with one expert",
    ]
    check_supported(spec.replaced({}, inject=None), "Wan", {"inject"})


def test_all_of_it_is_reported_at_once() -> None:
    spec = parse(HEAD + "inject flow attention { norm clip frames full }")
    with pytest.raises(GrainError) as caught:
        check_supported(spec, "Wan", ALL)
    assert len(caught.value.diagnostics) == 3
    spec = parse(HEAD + "attention { norm each frames full }").replaced({}, model="a/b")
    check_supported(spec, "Wan", ALL)


# --- processes, for every family -----------------------------------------------------------------

REFUSED = "`process flow_edit` is not supported by Stable Diffusion 1.x, 2.x or XL"


def test_flow_edit_needs_a_flow_matching_model(tiny_model: Path) -> None:
    text = f'model "{tiny_model}" source "a man" sampler {{ process flow_edit }}'
    spec = parse(HEAD + text)
    for model in (known(spec, Path()), outlined_model(spec, Path())):
        assert model is not None
        assert model.default_process == "invert_and_sample"
        with pytest.raises(GrainError) as caught:
            model.check(spec, Path())
        (finding,) = caught.value.diagnostics
        assert (finding.code, finding.message) == ("G504", REFUSED)
        assert finding.cure == (
            "`flow_edit` is for flow-matching models, such as Wan. "
            "Write `process invert_and_sample`, or remove `process`."
        )
        assert finding.span is not None
        assert text[finding.span.column - 1 :].startswith("flow_edit")
    stated = spec.sampler.replaced({}, process="invert_and_sample")
    known(spec, Path()).check(spec.replaced({}, sampler=stated), Path())


@pytest.mark.parametrize("command", ["check", "plan"])
def test_commands_say_it(grain: Grain, clip: ClipFolder, command: str) -> None:
    path = clip.root / "edit.grain"
    path.write_text(clip.spec_text(settings='source "two men" sampler { process flow_edit }'))
    done = grain(command, str(path))
    assert done.code == 1
    assert "G504" in done.err + done.out
    assert REFUSED in " ".join((done.err + done.out).split())
    done = grain("plan", str(path), "--set", "sampler.process=invert_and_sample")
    assert done.code == 0


def test_a_unet_has_one_denoiser(tiny_model: Path) -> None:
    spec = parse(HEAD + f'model "{tiny_model}" sampler {{ low_noise_guidance 3 }}')
    with pytest.raises(GrainError, match="G504.*`low_noise_guidance` is not supported by Stable"):
        known(spec, Path()).check(spec, Path())
