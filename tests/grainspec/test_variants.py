"""Variants: several edits of one clip, through every door; and single values changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given

from grainspec import (
    Builder,
    Changes,
    Diagnostic,
    EditSpec,
    GrainError,
    box,
    check,
    dumps,
    from_json,
    masks,
    override,
    parse,
    parse_all,
    to_json,
)
from grainspec.model.spec import MAX_VARIANTS, PROFILES, Edit, Keep
from grainspec.testing import specs
from grainspec.text.format import format_text

WOLF = """
grain 1
video "wolf.mp4"
source "a wolf in the snow"
target "a husky in the snow before trees"
negative "blurry"
region wolf = masks("masks/wolf")
region head = box(10%, 10%, 30%, 30%)
region snow = box(0%, 60%, 100%, 100%)
edit instance wolf -> "husky" { weight 1.5 }
keep snow
attention { self 1 until 60% levels 1 2 }
sampler ddim { steps 30 }
"""


def findings(text: str) -> list[Diagnostic]:
    """All but that a region is not used, which most of these texts have."""
    return [finding for finding in parse_all(text).diagnostics if finding.code != "G103"]


def codes(text: str) -> list[str]:
    return [finding.code for finding in findings(text)]


def variant(text: str, name: str = "v") -> EditSpec:
    return parse(WOLF + f"variant {name} {{ {text} }}").as_variant(name)


def test_a_variant_says_only_what_is_different() -> None:
    spec = variant('target "a pig in the snow" edit wolf -> "pig"')
    base = parse(WOLF)
    assert (spec.target, spec.negative, spec.variants) == ("a pig in the snow", "blurry", ())
    assert spec.edits == (Edit(region="wolf", phrase="pig"), Keep(region="snow"))
    assert (spec.video, spec.regions, spec.source) == (base.video, base.regions, base.source)
    assert (spec.attention, spec.sampler) == (base.attention, base.sampler)


def test_settings_that_are_not_named_stay() -> None:
    spec = variant("attention { self 0.5 levels all } sampler { guidance 3 }")
    assert (spec.attention.self_, spec.attention.levels) == (0.5, "all")
    assert spec.attention.until == pytest.approx(0.6)
    assert (spec.sampler.steps, spec.sampler.guidance) == (30, 3)


def test_a_default_can_be_asked_for_again() -> None:
    spec = variant('negative "" attention { self 0.3 }')
    assert (spec.negative, spec.attention.self_) == ("", 0.3)


def test_a_profile_of_its_own_gives_what_neither_says() -> None:
    spec = variant("attention videograin { self 0.4 }")
    expected = {"self_": 0.4, "until": 0.6, "levels": (1, 2)}
    assert spec.modulation == PROFILES["videograin"].model_copy(update=expected)
    assert variant("attention auto").modulation == parse(WOLF).modulation


def test_new_regions_come_last_and_others_can_be_left_out() -> None:
    spec = variant('target "a husky with a hat" add part head of wolf -> "hat" without snow')
    assert [edit.region for edit in spec.edits] == ["wolf", "head"]
    spec = variant('edit snow -> "snow" keep wolf')
    assert [(edit.verb, edit.region) for edit in spec.edits] == [("keep", "wolf"), ("edit", "snow")]


def test_a_variant_that_is_not_there() -> None:
    with pytest.raises(KeyError):
        parse(WOLF).as_variant("pig")


def test_only_variants_need_be_whole() -> None:
    text = 'grain 1 video "c" region r = all\n'
    pig = 'variant pig { target "a pig" edit r -> "pig" }\n'
    assert codes(text + pig) == []
    assert codes(text + pig + "variant husky { }") == ["G008", "G108"]
    assert codes(text + pig + 'variant husky { edit r -> "husky" }') == ["G008"]


@pytest.mark.parametrize(
    ("inside", "code", "words"),
    [
        ('edit wolf -> "pig"', "G104", "variant `v`: “pig”"),
        ('target "a pig"', "G104", "variant `v`: “husky”"),
        ("without wulf", "G101", "wulf"),
        ("keep wulf", "G101", "wulf"),
        ("without head", "G110", "head"),
        ("region x = all", "G010", "`region` is not allowed in a variant"),
        ('video "other"', "G010", "`video`"),
        ('edit wolf -> "husky" keep wolf', "G107", "both kept and edited"),
        ("attention { self 2 }", "G203", "invalid value `2` for `self`: a number from 0 to 1"),
        ("attention { slef 2 }", "G201", "slef"),
        ("attention videograin2", "G202", "unknown attention profile `videograin2`"),
        ("sampler euler", "G202", "euler"),
        ("edit wolf", "G001", "incomplete statement after `wolf`"),
        ("target", "G001", "incomplete statement"),
        ('negative "" negative ""', "G007", "duplicate `negative`; first given in line"),
        ("wolf", "G001", "unknown statement `wolf`"),
        ("edit wolf -> husky", "G001", "written in quotes: `husky`"),
    ],
)
def test_mistakes_in_a_variant_are_its_own(inside: str, code: str, words: str) -> None:
    good = '\nvariant good { target "a pig" edit wolf -> "pig" }\n'
    text = WOLF + f"{good}variant v {{\n{inside}\n}}{good.replace('good', 'after')}"
    (found,) = findings(text)
    assert (found.code, words in found.message) == (code, True), found.message
    assert found.span is not None
    assert text.splitlines()[found.span.line - 1] in {inside, "variant v {", "}"} | set(
        WOLF.splitlines()
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("variant v { } variant v { }", ["G102"]),
        ("variant { }", ["G001"]),
        ("variant v", ["G001"]),
        ("variant v {", ["G001"]),
        ("variant keep { }", ["G001"]),
        ("variant v { variant w { } }", ["G010", "G001"]),
        ("variant v }", ["G001"]),
        ("without snow", ["G010"]),
        ("}", ["G001"]),
        ("variant v { attention { self 1 } variant w { }", ["G010"]),
        ("".join(f"variant v{i} {{ }}\n" for i in range(MAX_VARIANTS + 3)), ["G203"]),
    ],
)
def test_mistakes_around_variants(text: str, expected: list[str]) -> None:
    assert codes(WOLF + text) == expected


def test_python_says_what_text_says() -> None:
    built = (
        Builder("wolf.mp4")
        .source("a wolf in the snow")
        .target("a husky in the snow")
        .region("wolf", masks("masks/wolf"))
        .region("head", box("10%", "10%", "30%", "30%"))
        .instance("wolf", "husky")
        .free("head")
        .variant("pig", Changes().target("a pig in the snow").instance("wolf", "pig", weight=2))
        .variant("bare", Changes().without("head").attention(self=0.5).sampler(guidance=3))
        .build()
    )
    written = parse(
        """
        grain 1
        video "wolf.mp4"
        source "a wolf in the snow"
        target "a husky in the snow"
        region wolf = masks("masks/wolf")
        region head = box(10%, 10%, 30%, 30%)
        edit instance wolf -> "husky"
        free head
        variant pig { target "a pig in the snow" edit instance wolf -> "pig" { weight 2 } }
        variant bare { without head attention { self 0.5 } sampler { guidance 3 } }
        """
    )
    assert built == written
    assert parse(dumps(built)) == from_json(to_json(built)) == built


def test_the_formatter_indents_them() -> None:
    text = (
        'variant v{# why\n\ntarget "a pig"\n\n\n# words\nedit wolf->"pig"{weight 2}\nkeep snow\n\n}'
    )
    expected = (
        "variant v {  # why\n"
        '    target "a pig"\n\n'
        "    # words\n"
        '    edit wolf -> "pig" { weight 2 }\n'
        "    keep snow\n"
        "}\n"
    )
    assert format_text(text) == expected
    assert format_text(expected) == expected


@given(specs())
def test_every_variant_is_a_spec_of_its_own(spec: EditSpec) -> None:
    for name in spec.variant_names:
        alone = spec.as_variant(name)
        assert [finding for finding in check(alone) if finding.is_error] == []
        assert parse(dumps(alone)) == alone


def test_a_new_target_is_mended_in_the_variant() -> None:
    text = WOLF + 'variant v {\n    target "a pig in the snow"\n}\n'
    (finding,) = findings(text)
    assert finding.span is not None
    assert text.splitlines()[finding.span.line - 1].strip() == 'target "a pig in the snow"'
    assert "(line 10) applies to this variant too" in finding.cure
    assert "`without wolf`" in finding.cure
    for mended in ("without wolf keep wolf", 'edit wolf -> "pig"'):
        assert codes(text.replace('snow"\n}', f'snow" {mended}}}')) in ([], ["G108"])


def test_a_mistake_of_the_spec_is_told_once() -> None:
    variants = "".join(f'variant v{i} {{ target "a husky number {i}" }}\n' for i in range(3))
    assert codes(WOLF.replace('-> "husky"', '-> "hsky"') + variants) == ["G104"]


# --- single values ---------------------------------------------------------------------------------


def test_single_values() -> None:
    spec = override(
        parse(WOLF),
        [
            "target=a grey husky",
            "attention.levels=0..1",
            "attention.until=100%",
            "attention.profile=videograin",
            "attention.unbound=0.5",
            "sampler.steps=5",
            "video.frames=0..7",
            "video.size=64x64",
            "wolf.weight=0.5",
            "wolf.phrase=grey husky",
            "model=owner/name",
        ],
    )
    assert (spec.target, spec.model) == ("a grey husky", "owner/name")
    assert (spec.attention.levels, spec.attention.until) == ((0, 1), 1)
    assert (spec.modulation.decay, spec.modulation.unbound) == (5, 0.5)
    assert spec.sampler.steps == 5
    assert spec.video.frames is not None
    assert spec.video.frames.last == 7
    assert spec.video.size is not None
    assert (spec.edits[0].weight, spec.edits[0].phrase) == (0.5, "grey husky")  # type: ignore[union-attr]
    assert check(spec) == check(parse(WOLF))


def test_texts_may_be_quoted_and_findings_name_the_setting() -> None:
    for text in ('target="a grey husky"', "target=a grey husky", 'target= "a grey husky" '):
        assert override(parse(WOLF), [text]).target == "a grey husky"
    spec = override(parse(WOLF), ['wolf.phrase="grey cat"'])
    (finding,) = (found for found in check(spec) if found.is_error)
    assert finding.code == "G104"
    assert finding.span is not None
    assert finding.span.path == '--set wolf.phrase="grey cat"'


@pytest.mark.parametrize(
    ("setting", "code", "words"),
    [
        ("steps", "G204", "NAME=VALUE"),
        ("=3", "G204", "NAME=VALUE"),
        ("sampler=3", "G201", "sampler.steps"),
        ("smapler.steps=3", "G201", "Did you mean `sampler.steps`"),
        ("sampler.stpes=3", "G201", "Did you mean `steps`"),
        ("sampler.steps=", "G204", "whole number"),
        (
            "sampler.steps=3%",
            "G202",
            "invalid value `3%` for `steps`: a whole number from 1 to 1000",
        ),
        ("sampler.steps=0", "G203", "invalid value `0` for `steps`: a whole number from 1 to 1000"),
        ("sampler.steps=20.0", "G202", "Write `20`."),
        ("attention.until=0.3", "G202", "Write `30%`."),
        ("sampler.steps=@", "G202", "invalid value `@` for `steps`: a whole number from 1 to 1000"),
        ("attention.self=1 cross 1", "G202", "Write one `--set` for each value"),
        (
            "attention.profile=paper",
            "G202",
            "invalid value `paper` for `profile`: one of `auto`, `stable_diffusion`, `videograin`",
        ),
        (
            "attention.unbound=1.5",
            "G203",
            "invalid value `1.5` for `unbound`: a number from 0 to 1",
        ),
        ("attention.self=cross 1", "G204", "Expected"),
        (
            "attention.levels=9..99",
            "G203",
            "invalid value `9..99` for `levels`: `all`, or level numbers from 0 to 15, such as `1 2` or `1..3`",
        ),
        ("wolf.phrase=", "G203", "Write"),
        ("target=", "G203", "Describe"),
        ("snow.weight=2", "G201", "wolf.weight"),
        (
            "video.frames=7..0",
            "G202",
            "invalid value `7..0` for `frames`: the last frame (0) comes before the first (7)",
        ),
        ("model=\x00", "G202", "Remove it"),
    ],
)
def test_values_that_cannot_be_set(setting: str, code: str, words: str) -> None:
    with pytest.raises(GrainError) as raised:
        override(parse(WOLF), [setting])
    (finding, *_) = raised.value.diagnostics
    assert finding.code == code
    assert words in (finding.message if words.startswith("invalid value") else finding.cure)
    assert finding.span is not None
    assert (raised.value.source, raised.value.path) == (setting, "--set")
    assert 1 <= finding.span.column <= len(setting) + 1


# --- places in Python ------------------------------------------------------------------------------


def broken_builds() -> list[tuple[Callable[[], object], str, str]]:
    """What goes wrong, its code, and the text that its place covers."""
    return [
        (lambda: Builder("c").edit("r", "bear", weight=9), "G203", 'edit("r", "bear", weight=9)'),
        (lambda: box("1", "2%", "3%", "4%"), "G202", 'box("1", "2%", "3%", "4%")'),
        (lambda: Builder("c", frames=(5, 2)).target("a").build(), "G202", "build()"),
        (
            lambda: (
                Builder("c")
                .target("a bear")
                .region("r", masks("m"))
                .edit("r", "cat")
                .variant("v", Changes().keep("r"))
                .build()
            ),
            "G104",
            'edit("r", "cat")',
        ),
        (
            lambda: (
                Builder("c")
                .target("a bear")
                .region("r", masks("m"))
                .edit("r", "bear")
                .variant("v", Changes().edit("r", "dog"))
                .build()
            ),
            "G104",
            'Changes().edit("r", "dog")',
        ),
        (lambda: masks("m") | "left", "G205", 'masks("m") | "left"'),  # type: ignore[operator]
        (lambda: Builder("c").attention(cross=3), "G203", 'Builder("c").attention(cross=3)'),
    ]


@pytest.mark.parametrize(("build", "code", "words"), broken_builds())
def test_errors_name_the_line_of_python(build: Callable[[], object], code: str, words: str) -> None:
    with pytest.raises(GrainError) as raised:
        build()
    finding = raised.value.diagnostics[0]
    span = finding.span
    assert finding.code == code
    assert span is not None
    assert span.path == __file__
    line = Path(__file__).read_text(encoding="utf-8").splitlines()[span.line - 1]
    assert line[span.column - 1 : span.end_column - 1].lstrip(".").endswith(words)
    assert f"test_variants.py:{span.line}: {code}" in str(raised.value)
    assert finding.as_json()["path"] == __file__
