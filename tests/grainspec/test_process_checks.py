"""What contradicts a process or has no effect in it, and what FlowEdit needs of the prompts.

The checks speak when the process is known: the spec states it, or its model is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from clips import ClipFolder

from grainspec import EditSpec, check, parse, parse_all
from grainspec.checking import compiled
from grainspec.diagnostics import Diagnostic
from grainspec.model.settings.sampler import ProcessName
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import MaskPlan
from grainspec.testing import word_backbone

HEAD = """\
grain 1
video "c"
model "owner/name"
source "a man on grass"
target "a bear on grass"
region r = all
edit r -> "bear"
"""


def found(line: str, head: str = HEAD) -> list[tuple[str, str, str]]:
    """The findings about a spec with one more line; each is about that line, or about the prompts."""
    text = head + line + "\n"
    return [(d.code, d.message, d.cure) for d in parse_all(text).diagnostics]


@pytest.mark.parametrize(
    ("line", "code", "message", "cure", "place"),
    [
        *(
            (
                f"sampler {{ process invert_and_sample {words} }}",
                "G111",
                f"`{words.split()[0]}` has no effect with `process invert_and_sample`",
                f"Remove `{words.split()[0]}`: it is for `process flow_edit`.",
                words.split()[1],
            )
            for words in ("skip 20%", "source_guidance 2", "average 2", "amplify 1")
        ),
        (
            "sampler { process invert_and_sample seed 3 }",
            "G111",
            "`seed 3` has no effect: nothing is random with `eta 0`",
            "Remove it, or write `eta 0.2`, which draws new noise in every step.",
            "3",
        ),
        *(
            (
                f"sampler {{ process invert_and_sample steps {steps} smooth_from 99% }}",
                "G111",
                f"`smooth_from 99%` has no effect: it leaves no step of {steps}",
                f"Write a lower percentage, such as `smooth_from {lower}`.",
                "99%",
            )
            for steps, lower in ((20, "80%"), (5, "50%"), (3, "0%"))
        ),
        (
            "sampler { process invert_and_sample steps 1 smooth_from 0% }",
            "G111",
            "`smooth_from 0%` smooths every second frame only: it leaves one step of 1",
            "Write `steps 2`.",
            "0%",
        ),
        (
            "sampler { process invert_and_sample steps 20 smooth_from 95% }",
            "G111",
            "`smooth_from 95%` smooths every second frame only: it leaves one step of 20",
            "Write a lower percentage, such as `smooth_from 80%`.",
            "95%",
        ),
        (
            "sampler unipc { process invert_and_sample smooth_from 80% }",
            "G111",
            "`unipc` undoes most of `smooth_from`: it corrects a step by those before it, "
            "which were not smoothed",
            "Write `ddim`, or `smooth_from 100%`.",
            "unipc",
        ),
        (
            "sampler { process invert_and_sample steps 1 smooth_from 80% }",
            "G111",
            "`smooth_from 80%` has no effect: it leaves no step of 1",
            "Write `steps 8`.",
            "80%",
        ),
        (
            "sampler { process flow_edit smooth_from 80% }",
            "G111",
            "`smooth_from` has no effect with `process flow_edit`",
            "Remove it: it is for `process invert_and_sample`.",
            "80%",
        ),
        (
            "sampler { process flow_edit eta 0.2 }",
            "G111",
            "`eta` has no effect with `process flow_edit`, which draws noise in every step",
            "Remove `eta`.",
            "0.2",
        ),
        (
            "sampler unipc { process flow_edit eta 0.2 }",
            "G203",
            "`eta` applies to `ddim` only, not to `unipc`",
            "Remove `eta`.",
            "0.2",
        ),
        *(
            (
                f"sampler {method} {{ process flow_edit }}",
                "G111",
                f"`{method}` has no effect with `process flow_edit` but on the rounding of noise "
                "levels: its steps are Euler's",
                "Write `ddim`.",
                method,
            )
            for method in ("unipc", "dpmpp", "deis")
        ),
        (
            "sampler { process flow_edit guidance 0 source_guidance 0 }",
            "G111",
            "`target` has no effect with `guidance 0`: only the negative prompt is read",
            "Write a `guidance` above `source_guidance`, such as `guidance 10`.",
            "0",
        ),
        (
            "sampler { process flow_edit low_noise_guidance 3 }",
            "G118",
            "`source_guidance 5` is larger than `low_noise_guidance 3`",
            "Write `source_guidance 3` or less. FlowEdit edits by the difference of the two, and "
            "guides the target at least as strongly as the source.",
            "3",
        ),
        (
            "sampler { process flow_edit } blend { from 25% }",
            "G111",
            "`from` has no effect with `process flow_edit`, which restores nothing in between",
            "Remove `from`.",
            "25%",
        ),
        (
            "sampler { process flow_edit } inject",
            "G203",
            "`inject` needs the source's inversion, which `process flow_edit` does without",
            "Remove `inject`: a larger `skip` also keeps more of the source's structure.",
            "inject",
        ),
        (
            "sampler { process flow_edit skip 100% }",
            "G203",
            "`skip 100%` leaves no step of 50",
            "Write a lower percentage, such as `skip 33%`.",
            "100%",
        ),
        (
            "sampler { process flow_edit steps 4 skip 90% }",
            "G203",
            "`skip 90%` leaves no step of 4",
            "Write a lower percentage, such as `skip 33%`.",
            "90%",
        ),
        (
            "sampler { process flow_edit steps 1 }",
            "G203",
            "`skip 33%` leaves no step of 1",
            "Write a lower percentage, such as `skip 0%`.",
            "1",
        ),
        (
            "sampler { process flow_edit guidance 1 }",
            "G118",
            "`source_guidance 5` is larger than `guidance 1`",
            "Write `source_guidance 1` or less. FlowEdit edits by the difference of the two, and "
            "guides the target at least as strongly as the source.",
            "1",
        ),
        (
            "sampler { process flow_edit source_guidance 9.5 }",
            "G118",
            "`source_guidance 9.5` is larger than `guidance 7.5`",
            "Write `source_guidance 7.5` or less. FlowEdit edits by the difference of the two, and "
            "guides the target at least as strongly as the source.",
            "9.5",
        ),
        (
            'sampler { process flow_edit guidance 1 source_guidance 1 } negative "ugly"',
            "G111",
            "`negative` has no effect with `guidance 1`",
            "Remove it, or write a larger `guidance`.",
            '"ugly"',
        ),
        (
            'sampler { process invert_and_sample guidance 1 } negative "ugly"',
            "G111",
            "`negative` has no effect with `guidance 1`",
            "Remove it, or write a larger `guidance`.",
            '"ugly"',
        ),
    ],
)
def test_what_a_process_contradicts_or_ignores(
    line: str, code: str, message: str, cure: str, place: str
) -> None:
    assert found(line) == [(code, message, cure)]
    (finding,) = parse_all(HEAD + line).diagnostics
    assert finding.span is not None
    assert finding.span.line == HEAD.count("\n") + 1
    assert line[finding.span.column - 1 : finding.span.end_column - 1] == place


@pytest.mark.parametrize(
    "line",
    [
        "sampler { process flow_edit seed 3 average 4 amplify 1 skip 20% source_guidance 2 }",
        "sampler { process flow_edit } blend { space pixels feather 2% }",
        "sampler { process flow_edit steps 2 }",
        "sampler { process flow_edit skip 0% steps 1 }",
        "sampler { process flow_edit guidance 1 source_guidance 1 }",
        'sampler { process flow_edit guidance 1 source_guidance 0 } negative "ugly"',
        'sampler { process invert_and_sample guidance 1 low_noise_guidance 3 } negative "ugly"',
        "sampler { process invert_and_sample } inject blend { from 25% }",
        "sampler { process invert_and_sample smooth_from 80% steps 10 }",
        "sampler { process invert_and_sample smooth_from 0% }",
        # The model decides, and is not known:
        "sampler { skip 20% seed 3 }",
        "sampler { skip 100% guidance 1 } inject",
        'negative "ugly" sampler { guidance 1 }',
    ],
)
def test_what_is_in_order(line: str) -> None:
    assert found(line) == []


def test_the_demo_model_inverts() -> None:
    head = HEAD.replace('model "owner/name"\n', "")
    assert [code for code, *_ in found("sampler { skip 20% }", head)] == ["G111"]
    assert [code for code, *_ in found("sampler { skip 100% }", head)] == ["G111"]
    assert found("sampler { process flow_edit } inject", head) == []  # G504, of the model


# --- prompts -------------------------------------------------------------------------------------

MISSING = (
    "G117",
    "FlowEdit has no source prompt to compare the target with",
    'Describe the clip as it is: `source "a man on grass"`, in the words of `target` '
    "except for what is edited.",
)
EQUAL = (
    "G117",
    "`source` and `target` are the same, and FlowEdit edits by their difference",
    "Write in `source` what the clip shows, and in `target` what the edit shows.",
)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", [MISSING]),
        ('source ""', [MISSING]),
        ('source "  "', [MISSING]),
        ('source "a bear on  grass "', [EQUAL]),
        ('source "a Bear on grass"', []),
    ],
)
def test_flow_edit_needs_a_source_prompt(source: str, expected: list[object]) -> None:
    head = HEAD.replace('source "a man on grass"', source)
    assert found("sampler { process flow_edit }", head) == expected
    assert found("sampler { process invert_and_sample }", head) == []


def test_a_missing_source_prompt_is_shown_at_the_process() -> None:
    text = HEAD.replace('source "a man on grass"\n', "") + "sampler { process flow_edit }"
    (finding,) = parse_all(text).diagnostics
    assert finding.span is not None
    assert finding.span.line == HEAD.count("\n")


# --- variants ------------------------------------------------------------------------------------


def test_a_variant_is_checked_with_its_own_process() -> None:
    line = "sampler { process flow_edit } variant v { sampler { skip 100% } }"
    (finding,) = found(line)
    assert finding[:2] == ("G203", "variant `v`: `skip 100%` leaves no step of 50")
    line = "variant v { sampler { process invert_and_sample skip 20% } }"
    (finding,) = found(line)
    assert finding[0] == "G111"
    assert finding[1].startswith("variant `v`: `skip` has no effect")


def test_what_a_variant_inherits_is_of_use_elsewhere() -> None:
    base = "sampler { process flow_edit skip 20% seed 3 average 2 }"
    assert found(base + " variant v { sampler { process invert_and_sample } }") == []
    base = "sampler { process invert_and_sample eta 0.5 } blend { from 25% }"
    assert [f[1] for f in found(base + " variant v { sampler { process flow_edit eta 0 } }")] == []


# --- a model that decides ------------------------------------------------------------------------


class Model:
    """A model with a default process."""

    warnings: tuple[Diagnostic, ...] = ()

    def __init__(self, process: ProcessName) -> None:
        self.default_process = process
        self.backbone: Backbone = word_backbone(levels=1)

    def check(self, spec: EditSpec, base: Path) -> None:
        """Accept everything."""

    def check_plan(self, spec: EditSpec, base: Path, plan: MaskPlan) -> Iterable[Diagnostic]:
        return ()


def codes(clip: ClipFolder, settings: str, process: ProcessName) -> list[tuple[str, bool]]:
    """The findings with a model of this default process, and whether there is a plan."""
    spec = parse(clip.spec_text(settings='model "owner/name" ' + settings))
    result = compiled(spec, clip.root, Model(process))
    return [(finding.code, result.plan is not None) for finding in result.findings]


def test_a_known_model_decides(clip: ClipFolder) -> None:
    assert codes(clip, 'source "two men"', "flow_edit") == []
    assert codes(clip, "", "invert_and_sample") == []
    assert codes(clip, "", "flow_edit") == [("G117", True)]
    skip, seed = "sampler { skip 20% }", 'source "two men" sampler { seed 3 }'
    assert codes(clip, skip, "invert_and_sample") == [("G111", True)]
    assert codes(clip, seed, "invert_and_sample") == [("G111", True)]
    assert codes(clip, seed, "flow_edit") == []
    assert codes(clip, 'source "two men" inject', "flow_edit") == [("G203", False)]


def test_what_the_spec_states_is_not_said_again(clip: ClipFolder) -> None:
    stated = "sampler { process flow_edit }"
    assert codes(clip, stated, "invert_and_sample") == []  # said before the model is known


def test_flow_edits_defaults_are_not_for_the_demos_video_model() -> None:
    text = """grain 1 video "c" model "MODEL" source "a man" target "a green robot"
    region man = all edit man -> "green robot" """

    def codes(model: str, more: str = "") -> list[str]:
        return [finding.code for finding in check(parse(text.replace("MODEL", model) + more))]

    assert codes("demo-video") == codes("demo-video", "sampler { steps 20 }") == ["G119"]
    assert codes("demo-video", "sampler { guidance 2 source_guidance 1 }") == []
    assert codes("demo-video", "sampler { process invert_and_sample }") == []
    assert codes("demo-image") == []
