"""The statement `method`: as text, JSON and Python, in variants, and what it contradicts."""

from __future__ import annotations

import json
import re
from typing import Annotated, get_args

import pytest
from pydantic import Field, ValidationError

from grainspec import (
    ALL,
    Builder,
    Changes,
    GrainError,
    check,
    dumps,
    from_json,
    override,
    parse,
    to_json,
)
from grainspec.checks.method import TRAITS, flow_of
from grainspec.diagnostics.fixing import fix_text
from grainspec.model.declaration import Declaration, InText, fields_of, settings_of
from grainspec.model.settings.context import Context
from grainspec.model.settings.flow import Flow
from grainspec.model.settings.method import (
    MASKED_METHODS,
    OWN_WINDOWS,
    REGIONS_AS_PUBLISHED,
    SOURCE_MAPS,
    Method,
    MethodName,
    method_of,
)
from grainspec.text.parse import parse_all
from grainspec.text.tokens import grammar

SPEC = """grain 1 video "c" model "a/b" source "a man" target "a bear" region r = all edit r -> "bear"
"""
VARIANT = 'variant v { target "a pig" edit r -> "pig" method dfvedit { regions off } }'


def found(text: str) -> list[tuple[str, str]]:
    return [(finding.code, finding.message) for finding in parse_all(SPEC + text).diagnostics]


def test_every_form_says_the_same() -> None:
    spec = parse(SPEC + "method dfvedit { regions blend }" + VARIANT)
    assert spec.method == Method(name="dfvedit", regions="blend")
    assert spec.as_variant("v").method == Method(name="dfvedit", regions="off")
    assert parse(dumps(spec)) == spec
    assert from_json(to_json(spec)) == spec
    assert {"name": "dfvedit", "regions": "blend"}.items() <= json.loads(to_json(spec))[
        "method"
    ].items()
    built = (
        Builder("c")
        .model("a/b")
        .source("a man")
        .target("a bear")
        .region("r", ALL)
        .edit("r", "bear")
        .method("dfvedit", regions="blend")
        .variant("v", Changes().target("a pig").edit("r", "pig").method("dfvedit", regions="off"))
        .build()
    )
    assert built == spec


def test_a_variant_without_a_method_has_the_specs() -> None:
    spec = parse(SPEC + 'method dfvedit variant v { target "a pig" edit r -> "pig" }')
    assert spec.as_variant("v").method == spec.method == Method(name="dfvedit")
    assert spec.variants[0].method is None


@pytest.mark.parametrize("block", ["flow { method raft }", "flow {\n levels 0 1\n method dis\n}"])
def test_the_word_is_a_setting_of_flow_too(block: str) -> None:
    spec = parse(f"{SPEC}{block} blend {{ space both }}")
    assert isinstance(spec.flow, Flow)
    assert parse(dumps(spec)) == spec


def test_values_that_are_words_of_statements() -> None:
    spec = parse(SPEC + "method dfvedit { regions\n attention } blend { space both }")
    assert spec.method == Method(name="dfvedit", regions="attention")


def test_tools_read_statements_alike() -> None:
    from grainspec.analysis.statements import written_statements

    text = "flow {\n method raft }\nmethod dfvedit { regions blend }\nblend { space both }"
    statements, _ = written_statements(grammar().lex(text), len(text))
    assert [statement.keyword for statement in statements] == ["flow", "method", "blend"]


@pytest.mark.parametrize("name", get_args(MethodName))
def test_by_default_a_method_keeps_what_no_edit_names(name: MethodName) -> None:
    """Without a word about regions, a spec means the same by any method: the rest is kept."""
    method = Method(name=name)
    assert (method.blends, method.modulates) == (True, True)
    assert (REGIONS_AS_PUBLISHED[name] == "both") == (name == "ground_a_video")


def test_it_is_set_from_outside() -> None:
    spec = override(parse(SPEC), ["method.name=dfvedit", "method.regions=off"])
    assert spec.method == Method(name="dfvedit", regions="off")
    with pytest.raises(GrainError, match=r"the spec has no `method`.*`--set method.name=\w+`"):
        override(parse(SPEC), ["method.regions=off"])


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("method nothing", "G202", "unknown method name `nothing`"),
        ("method dfvedit { regions some }", "G202", "invalid value `some` for `regions`"),
        ("method dfvedit { tau 40% }", "G201", "unknown setting `tau`"),
        ("method dfvedit method dfvedit", "G007", "duplicate `method`"),
        ("method", "G001", "incomplete statement after `method`"),
    ],
)
def test_what_cannot_be_read(text: str, code: str, words: str) -> None:
    with pytest.raises(GrainError) as error:
        parse(SPEC + text)
    first = error.value.diagnostics[0]
    assert first.code == code
    assert words in first.message


def test_settings_of_another_method() -> None:
    class Other(Method):
        name: str = "other"
        tau: Annotated[float, InText(owners=("fatezero",))] = Field(
            default=0.4, alias="t", description="A share."
        )
        own: Annotated[int, InText(owners=("other", "fatezero"))] = Field(default=1)

    assert Other(own=2).model_dump().keys() == {"name", "own"}
    assert not {"tau", "t", "word_mask"} & Other().model_dump(by_alias=True).keys()
    with pytest.raises(ValidationError, match="`t` is a setting of `method fatezero`, not of"):
        Other.model_validate({"t": 0.5})
    assert fields_of(Other)["t"].description == "For `fatezero`: a share."


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "sampler { process flow_edit }",
            "G561",
            "`process flow_edit` contradicts `method dfvedit`",
        ),
        ("inject", "G561", "`inject` is not supported by `method dfvedit`"),
        ("flow", "G561", "`flow` is not supported by `method dfvedit`"),
        ("sampler { average 2 }", "G111", "`average` has no effect with `method dfvedit`"),
        ("sampler unipc", "G111", "`unipc` has no effect with `method dfvedit`"),
        ("blend { from 25% }", "G111", "`from` has no effect with `method dfvedit`"),
    ],
)
def test_what_a_method_does_not_take(text: str, code: str, message: str) -> None:
    assert (code, message) in found(f"{text} method dfvedit")
    assert (code, message) not in found(text)


def test_regions_that_are_not_used() -> None:
    blended = "attention { self 0.5 } blend { space both } "
    assert found(blended + "method dfvedit") == []
    assert [code for code, _ in found(blended + "method dfvedit { regions off }")] == ["G111"] * 2
    unused = found(blended + "method dfvedit { regions blend }")
    assert unused == [
        ("G111", "`attention` has no effect with `regions blend`: attention is not modulated")
    ]
    assert [code for code, _ in found("blend { space none } method dfvedit { regions blend }")] == [
        "G111"
    ]
    assert found("attention { frames each norm clip } method dfvedit { regions off }") == []


def test_a_variant_inherits_settings_that_it_does_not_use() -> None:
    """The same spec is compared with and without the method: its own edit uses them."""
    assert found("attention { self 0.5 } blend { space both } " + VARIANT) == []


def test_a_contradiction_in_a_variant() -> None:
    text = f"inject {VARIANT}"
    assert found(text) == [
        ("G561", "variant `v`: `inject` is not supported by `method dfvedit`"),
    ]


def test_a_method_takes_the_place_of_the_process() -> None:
    """No check of a process applies: a demo model's default is inversion."""
    text = (SPEC + "method dfvedit sampler { seed 3 }").replace('"a/b"', '"demo-video"')
    assert check(parse(text)) == []
    assert TRAITS["dfvedit"].by_difference
    weak = found("method dfvedit sampler { guidance 3 }")
    assert weak == [("G118", "`source_guidance 5` is larger than `guidance 3`")]
    assert found("method dfvedit") == []
    same = SPEC.replace('"a man"', '"a bear"')
    assert [finding.code for finding in check(parse(same + "method dfvedit"))] == ["G117"]


MAPS = """grain 1 video "c" model "a/b" region r = all edit r -> "robot"
target "a robot with a hat on grass" """


def doubts(text: str) -> list[tuple[str, str]]:
    return [(finding.code, finding.message) for finding in parse_all(MAPS + text).diagnostics]


def test_settings_with_defaults_of_each_method() -> None:
    given = parse(
        MAPS + 'source "a man on grass" method fatezero { self_steps 100% words replace }'
    )
    assert given.method is not None
    assert given.method.source_maps == (0.8, 1.0, "replace", 1.0)
    assert Method(name="video_p2p", local_blend=0).source_maps == (0.2, 0.5, "replace", 0.0)
    with pytest.raises(GrainError, match=r"G560.*`words` is a setting of `method fatezero` and"):
        parse(MAPS + "method dfvedit { words replace }")


@pytest.mark.parametrize("method", ["fatezero", "video_p2p"])
def test_a_method_of_the_sources_maps_needs_words_of_the_source(method: str) -> None:
    (finding,) = doubts(f"method {method}")
    assert finding[0] == "G565"
    assert f"`source` is empty, so `method {method}`" in finding[1]
    assert doubts(f'source "a man on grass" method {method} {{ regions off }}') == []
    assert doubts(f'source "a robot with a hat on grass" method {method}') == []


def test_a_mask_of_words_needs_a_word_of_the_source() -> None:
    source = 'source "a hat on grass" '
    (finding,) = doubts(source + "method fatezero { regions blend }")
    assert finding == (
        "G565",
        "no word of `source` corresponds to “robot”, so `method fatezero` does not find where it "
        "is: self-attention stays the source's there",
    )
    for method in ("fatezero", "fatezero { regions off mask_threshold 100% }", "video_p2p"):
        assert doubts(f"{source} method {method}") == []


@pytest.mark.parametrize(
    ("method", "unused"),
    [
        (
            "fatezero { cross_steps 0% words replace self_steps 0% }",
            ["`words` has no effect with `cross_steps 0%`"],
        ),
        ("fatezero { cross_steps 1% words replace }", []),
        (
            "fatezero { regions off self_steps 0% mask_threshold 50% }",
            ["`mask_threshold` has no effect with `local_blend 100%` and `self_steps 0%`"],
        ),
        ("fatezero { regions off self_steps 1% mask_threshold 50% }", []),
        (
            "video_p2p { regions off local_blend 100% mask_threshold 50% }",
            ["`mask_threshold` has no effect with `local_blend 100%`"],
        ),
        ("video_p2p { regions off mask_threshold 50% }", []),
        (
            "video_p2p { regions both local_blend 40% }",
            [
                "`local_blend` has no effect with `regions both`: the source is restored there "
                "after every step"
            ],
        ),
        ("fatezero { regions attention local_blend 40% }", []),
        (
            "ground_a_video { regions blend grounded 40% }",
            ["`grounded` has no effect with `regions blend`"],
        ),
        ("ground_a_video { grounded 40% }", []),
        (
            "controlvideo { interval 4 } control pose",
            ["`interval` has no effect without `context`: all frames attend to each other"],
        ),
        ("controlvideo { interval 4 } control pose context { frames 8 }", []),
        (
            "controlvideo { smooth_from 100% middle mean } control pose",
            ["`middle` has no effect with `smooth_from 100%`"],
        ),
        ("controlvideo { middle mean } control pose", []),
        (
            "controlvideo control pose sampler { steps 3 }",
            [
                "the default `smooth_from 60%` smooths every second frame only: it leaves one step "
                "of 3"
            ],
        ),
        (
            "controlvideo { smooth_from 50% } control pose sampler unipc { smooth_from 20% }",
            [
                "`unipc` undoes most of `smooth_from`: it corrects a step by those before it, "
                "which were not smoothed",
                "`smooth_from` has no effect with `method controlvideo`",
            ],
        ),
        ("dmt { motion 0% first_rate 0.5 }", ["`first_rate` has no effect with `motion 0%`"]),
        (
            "dmt { updates 0 motion 10% last_rate 0.1 }",
            [
                "`motion` has no effect with `updates 0`",
                "`last_rate` has no effect with `updates 0`",
            ],
        ),
        ("dmt { motion 10% first_rate 0.5 last_rate 0.1 updates 2 }", []),
    ],
)
def test_settings_that_others_leave_without_effect(method: str, unused: list[str]) -> None:
    spec = parse_all(MAPS + f'source "a man on grass" method {method}')
    assert [(finding.code, finding.message) for finding in spec.diagnostics] == [
        ("G111", message) for message in unused
    ]
    for finding in spec.diagnostics:
        assert finding.span is not None
        assert finding.span.line == 2
        assert finding.span.column > len('target "a robot with a hat on grass" source')


@pytest.mark.parametrize(
    ("old", "new", "share"),
    [
        ("0.4", "40%", 0.4),
        ("1", "100%", 1),
        ("1.0", "100%", 1),
        ("0", "0%", 0),
        (".07", "7%", 0.07),
    ],
)
def test_a_mask_threshold_is_a_percentage_as_word_mask_is(old: str, new: str, share: float) -> None:
    """Once it was a number in text: that is an error, with the percentage that it was."""
    assert {settings_of(Method)[name].kind for name in ("mask_threshold", "word_mask")} == {
        "percent"
    }
    text = MAPS + f'source "a man on grass" method fatezero {{ mask_threshold {old} }}'
    (finding,) = parse_all(text).diagnostics
    assert (finding.code, finding.cure) == ("G202", f"Write `{new}`.")
    assert finding.message.startswith(f"invalid value `{old}` for `mask_threshold`")
    fixed = fix_text(text, lambda text: parse_all(text).diagnostics).text
    assert parse(fixed).method == Method(name="fatezero", mask_threshold=share)
    with pytest.raises(GrainError, match=f"G202.*Write `{new}`"):
        override(parse(MAPS), ["method.name=fatezero", f"method.mask_threshold={old}"])


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("method off", "Leave `method` out, or name one: `method fatezero`."),
        ("method None", "Leave `method` out, or name one: `method fatezero`."),
        ("method flow_edit", "Write `sampler { process flow_edit }`."),
        ("method inversion", "Write `sampler { process invert_and_sample }`."),
        ("method VideoGrain", "Write `attention videograin`."),
        ("method flowanchor", "Write `attention flowanchor`."),
        ("method unipc", "Write `sampler unipc`."),
        ("method linear", "Write `method tokenflow { falloff linear }`."),
        ("method attend", "There are `fatezero`, `video_p2p`, `tokenflow`, "),
        ("method dfvedi", "Did you mean `dfvedit`?"),
        (VARIANT.replace("dfvedit { regions off }", "off"), "write `method` in the variants that"),
        ("variant v { without method }", "write `method` in the variants that have it, and not"),
        ("variant v { without sampler }", "Name regions after `without`: a variant can leave out"),
    ],
)
def test_cures_are_statements_that_can_be_read(text: str, cure: str) -> None:
    (finding,) = parse_all(SPEC + text).diagnostics
    assert cure in finding.cure
    (written,) = re.findall(r"(?:Write|name one:) `(.*)`\.$", finding.cure) or [""]
    assert [code for code, _ in found(written)] in ([], ["G118"])


def test_a_variant_has_the_only_method_where_the_spec_has_none() -> None:
    """What the cure says: there is no way to leave out the spec's."""
    spec = parse(SPEC + VARIANT)
    assert spec.method is None
    assert spec.as_variant("v").method == Method(name="dfvedit", regions="off")


@pytest.mark.parametrize(
    ("key", "value"),
    [(name, declared) for name, declared in settings_of(Method).items()],
)
def test_the_method_that_is_proposed_has_the_setting(key: str, value: Declaration) -> None:
    written = value.choices[-1] if value.choices else "1"
    written = "10%" if value.kind == "percent" else written
    setting = f"method.{key}={written}"
    with pytest.raises(GrainError, match="G203: the spec has no `method`") as error:
        override(parse(SPEC), setting)
    (proposed,) = re.findall(r"--set (method.name=\w+)` before it", str(error.value))
    method = override(parse(SPEC), [proposed, setting]).method
    assert method is not None
    assert method.name in value.owners


@pytest.mark.parametrize(
    ("setting", "cure"),
    [
        ("method=tokenflow", "Write `--set method.name=tokenflow`."),
        ("method=token_flow", "Write `--set method.name=tokenflow`."),
        ("attention=videograin", "Write `--set attention.profile=videograin`."),
        ("method.intervals=4", "Did you mean `interval`?"),
    ],
)
def test_a_method_is_set_by_its_name(setting: str, cure: str) -> None:
    with pytest.raises(GrainError, match="G201") as error:
        override(parse(SPEC), setting)
    assert error.value.diagnostics[0].cure == cure


def place(text: str, code: str) -> str:
    """What a finding with this code underlines, of one line."""
    (span,) = (finding.span for finding in parse_all(MAPS + text).diagnostics)
    assert span is not None
    return (MAPS + text).splitlines()[span.line - 1][span.column - 1 : span.end_column - 1]


def test_a_finding_is_at_the_setting_itself() -> None:
    """`self` is written with another name than its field has in Python."""
    source = 'source "a man on grass" '
    assert place(f"{source}attention {{ self 0.2 }} method video_p2p", "G111") == "0.2"
    other = "method dfvedit { word_mask 20% words replace }"
    assert place(source + other, "G560") == "replace"
    variant = 'variant v { target "a robot" edit r -> "robot" method dmt { words refine } }'
    assert place(source + variant, "G560") == "refine"


@pytest.mark.parametrize("written", ["method fatezero { words replace }", ""])
def test_another_method_is_where_it_was_set(written: str) -> None:
    spec = override(parse(SPEC + written), ["method.name=controlvideo"] if not written else [])
    spec = override(spec, ["method.name=video_p2p", "method.cross_steps=5%"])
    assert spec.method is not None
    assert spec.method.span is not None
    assert spec.method.span.path == "--set method.name=video_p2p"
    cross_steps = spec.method.span_of("cross_steps")
    assert cross_steps is not None
    assert cross_steps.path == "--set method.cross_steps=5%"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('variant g { target "a pig" edit r -> "pig" method controlvideo control pose }', "G010"),
        ("method controlvideo control", "G001"),
        ("method controlvideo { interval 4 } control pose context 16", "G001"),
    ],
)
def test_statements_that_cannot_be_read_are_not_missed(text: str, code: str) -> None:
    assert {finding[0] for finding in found(text)} == {code}


@pytest.mark.parametrize("method", sorted(OWN_WINDOWS))
def test_methods_with_windows_of_their_own_take_only_frames_of_context(method: str) -> None:
    rest = f"control pose method {method}"
    spec = parse(SPEC + f"context {{ frames 4 }} {rest}")
    assert check(spec) == []
    assert spec.effective_context == Context(frames=4, overlap=0, keys=0)
    [unused] = parse_all(SPEC + f"context {{ frames 4 keys 1 }} {rest}").diagnostics
    assert (unused.code, unused.is_error) == ("G111", False)
    assert unused.message == f"`keys` of `context` has no effect with `method {method}`"
    refused = "windows of 4 frames with `overlap 4` and `keys 2` contain no new frame"
    assert found("context { frames 4 }") == [("G203", refused)]
    variant = f'variant v {{ target "a pig" edit r -> "pig" method {method} }}'
    assert found(f"control pose context {{ frames 4 }} {variant}") == [("G203", refused)]


def test_masks_are_not_modulated() -> None:
    text = 'source "a man on grass" attention { self 0.5 frames each resize area } method '
    assert [message for _, message in doubts(text + "video_p2p")] == [
        "`self` has no effect with `method video_p2p`, whose regions are masks: attention is not "
        "modulated"
    ]
    text = 'source "a man on grass" method fatezero { mask_threshold 50% regions '
    assert [message for _, message in doubts(text + "attention }")] == [
        "`mask_threshold` has no effect with `regions attention`: the edited regions are the masks"
    ]
    assert doubts(text + "blend }") == []


def test_a_method_with_masks_of_its_own_is_not_modulated() -> None:
    assert found("attention { norm clip phrases isolated } method ground_a_video") == []
    (unused,) = found("attention { self 0.5 } method ground_a_video")
    assert unused == (
        "G111",
        "`attention` has no effect with `method ground_a_video`: it has masks of its own",
    )
    assert found("attention { self 0.5 } method dmt") == []


def test_a_method_is_asked_for_only_where_there_is_one() -> None:
    spec = parse(SPEC + "method dmt { updates 5 }")
    assert method_of(spec) is spec.method
    with pytest.raises(ValueError, match="the edit has no method"):
        method_of(parse(SPEC))


def test_methods_with_masks_of_their_own_follow_no_plan() -> None:
    masked = {name for name, traits in TRAITS.items() if traits.own_masks}
    assert masked | SOURCE_MAPS.keys() == MASKED_METHODS
    assert Method(name="tokenflow").resolved["interval"] == 8
    assert not Method(name="dmt", regions="blend").follows_plan


def test_settings_of_each_method_are_its_own() -> None:
    assert found("method dmt { updates 5 } ") == []
    assert found("method ground_a_video { updates 5 }") == [
        ("G560", "`updates` is a setting of `method dmt`, not of `method ground_a_video`")
    ]


def test_flow_is_estimated_for_the_statement_and_for_methods_that_need_it() -> None:
    assert flow_of(parse(SPEC)) is None
    assert flow_of(parse(SPEC + "method dmt")) is None
    assert flow_of(parse(SPEC + "method ground_a_video")) == Flow()
    raft = parse(SPEC + "flow { method raft } method ground_a_video")
    assert flow_of(raft) == Flow(method="raft")
