from __future__ import annotations

from pathlib import Path

import pytest
from clips import EXAMPLES

from grainspec import GrainError, load, parse, parse_all
from grainspec.model.expressions import (
    Box,
    Complement,
    Difference,
    Intersection,
    MaskFiles,
    Reference,
    Rest,
    Union,
)
from grainspec.model.spec import PROFILES, Attention
from grainspec.words import occurrences

HEAD = 'grain 1\nvideo "c.mp4"\ntarget "a green robot and a yellow bear with a hat"\n'


def codes(text: str) -> list[str]:
    return [finding.code for finding in parse_all(text).diagnostics]


def expression(text: str) -> object:
    spec = parse(HEAD + f'region a = all\nregion b = all\nregion r = {text}\nedit r -> "hat"\n')
    return spec.region("r").expression


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.grain")), ids=lambda path: path.name)
def test_examples_parse_without_findings(path: object) -> None:
    parsed = parse_all(path.read_text())  # type: ignore[attr-defined]
    assert parsed.diagnostics == ()
    assert load(str(path)) == parsed.spec


def test_every_statement() -> None:
    spec = parse(
        """
        grain 1  # a comment
        video "run.mp4" { frames 0..30 step 2 size 512x320 crop box(10%, 0%, 90%, 100%) }
        model "owner/name"
        source "two men"
        target "Spiderman and Polar Bear in sunglasses before cherry trees"
        negative "ugly \\"quoted\\""
        region left  = masks("layout/left")
        region right = masks("layout/right_*.png", invert)
        region eyes  = box(61%, 18px, 70%, 24px) @ 0, box(64%, 18px, 73%, 24px) @ 30
        region trees = rest
        region sky   = ~trees & all
        edit instance left -> "Spiderman" { weight 1.2 repel 0.5 }
        edit class right -> "Polar Bear"
        add part eyes of right -> "sunglasses"
        edit trees -> "cherry trees"
        keep sky
        attention { cross 0.9 self 0.2 frames each until 40% decay 3 levels 1..2 phrases in_context }
        sampler ddim { steps 20 guidance 5.5 seed 7 }
        """
    )
    assert spec.video.frames is not None
    assert spec.video.size is not None
    assert (spec.video.frames.last, spec.video.step, spec.video.size.width) == (30, 2, 512)
    assert spec.model == "owner/name"
    assert spec.negative == 'ugly "quoted"'
    assert [edit.region for edit in spec.edits] == ["left", "right", "eyes", "trees", "sky"]
    left, _, eyes, trees = spec.changes
    assert (left.grain, left.weight, left.repulsion) == ("instance", 1.2, 0.5)
    assert (eyes.verb, eyes.grain, eyes.owner) == ("add", "part", "right")
    assert (trees.grain, trees.repulsion) == (None, 1.0)
    assert spec.attention.levels == (1, 2)
    assert spec.attention.until == pytest.approx(0.4)
    assert (spec.sampler.steps, spec.sampler.guidance, spec.sampler.seed) == (20, 5.5, 7)
    box = spec.region("eyes").expression
    assert isinstance(box, Box)
    assert [key.frame for key in box.keyframes] == [0, 30]
    assert str(box.keyframes[1].x1) == "73%"


def test_operators_bind_as_in_python() -> None:
    found = expression("a | b & a - ~b")
    assert isinstance(found, Union)
    assert isinstance(found.items[1], Intersection)
    assert isinstance(found.items[1].items[1], Difference)
    assert isinstance(found.items[1].items[1].items[1], Complement)


def test_parentheses_and_sources() -> None:
    found = expression('(a | rest) - masks("m", invert)')
    assert isinstance(found, Difference)
    assert found.items[0] == Union(items=(Reference(name="a"), Rest()))
    assert found.items[1] == MaskFiles(path="m", invert=True)


def test_five_mistakes_are_five_findings() -> None:
    text = HEAD + (
        'regin left = masks("m")\n'
        "region right = masks(7)\n"
        "region a = box(10%, 10%, 20%)\n"
        'edit a -> "green robt"\n'
        "sampler ddim { steps lots }\n"
    )
    assert codes(text) == ["G001", "G205", "G205", "G104", "G202"]


def test_findings_point_at_the_words() -> None:
    text = HEAD + 'region left = all\nedit lefft -> "green robot"\n'
    (finding,) = parse_all(text).diagnostics
    assert finding.code == "G101"
    assert finding.span is not None
    line = text.splitlines()[finding.span.line - 1]
    assert line[finding.span.column - 1 : finding.span.end_column - 1] == "lefft"
    assert "`left`" in finding.cure


def test_an_unused_region_is_a_warning() -> None:
    text = HEAD + 'region left = all\nregion right = all\nedit left -> "green robot"\n'
    parsed = parse_all(text)
    assert [(f.code, f.is_error) for f in parsed.diagnostics] == [("G103", False)]
    assert parsed.spec is not None


@pytest.mark.parametrize(
    ("statement", "code", "words"),
    [
        ("vidio", "G001", "`video`"),
        ('source "unclosed', "G002", "Close it"),
        ("region left = 50p", "G003", "Numbers"),
        ("region keep = all", "G001", "my_keep"),
        ("region left = " + "(" * 60 + "all" + ")" * 60, "G004", "Define a part"),
        ("region left = " + "~" * 60 + "all", "G004", "Define a part"),
        ('video "other.mp4"', "G007", "Remove one"),
        ("region left = mask(3)", "G205", "`masks`"),
        ('region left = masks("m", 5)', "G205", "invert"),
        ("region left = box(1, 2%, 3%, 4%)", "G202", "`1%`"),
        (
            "region left = box(1%, 2%, 3%, 4%) @ 1.5",
            "G202",
            "invalid value `1.5` for `frame`: a whole number from 0 to 10000000",
        ),
        ("region left = box(50%, 2%, 3%, 4%)", "G309", "order"),
        ('region left = masks("m") @ 3', "G205", "box"),
        ("attention { cross 2 }", "G203", "invalid value `2` for `cross`: a number from 0 to 1"),
        (
            "flow { levels 16 }",
            "G203",
            "invalid value `16` for `levels`: `all`, or level numbers from 0 to 15, such as `1 2` or `1..3`",
        ),
        ("flow { method rafts }", "G202", "`raft`"),
        ("flow { method raft weights w }", "G202", 'Write `"w"`.'),
        (
            "flow { method raft weights w }",
            "G202",
            "invalid value `w` for `weights`: a path in quotes",
        ),
        ('flow { weights "w" }', "G205", "Remove them"),
        ("inject { features 0.2 }", "G202", "Write `20%`."),
        ("inject { features 30 }", "G202", "Write `30%`."),
        (
            "inject { features 0.2 }",
            "G202",
            "invalid value `0.2` for `features`: a percentage from 0% to 100%",
        ),
        (
            "inject { self 120% }",
            "G203",
            "invalid value `120%` for `self`: a percentage from 0% to 100%",
        ),
        (
            "inject { feature_levels 16 }",
            "G203",
            "invalid value `16` for `feature_levels`: `all`, or level numbers from 0 to 15, such as `1 2` or `1..3`",
        ),
        ("inject { until 20% }", "G201", "`self`"),
        (
            "context { frames 0 }",
            "G203",
            "invalid value `0` for `frames`: a whole number from 1 to 10000",
        ),
        ("context { frames 16 overlap 14 keys 2 }", "G203", "less than `frames`"),
        (
            "context { overlap 50% }",
            "G202",
            "invalid value `50%` for `overlap`: a whole number from 0 to 10000",
        ),
        ("context { length 16 }", "G201", "`frames`"),
        ("attention { until 0.5 }", "G202", "Write `50%`."),
        (
            "attention { frames al }",
            "G202",
            "invalid value `al` for `frames`: one of `each`, `first_last`, `sparse_causal`, `full`",
        ),
        ("attention { frames ful }", "G202", "Did you mean `full`?"),
        ("attention { crross 1 }", "G201", "`cross`"),
        ("attention { cross }", "G204", "Expected"),
        ("attention { cross 1 cross 0.5 }", "G204", "Remove one"),
        (
            "attention { levels all 2 }",
            "G202",
            "invalid value `all 2` for `levels`: `all`, or level numbers from 0 to 15, such as `1 2` or `1..3`",
        ),
        ("attention { levels 3..1 }", "G202", "`1..3`"),
        (
            "attention { levels 0..99 }",
            "G203",
            "invalid value `0..99` for `levels`: `all`, or level numbers from 0 to 15, such as `1 2` or `1..3`",
        ),
        ("region left = (" + "(~~~~~~" * 30 + "all" + ")" * 31, "G004", "Define a part"),
        (
            "region left = " + "(all | all & all - ~" * 16 + "all" + ")" * 16,
            "G004",
            "Define a part",
        ),
        ("region left\u200b = all", "G003", "Remove it"),
        ('edit known → "bear"', "G003", "Write `->`."),
        ("edit known -> “bear”", "G003", 'Write `edit known -> "bear"`.'),
        ("sampler ddim { steps 5×5 }", "G003", "512x512"),
        ('model "' + "x" * 2000 + '"', "G203", "Shorten"),
        ('negative "' + "x" * 20_000 + '"', "G203", "Shorten"),
        ('negative "\x9b"', "G202", "Remove it"),
        ("region left = " + "x" * 200, "G203", "Shorten"),
        ("region " + "x" * 200 + " = all", "G203", "Shorten"),
        ('region left = masks("")', "G203", "Write"),
        ('region left = masks("m") @ 99999999999', "G205", "box"),
        (
            "region left = box(1%, 2%, 3%, 4%) @ 99999999999",
            "G203",
            "invalid value `99999999999` for `frame`: a whole number from 0 to 10000000",
        ),
        ("sampler euler", "G202", "ddim"),
        (
            "sampler ddim { steps 0 }",
            "G203",
            "invalid value `0` for `steps`: a whole number from 1 to 1000",
        ),
        (
            "sampler ddim { steps 1e999 }",
            "G202",
            "invalid value `1e999` for `steps`: a whole number from 1 to 1000",
        ),
        (
            "sampler ddim { guidance 1e999 }",
            "G203",
            "invalid value `1e999` for `guidance`: a number from 0 to 100",
        ),
        ("sampler ddim { steps 20.0 }", "G202", "Write `20`."),
        ('sampler ddim { steps "20" }', "G202", "Write `20`, without quotes."),
        ("blend { feather 3 }", "G202", "Write `3px` or `3%`."),
        (
            "blend { feather -3px }",
            "G202",
            "invalid value `-3px` for `feather`: a length of at least 0",
        ),
        ('edit known "bear"', "G001", 'Write `edit known -> "bear"`.'),
        ('target "\\q"', "G007", ""),
        ('negative "\\q"', "G003", "The escapes are"),
        ('model "\\q"', "G012", 'Write `"/q"`.'),
        ("}", "G001", "Remove it"),
        ('edti instance other -> "bear"', "G001", "`edit`"),
        ("regoin eyes = all\nkeep eyes", "G001", "`region`"),
        ('varian v {\ntarget "a bear"\nedit known -> "bear"\n}', "G001", "`variant`"),
        ('variant v\ntarget "a bear"\nedit known -> "bear"\n}', "G001", "Expected `{`"),
        ('region r = masks("m" invert)', "G205", 'Write `region r = masks("m", invert)`.'),
        ('region r = "masks/m"', "G001", 'masks("masks/m")'),
        ("region r = not known", "G001", "`region r = ~known`"),
        ("region r = known and known", "G001", "`region r = known & known`"),
        ("region r = known + known", "G003", "`region r = known | known`"),
        ("region r = !known", "G003", "`region r = ~known`"),
        ("attention { decay = 2 }", "G001", "`attention { decay 2 }`"),
        ("attention { decay: 2 }", "G003", "`attention { decay 2 }`"),
        ("region left-man = all", "G001", "`region left_man = all`"),
        ('variant "v" { }', "G001", "without quotes"),
        ("free known weight 2", "G001", "Expected"),
        ('edit known -> "bear" weight 2', "G001", '`edit known -> "bear" { weight 2 }`'),
        ('edit known -> "bear", known -> "hat"', "G001", "for each edit"),
        ("sampler { ddim steps 5 }", "G201", "sampler ddim"),
        ("attention { demo self 1 }", "G201", "Write `attention demo { … }`"),
        ("attention vidoegrain { self 1 }", "G202", "Did you mean `videograin`?"),
        (
            "attention paper",
            "G202",
            "`demo`, `demo_video`, `flow_matching`, `flowanchor`.",
        ),
        ("attention demo demo", "G001", "in braces"),
        ("attention self 0.5", "G001", "`attention { self 0.5 }`"),
        ("attention", "G001", "`{`"),
        ("attention { unbound 30% }", "G202", "Write `0.3`."),
        (
            "attention { unbound 30% }",
            "G202",
            "invalid value `30%` for `unbound`: a number from 0 to 1",
        ),
        ("attention { unbound }", "G204", "Expected a number from 0 to 1."),
        ("attention { profile demo }", "G201", ""),
        ("region r = box(1, 2, 3, 4)", "G202", "`1%`"),
        ("region r = box(1% 2% 3% 4%)", "G205", "`region r = box(1%, 2%, 3%, 4%)`"),
        ("variant v { without knwon }", "G101", "`known`"),
    ],
)
def test_one_mistake_one_code(statement: str, code: str, words: str) -> None:
    text = HEAD + 'region known = all\nedit known -> "hat"\n' + statement + "\n"
    found = [f for f in parse_all(text).diagnostics if f.code not in {"G103"}]
    assert [f.code for f in found] == [code]
    finding = found[0]
    assert words in (finding.message if words.startswith("invalid value") else finding.cure)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "G005"),
        ('video "c.mp4"', "G005"),
        ("grain 2", "G005"),
        ("grain 1", "G008"),
        (HEAD, "G108"),
        (HEAD + "region a = all\nregion a = all", "G102"),
        (HEAD + 'region a = all\nedit a -> "hat"\nedit a -> "bear"', "G109"),
        (HEAD + 'region a = all\nregion b = all\nedit a -> "hat"\nedit b -> "hat"', "G105"),
        (HEAD + 'region a = b\nregion b = a\nedit a -> "hat"', "G106"),
        (HEAD + 'region a = all\nedit a -> "hat"\nkeep a', "G107"),
        (HEAD + 'region a = all\nadd a of a -> "hat"', "G109"),
        (HEAD + 'region a = all\nedit a -> "hats"', "G104"),
        ('grain 1 video "c" target "?" region a = all edit a -> "hat"', "G104"),
        ('grain 1 video "c" { crop masks("m") } target "a"', "G205"),
        (
            HEAD + 'region a = all region b = all add a of b -> "hat" add b of a -> "bear"',
            "G109",
        ),
        ("grain 1\x00", "G006"),
        ("grain \ud800", "G006"),
    ],
)
def test_mistakes_of_the_whole(text: str, code: str) -> None:
    assert code in codes(text)
    with pytest.raises(GrainError) as raised:
        parse(text)
    assert code in str(raised.value)


def test_a_broken_region_is_not_reported_again_where_it_is_used() -> None:
    text = HEAD + 'region left = masks("a") &\nedit left -> "green robot"\n'
    assert codes(text) == ["G001"]


def test_longer_phrases_own_their_words() -> None:
    text = (
        'grain 1 video "c" target "a bear and a polar bear"\n'
        'region a = all region b = all edit a -> "bear" edit b -> "polar bear"'
    )
    assert codes(text) == []


def test_line_ends_and_all_white_space_mean_nothing() -> None:
    spaced = HEAD + 'region\u00a0a\u2028=\x0ball\nedit a -> "hat"\nsampler\nddim\n{ steps\n3 }'
    assert parse(spaced) == parse(HEAD + 'region a = all edit a -> "hat" sampler ddim { steps 3 }')
    (finding,) = parse_all(spaced.replace("edit a", "\u00a0edit b")).diagnostics[:1]
    assert finding.span is not None
    assert (finding.code, finding.span.line, finding.span.column) == ("G101", 5, 7)


def test_levels_may_have_leading_zeros() -> None:
    text = HEAD + 'region a = all edit a -> "hat" attention { levels 00001..00002 }'
    assert parse(text).attention.levels == (1, 2)


def test_names_and_words_may_be_composed_or_not() -> None:
    text = 'grain 1 video "c" target "a cafe\u0301" region re\u0301gion = all edit région -> "café"'
    spec = parse(text)
    assert spec.regions[0].name == "région"
    assert codes(text.replace('"café"', '"cafe"')) == ["G104"]
    assert occurrences("café", "a cafe\u0301, cafe\u0301s, café") == [(2, 7), (17, 21)]


def test_a_byte_order_mark_moves_no_caret(tmp_path: Path) -> None:
    path = tmp_path / "bom.grain"
    path.write_text("\ufeffgran 1", encoding="utf-8")
    with pytest.raises(GrainError) as raised:
        load(path)
    span = raised.value.diagnostics[0].span
    assert span is not None
    assert (raised.value.source, span.column) == ("gran 1", 1)


def test_what_attention_says_and_what_holds() -> None:
    text = HEAD + 'region a = all edit a -> "hat"\n'
    assert parse(text).attention == Attention()
    assert parse(text).modulation == PROFILES["demo"]
    assert parse(text + 'model "owner/name"').modulation == PROFILES["stable_diffusion"]
    for said in ("attention auto", "attention auto { }"):
        assert parse(text + said).modulation == PROFILES["demo"]
    spec = parse(text + "attention videograin { self 0.5 }")
    assert spec.attention == Attention(profile="videograin", self=0.5)
    assert spec.modulation == PROFILES["videograin"].model_copy(update={"self_": 0.5})
    assert parse(text + "attention demo model 'm'".replace("'", '"')).modulation == PROFILES["demo"]
    span = spec.attention.span_of("profile")
    assert span is not None
    assert (span.line, span.column, span.end_column) == (5, 11, 21)


def test_huge_and_odd_input_is_refused_quickly() -> None:
    assert codes(HEAD + "region " + "x" * 1_000_000 + " = all")
    assert codes("\ufeff" + HEAD + 'region a = all edit a -> "hat"') == []
    assert codes("#" * 5_000_000) == ["G006"]
    assert "G203" in codes(HEAD + "sampler ddim { seed 99999999999999999999 }")
    assert "G202" in codes(HEAD + f"sampler ddim {{ seed {'9' * 5000} }}")
    assert "G203" in codes(HEAD.replace('"c.mp4"', '"c.mp4" { size ' + "9" * 5000 + "x16 }"))
