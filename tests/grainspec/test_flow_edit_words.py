"""The words of flow-matching edits: how they are read, written, set, corrected and explained."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from grainspec import Builder, GrainError, dumps, from_json, override, parse, parse_all, to_json
from grainspec.diagnostics.fixing import apply_fixes
from grainspec.json_format import json_schema
from grainspec.model.layer_numbers import MAX_LAYER, as_ranges, without_ranges
from grainspec.model.partial import Attention

HEAD = """\
grain 1
video "c"
model "owner/name"
source "a man on grass"
target "a bear on grass"
region r = all
edit r -> "bear"
"""
FLOW = (
    "sampler { steps 25 guidance 10 seed 3 process flow_edit skip 20% source_guidance 2 average 4 "
    "amplify 1 low_noise_guidance 3.5 }"
)


def test_a_whole_block() -> None:
    sampler = parse(HEAD + FLOW).sampler
    assert (sampler.process, sampler.skip, sampler.source_guidance) == ("flow_edit", 0.2, 2)
    assert (sampler.average, sampler.amplify, sampler.low_noise_guidance) == (4, 1, 3.5)


def test_every_door_leads_to_the_same_spec() -> None:
    text = HEAD + "attention flowanchor { layers 0..9 12 20..22 columns 0.2 }\n" + FLOW
    spec = parse(text)
    built = (
        Builder("c")
        .model("owner/name")
        .source("a man on grass")
        .target("a bear on grass")
        .region("r", parse(text).region("r").expression)
        .edit("r", "bear")
        .attention(profile="flowanchor", layers=[*range(10), 12, *range(20, 23)], columns=0.2)
        .sampler(
            process="flow_edit",
            steps=25,
            guidance=10,
            seed=3,
            skip=0.2,
            source_guidance=2,
            average=4,
            amplify=1,
            low_noise_guidance=3.5,
        )
        .build()
    )
    assert built == spec == parse(dumps(spec)) == from_json(to_json(spec))
    assert "layers 0..9 12 20..22" in dumps(spec)
    document = json.loads(to_json(spec))
    assert document["attention"]["layers"] == ["0..9", 12, "20..22"]
    jsonschema.validate(document, json_schema())


def test_single_values_can_be_set() -> None:
    words = ["process=flow_edit", "skip=20%", "source_guidance=2", "average=4", "amplify=0.5"]
    spec = override(parse(HEAD), [f"sampler.{word}" for word in words])
    spec = override(spec, ["attention.layers=0..4 8", "attention.columns=0.2"])
    assert (spec.sampler.process, spec.sampler.skip, spec.sampler.average) == ("flow_edit", 0.2, 4)
    assert (spec.attention.layers, spec.attention.columns) == ((0, 1, 2, 3, 4, 8), 0.2)


@pytest.mark.parametrize(
    ("setting", "cure"),
    [
        ("sampler.method=euler", "Write `ddim`: for a flow-matching model DDIM is Euler's step."),
        ("sampler.process=inversion", "Write `invert_and_sample`."),
        ("sampler.skip=17", "Write `17%`, a share of the steps: 17 of 50 steps are `34%`."),
        ("attention.layers=9..3", "Write `3..9`."),
    ],
)
def test_values_of_others_are_corrected_there_too(setting: str, cure: str) -> None:
    with pytest.raises(GrainError) as caught:
        override(parse(HEAD), [setting])
    assert caught.value.diagnostics[0].cure == cure


def test_a_variant_changes_single_settings() -> None:
    text = HEAD + FLOW + "\nvariant weak { sampler { skip 50% } attention { layers 3 } }"
    spec = parse(text).as_variant("weak")
    assert (spec.sampler.skip, spec.sampler.process, spec.sampler.average) == (0.5, "flow_edit", 4)
    assert spec.attention.layers == (3,)
    assert parse(dumps(parse(text))) == parse(text)


# --- layers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "short"),
    [
        ((3,), [3]),
        ((3, 4), [3, 4]),
        ((3, 4, 5), ["3..5"]),
        ((5, 4, 3), [5, 4, 3]),
        ((0, 1, 2, 2, 3, 4, 9), ["0..2", "2..4", 9]),
    ],
)
def test_numbers_in_a_row_are_a_range(numbers: tuple[int, ...], short: list[Any]) -> None:
    assert as_ranges(numbers) == short
    assert without_ranges(short) == numbers


def test_a_long_list_of_ranges_is_not_expanded() -> None:
    assert len(without_ranges(["0..255"] * 100_000)) <= 2 * (MAX_LAYER + 1) + 1
    with pytest.raises(GrainError, match="more than 256 items"):
        Builder("c").attention(layers=["0..255"] * 100_000)


@pytest.mark.parametrize("layers", [["9..3"], ["0..256"], ["0-9"], "0..9", ["x"], [1.5], [256]])
def test_python_takes_numbers_and_ranges_only(layers: Any) -> None:
    expected = '`"all"`, or a list of whole numbers from 0 to 255 and ranges such as `"0..9"`'
    with pytest.raises(GrainError) as caught:
        Builder("c").attention(layers=layers)
    assert expected in str(caught.value)


def test_python_takes_its_own_ranges() -> None:
    assert Attention(layers=range(3, 6)).layers == (3, 4, 5)  # type: ignore[arg-type]
    assert Attention(layers="all").layers == "all"


# --- mistakes ------------------------------------------------------------------------------------

EXPECTED_LAYERS = (
    "`all`, or numbers of transformer blocks from 0 to 255, such as `0..9` or `0 5 10..19`"
)


@pytest.mark.parametrize(
    ("line", "message", "cure", "right"),
    [
        (
            "attention { layers 0-29 }",
            "`0-29` is not a range: the first and the last, with `..` between",
            "Write `attention { layers 0..29 }`.",
            "attention { layers 0..29 }",
        ),
        (
            "attention { layers 0..4 7-9 }",
            "`7-9` is not a range: the first and the last, with `..` between",
            "Write `layers 0..4 7..9`.",
            "attention { layers 0..4 7..9 }",
        ),
        (
            "attention { layers 3..1 }",
            f"invalid value `3..1` for `layers`: {EXPECTED_LAYERS}",
            "Write `1..3`.",
            "",
        ),
        (
            "attention { layers 0..300 }",
            f"invalid value `0..300` for `layers`: {EXPECTED_LAYERS}",
            "",
            "",
        ),
        ("attention { layers }", "`layers` has no value", f"Expected {EXPECTED_LAYERS}.", ""),
        *(
            (
                f"attention {{ {word} 0..9 }}",
                f"unknown setting `{word}`",
                "Write `layers`.",
                "attention { layers 0..9 }",
            )
            for word in ("block", "blocks", "transformer_blocks")
        ),
        (
            "attention { columns 30% }",
            "invalid value `30%` for `columns`: a number from 0 to 1",
            "Write `0.3`.",
            "attention { columns 0.3 }",
        ),
        (
            "attention each",
            "unknown attention profile `each`",
            "Write `attention { frames each }`.",
            "",
        ),
        (
            "sampler { process flowedit }",
            "invalid value `flowedit` for `process`: one of `invert_and_sample`, `flow_edit`",
            "Write `flow_edit`.",
            "sampler { process flow_edit }",
        ),
        (
            "sampler { process flow_edti }",
            "invalid value `flow_edti` for `process`: one of `invert_and_sample`, `flow_edit`",
            "Did you mean `flow_edit`?",
            "",
        ),
        (
            "sampler { process flow-edit }",
            "`flow-edit` is written `flow_edit`",
            "Write `flow_edit`.",
            "sampler { process flow_edit }",
        ),
        (
            "sampler { process inversion }",
            "invalid value `inversion` for `process`: one of `invert_and_sample`, `flow_edit`",
            "Write `invert_and_sample`.",
            "sampler { process invert_and_sample }",
        ),
        (
            "sampler flow_edit",
            "unknown sampler method `flow_edit`",
            "Write `sampler { process flow_edit }`.",
            "",
        ),
        (
            "sampler flowedit { skip 20% }",
            "unknown sampler method `flowedit`",
            "Write `sampler { process flow_edit }`.",
            "",
        ),
        (
            "sampler euler { steps 30 }",
            "unknown sampler method `euler`",
            "Write `ddim`: for a flow-matching model DDIM is Euler's step.",
            "sampler ddim { steps 30 }",
        ),
        (
            "sampler dpmpp_2m",
            "unknown sampler method `dpmpp_2m`",
            "Write `dpmpp`.",
            "sampler dpmpp",
        ),
        (
            "sampler { skip 0.2 }",
            "invalid value `0.2` for `skip`: a percentage from 0% to 100%",
            "Write `20%`.",
            "sampler { skip 20% }",
        ),
        (
            "sampler { skip 17 }",  # a share, or a number of steps
            "invalid value `17` for `skip`: a percentage from 0% to 100%",
            "Write `17%`, a share of the steps: 17 of 50 steps are `34%`.",
            "",
        ),
        *(
            (
                f"sampler {{ steps 50 {word} 17 }}",
                f"unknown setting `{word}`",
                "Write `skip 34%`, which is 17 of 50 steps.",
                "sampler { steps 50 skip 34% }",
            )
            for word in ("skip_steps", "num_skip", "n_skip")
        ),
        (
            "sampler { steps 28 n_max 24 }",
            "unknown setting `n_max`",
            "Write `skip 14%`, which is 4 of 28 steps.",
            "sampler { steps 28 skip 14% }",
        ),
        (
            "sampler { skip_steps 17 }",
            "unknown setting `skip_steps`",
            "Write the share of the steps that are skipped: 17 of 50 steps are `skip 34%`.",
            "",
        ),
        (
            "sampler { steps 28 n_max 30 }",
            "unknown setting `n_max`",
            "Write the share of the steps that are skipped: 33 of 50 steps remain with `skip 34%`.",
            "",
        ),
        (
            "sampler { n_min 0 }",
            "unknown setting `n_min`",
            "FlowEdit's steps go on to the last one here, which is `n_min 0`: remove it.",
            "",
        ),
        (
            "sampler { flow_shift 5 }",
            "unknown setting `flow_shift`",
            "The shift of a flow-matching schedule is the model's own, in "
            "`scheduler/scheduler_config.json`: remove it.",
            "",
        ),
        *(
            (
                f"sampler {{ {word} 2 }}",
                f"unknown setting `{word}`",
                "Write `source_guidance`.",
                "sampler { source_guidance 2 }",
            )
            for word in ("src_guidance", "src_guidance_scale", "cfg_src")
        ),
        *(
            (
                f"sampler {{ {word} 12 }}",
                f"unknown setting `{word}`",
                "Write `guidance`.",
                "sampler { guidance 12 }",
            )
            for word in ("tar_guidance_scale", "tgt_guidance", "cfg_tar")
        ),
        (
            "sampler { n_avg 3 }",
            "unknown setting `n_avg`",
            "Write `average`.",
            "sampler { average 3 }",
        ),
        (
            "sampler { guidance_scale_2 3 }",
            "unknown setting `guidance_scale_2`",
            "Write `low_noise_guidance`.",
            "sampler { low_noise_guidance 3 }",
        ),
        (
            "process flow_edit",
            "`process` is a setting of `sampler`, not a statement",
            "Write `sampler { process flow_edit }`.",
            "sampler { process flow_edit }",
        ),
        (
            "n_avg 3",
            "unknown statement `n_avg`",
            "Write `sampler { average 3 }`.",
            "sampler { average 3 }",
        ),
    ],
)
def test_mistakes(line: str, message: str, cure: str, right: str) -> None:
    text = HEAD + line + "\n"
    (found,) = parse_all(text).diagnostics
    assert (found.message, found.cure) == (message, cure)
    assert bool(found.fixes) == bool(right)
    if right:
        corrected, _ = apply_fixes(text, [found])
        assert corrected == HEAD + right + "\n"
        assert parse_all(corrected).diagnostics == ()


def test_hyphens_in_texts_stay() -> None:
    text = HEAD.replace('"a bear', '"a first-last bear') + 'edit r -> "first-last" { weigth 1 }\n'
    corrected, _ = apply_fixes(text, parse_all(text).diagnostics)
    assert corrected.count("first-last") == 2
