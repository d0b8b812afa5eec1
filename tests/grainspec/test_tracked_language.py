"""Regions from clicks and words in the language, in Python and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import ClipFolder
from PIL import Image
from tracked import write_tracked

from grainspec import (
    Builder,
    GrainError,
    bind,
    box,
    check,
    dumps,
    find,
    from_json,
    load,
    masks,
    moving,
    override,
    parse,
    parse_all,
    point,
    polygon,
    region,
    to_json,
    track,
)
from grainspec.diagnostics import Diagnostic
from grainspec.diagnostics.fixing import apply_fixes
from grainspec.model import expressions
from grainspec.model.expressions import Expression, Prompt, Track, shapes_of_prompts
from grainspec.model.spec import Finding, Tracking
from grainspec.testing import check_regions
from grainspec.text.printer import expression_text

SPEC = 'grain 1 video "c" target "a bear"\nregion a = {}\nedit a -> "bear"\n'


def expression_of(text: str) -> Expression:
    return parse(SPEC.format(text)).region("a").expression


def findings_of(text: str, **replaced: str) -> tuple[Diagnostic, ...]:
    return parse_all(SPEC.format(text)).diagnostics


SAME: list[tuple[str, Any]] = [
    ("track(point(30%, 55%) @ 0)", track(point("30%", "55%") @ 0)),
    ("track(point(30%, 55%))", track(point("30%", "55%"))),
    (
        "track(point(70%, 50%), not point(80%, 80%) @ 0, point(66px, 52%) @ 24)",
        track(point("70%", "50%"), ~point("80%", "80%") @ 0, point("66px", "52%") @ 24),
    ),
    ("track(box(10%, 40%, 50%, 90%) @ 3)", track(box("10%", "40%", "50%", "90%") @ 3)),
    (
        "track(polygon(50% 10%, 70% 40%, 30% 40%) @ 3)",
        track(polygon(("50%", "10%"), ("70%", "40%"), ("30%", "40%")) @ 3),
    ),
    ('track(masks("hero_0.png", index 2) @ 0)', track(masks("hero_0.png", index=2) @ 0)),
    (
        "track(box(0%, 0%, 1%, 1%) @ 0, box(5%, 5%, 9%, 9%) @ 9)",
        track(moving(box("0%", "0%", "1%", "1%") @ 0, box("5%", "5%", "9%", "9%") @ 9)),
    ),
    ('find("man")', find("man")),
    ('find("man in red", leftmost @ 0)', find("man in red", "leftmost") @ 0),
    ('find("man", number 2, score 20% @ 7)', find("man", number=2, score=0.2) @ 7),
    ('find("man" @ 7) grow 2px smooth 5', (find("man") @ 7).grow("2px").smooth(5)),
    ('find("man \\"x\\"")', find(' man "x"\t')),
    ('~find("man") - track(point(1%, 2%))', ~find("man") - track(point("1%", "2%"))),
]


@pytest.mark.parametrize(("text", "node"), SAME)
def test_every_door_has_the_same(text: str, node: Expression) -> None:
    assert expression_of(text) == node
    assert expression_text(node) == text
    spec = Builder("c").target("a bear").region("a", node).edit("a", "bear").build()
    assert parse(dumps(spec)) == spec
    assert from_json(to_json(spec)) == spec
    assert eval(repr(node), vars(expressions)) == node


def test_prompts_are_grouped_by_their_frames() -> None:
    whole = "track(point(1%, 1%), point(2%, 2%) @ 0, point(3%, 3%), not point(4%, 4%) @ 9)"
    each = "track(point(1%, 1%) @ 0, point(2%, 2%) @ 0, point(3%, 3%) @ 9, not point(4%, 4%) @ 9)"
    node = expression_of(each)
    assert isinstance(node, Track)
    assert [prompt.frame for prompt in node.prompts] == [0, 0, 9, 9]
    assert expression_of(whole) == node
    assert expression_text(node) == whole


def test_a_prompt_in_json_is_short() -> None:
    document = track(~point("80%", "5px") @ 4, point("1%", "1%") @ 4).model_dump(
        mode="json", exclude_none=True
    )
    assert document["prompts"][0] == {
        "shape": {"x": {"value": 80.0, "unit": "%"}, "y": {"value": 5.0, "unit": "px"}},
        "outside": True,
        "frame": 4,
    }


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"kind": "rest"}, "a point, a box, an ellipse, a polygon or masks"),
        ({"x": {"value": 1.0, "unit": "%"}}, "`y` is missing"),
        (3, "a point, a box, an ellipse, a polygon or masks"),
    ],
)
def test_a_shape_in_json_that_is_no_prompt(shape: object, words: str) -> None:
    spec = json.loads(to_json(parse(SPEC.format("track(point(1%, 2%))"))))
    spec["regions"][0]["expression"]["prompts"][0]["shape"] = shape
    with pytest.raises(GrainError) as raised:
        from_json(json.dumps(spec))
    assert {finding.code for finding in raised.value.diagnostics} == {"G009"}
    assert "/regions/0/expression/prompts/0/shape" in str(raised.value)
    assert words in str(raised.value)


CORRECTED = {
    "track(30%, 55%)": "track(point(30%, 55%))",
    "track(30%, 55% @ 3)": "track(point(30%, 55%) @ 3)",
    "track((30%, 55%))": "track(point(30%, 55%))",
    "track([30%, 55%])": "track(point(30%, 55%))",
    "track(points=[[30%, 55%]])": "track(point(30%, 55%))",
    "track(10%, 20%, 40%, 80%)": "track(box(10%, 20%, 40%, 80%))",
    "track(point(0.3, 0.55))": "track(point(30%, 55%))",
    "track(point(30% 55%))": "track(point(30%, 55%))",
    "track(point(30%; 55%))": "track(point(30%, 55%))",
    "track(point(30%, 55%); point(3%, 4%))": "track(point(30%, 55%), point(3%, 4%))",
    "track(point[30%, 55%])": "track(point(30%, 55%))",
    "track(+point(30%, 55%))": "track(point(30%, 55%))",
    "track(positive point(30%, 55%))": "track(point(30%, 55%))",
    "track(point(3%, 5%), negative point(3%, 4%))": "track(point(3%, 5%), not point(3%, 4%))",
    "track(point(x=30%, y=55%))": "track(point(30%, 55%))",
    'track("man")': 'find("man")',
    'track("hero.png" @ 0)': 'track(masks("hero.png") @ 0)',
    "track(click(30%, 55%) @ 0)": "track(point(30%, 55%) @ 0)",
    "track(point(1%, 2%), negative(8%, 8%) @ 0)": "track(point(1%, 2%), not point(8%, 8%) @ 0)",
    "track(point(1%, 2%), ~point(8%, 8%) @ 0)": "track(point(1%, 2%), not point(8%, 8%) @ 0)",
    "track(point(1%, 2%), !point(8%, 8%) @ 0)": "track(point(1%, 2%), not point(8%, 8%) @ 0)",
    "track(point(1%, 2%), -point(8%, 8%) @ 0)": "track(point(1%, 2%), not point(8%, 8%) @ 0)",
    "point(30%, 55%) @ 0": "track(point(30%, 55%) @ 0)",
    "point(30%, 55%)": "track(point(30%, 55%))",
    "track(point(30%, 55%)) @ 0": "track(point(30%, 55%) @ 0)",
    'track(masks("x", invert @ 0))': 'track(masks("x", invert) @ 0)',
    "box(10%, 20%, 30%, 40% @ 3)": "box(10%, 20%, 30%, 40%) @ 3",
    "click(30%, 55%)": "track(point(30%, 55%))",
    "points(30% 55%)": "track(point(30%, 55%))",
    "points(30% 55%, 40% 60%)": "track(point(30%, 55%), point(40%, 60%))",
    "track(points(30% 55%, 40% 60%) @ 0)": "track(point(30%, 55%), point(40%, 60%) @ 0)",
    "track(points=[[1%, 2%], [3%, 4%], [5%, 6%]])": (
        "track(point(1%, 2%), point(3%, 4%), point(5%, 6%))"
    ),
    "click(30%, 55%) @ 2": "track(point(30%, 55%) @ 2)",
    "sam2(point(30%, 55%))": "track(point(30%, 55%))",
    "sam2(30%, 55%)": "track(point(30%, 55%))",
    "tracker(point(30%, 55%))": "track(point(30%, 55%))",
    'detect("man")': 'find("man")',
    'segment("man")': 'find("man")',
    'find("man", threshold=0.4)': 'find("man", score 40%)',
    'find("man" leftmost)': 'find("man", leftmost)',
    "find(man)": 'find("man")',
    'find("man", left)': 'find("man", leftmost)',
    'find("man", biggest @ 3)': 'find("man", largest @ 3)',
    'find("man", index 2)': 'find("man", number 2)',
    'find("man", leftmost) @ 2': 'find("man", leftmost @ 2)',
    'Find("man", LEFTMOST)': 'find("man", leftmost)',
    "track(point(30%, 55%), frame 3)": "track(point(30%, 55%) @ 3)",
    "track(point(30%, 55%) at 3)": "track(point(30%, 55%) @ 3)",
    'find("man", frame=3)': 'find("man" @ 3)',
    "not track(point(30%, 55%))": "~track(point(30%, 55%))",
    "smooth(all, 5)": "all smooth 5",
    "track(point(30%, 55%) @ 0": "track(point(30%, 55%) @ 0)",
}


@pytest.mark.parametrize("written", CORRECTED)
def test_other_ways_are_corrected(written: str) -> None:
    text = SPEC.format(written)
    for _ in range(2):  # shares of the frame are corrected after the shape that they are of
        findings = parse_all(text).diagnostics
        assert all(finding.fixes for finding in findings), findings
        text, _ = apply_fixes(text, list(findings))
    assert parse_all(text).diagnostics == ()
    assert expression_text(parse(text).region("a").expression) == CORRECTED[written]


@pytest.mark.parametrize(
    "written", ["click(30%, 55%)", "sam2(30%, 55%)", 'track("man")', "point(30%, 55%) @ 0"]
)
def test_one_fault_is_one_finding_that_shows_the_line(written: str) -> None:
    [finding] = findings_of(written)
    assert finding.code == "G205"
    assert f"`region a = {CORRECTED[written]}`" in finding.cure


@pytest.mark.parametrize(
    ("written", "code", "words"),
    [
        ("track()", "G205", "track(point(30%, 55%) @ 0)"),
        ("track(point(30%))", "G205", "point(30%, 55%)"),
        ("track(point(30, 55))", "G202", "`30%` or `30px`"),
        ("track(point(30%, 55%) @ 0.5)", "G202", "a whole number from 0"),
        ("track(point(30%, 55%) @ -1)", "G203", "0"),
        ("track(point(30%, 55%), 70%, 20%)", "G205", "`70%` is not a prompt"),
        ("track(poit(30%, 55%))", "G205", "`point`"),
        ("track(not box(1%, 2%, 3%, 4%))", "G205", "- box("),
        ("track(point(1%, 2%) @ 0, point(2%, 2%))", "G205", "`point(2%, 2%) @ 0`"),
        ("track(box(50%, 2%, 30%, 40%))", "G309", "box(left, top, right, bottom)"),
        ("track(not point(1%, 2%))", "G350", "no point on the object"),
        ("track(point(1%, 2%) @ 0, not point(3%, 4%) @ 3)", "G350", "not point(3%, 4%) @ 3`"),
        (
            "track(box(1%, 2%, 3%, 4%), point(3%, 3%), box(5%, 6%, 7%, 8%) @ 3)",
            "G350",
            "`box(…)` and `box(…)` show one object on frame 3",
        ),
        ("track(point(9%, 9%), not point(9%, 9%) @ 0)", "G350", "`not point(9%, 9%)` are at one"),
        ("track(point(130%, 55%))", "G351", "less than 100%"),
        ("track(point(100%, 55%))", "G351", "less than 100%"),
        ("track(point(30%, -3px))", "G351", "outside the frame"),
        ("find()", "G205", 'find("man")'),
        ('find("")', "G203", "is empty"),
        ('find("  ")', "G203", "is empty"),
        ('find("man", number 0)', "G203", "from 1"),
        ('find("man", number 1.5)', "G202", "a whole number"),
        ('find("man", number)', "G204", "no value"),
        ('find("man", leftmost, number 2)', "G205", "exclude each other"),
        ('find("man", leftmost, largest)', "G205", "exclude each other"),
        ('find("man", leftmost 2)', "G202", "takes no value"),
        ('find("man", score 40)', "G202", "40%"),
        ('find("man" @ 1, leftmost @ 2)', "G204", "duplicate"),
        ('find("man", bigest)', "G205", "`largest`"),
        ('find("man and dog")', "G353", '`find("man") | find("dog")`'),
        ('find("man, dog or cat")', "G353", '`find("man") | find("dog") | find("cat")`'),
        (
            'find("man and \\"dog\\"", largest, score 20% @ 3)',
            "G353",
            '`find("man", largest, score 20% @ 3) | find("\\"dog\\"", largest, score 20% @ 3)`',
        ),
        ("track(point(1%, 2%) @ 2s)", "G202", "`48`"),
        ('find("man . dog .")', "G353", '`find("man") | find("dog")`'),
        ("all smooth 4", "G203", "`smooth 3` or `smooth 5`"),
        ("all smooth 0", "G203", "smooth"),
        ("all smooth 5%", "G001", "a number"),
        ('masks("m") @ 3', "G205", "track(masks(…) @ 3)"),
    ],
)
def test_mistakes_are_told(written: str, code: str, words: str) -> None:
    [finding] = findings_of(written)
    assert finding.code == code
    assert words in f"{finding.message} {finding.cure}"
    assert finding.span is not None
    assert finding.span.line == 2


def test_an_edit_of_an_expression_needs_its_name() -> None:
    for call in ('find("man")', "track(point(1%, 2%) @ 0)"):
        [finding] = parse_all(
            f'grain 1 video "c" target "a bear" edit {call} -> "bear"'
        ).diagnostics
        assert finding.code == "G001"
        name = call.partition("(")[0]
        assert f"`region left = {name}(…)`" in finding.cure


def test_colours_with_and_name_one_thing() -> None:
    assert findings_of('find("black and white cat")') == ()


LARGE = '{ weights "facebook/sam2.1-hiera-large" }'
ENGINES = {
    "tracker sam": "tracker sam2",
    "tracker color": "tracker colour",
    'tracker "facebook/sam2.1-hiera-tiny"': 'tracker sam2 { weights "facebook/sam2.1-hiera-tiny" }',
    'tracker "yonigozlan/EdgeTAM-hf"': 'tracker edgetam { weights "yonigozlan/EdgeTAM-hf" }',
    'tracker sam3 "folder"': 'tracker sam3 { weights "folder" }',
    "finder dino": "finder grounding_dino",
    'finder "google/owlv2-base"': 'finder owlv2 { weights "google/owlv2-base" }',
    "tracker: sam2": "tracker sam2",
    'tracker "sam2"': "tracker sam2",
    'finder "OWLv2"': "finder owlv2",
    "tracker sam2.1": "tracker sam2",
    "tracker sam-2": "tracker sam2",
    'tracker "sam2.1" { confidence 40% }': "tracker sam2 { confidence 40% }",
    'tracker sam2 { model "a/b" }': 'tracker sam2 { weights "a/b" }',
    "finder grounding-dino": "finder grounding_dino",
    "finder groundingdino": "finder grounding_dino",
    "finder grounding dino": "finder grounding_dino",
    "tracker sam 2.1": "tracker sam2",
    "tracker sam2.1-hiera-large": f"tracker sam2 {LARGE}",
    "tracker sam2.1_hiera_large.pt": f"tracker sam2 {LARGE}",
    "tracker facebook/sam2.1-hiera-large": f"tracker sam2 {LARGE}",
    "tracker sam2 sam2.1-hiera-large": f"tracker sam2 {LARGE}",
    "tracker sam2 { weights sam2.1-hiera-large }": f"tracker sam2 {LARGE}",
    "tracker sam2.1-hiera-large { confidence 40% }": f"tracker sam2 {LARGE[:-2]} confidence 40% }}",
    "tracker sam2.1-mine": 'tracker sam2 { weights "sam2.1-mine" }',
    "tracker edgetam-hf": 'tracker edgetam { weights "yonigozlan/EdgeTAM-hf" }',
    "finder grounding-dino-base": (
        'finder grounding_dino { weights "IDEA-Research/grounding-dino-base" }'
    ),
    "finder owlv2-large-patch14": 'finder owlv2 { weights "google/owlv2-large-patch14" }',
    'tracker "a/sam3-b" { confidence 40% }': 'tracker sam3 { weights "a/sam3-b" confidence 40% }',
    "tracker sam2 { confidence 0.4 }": "tracker sam2 { confidence 40% }",
    'tracker sam2 { checkpoint "a/b" }': 'tracker sam2 { weights "a/b" }',
}


@pytest.mark.parametrize("written", ENGINES)
def test_other_names_of_engines_are_corrected(written: str) -> None:
    text = SPEC.format('track(point(1%, 2%)) | find("man")')
    findings = parse_all(text + written).diagnostics
    assert len(findings) == 1
    fixed, _ = apply_fixes(text + written, list(findings))
    assert fixed == text + ENGINES[written]
    assert parse_all(fixed).diagnostics == ()


@pytest.mark.parametrize(
    ("region", "statement", "code", "words"),
    [
        ("track(point(1%, 2%))", "tracker sam4", "G202", "Did you mean `sam3`?"),
        ("track(point(1%, 2%))", "finder sam3", "G111", "no region is found by words"),
        ("all", "tracker sam2", "G111", "no region is tracked"),
        ("track(point(1%, 2%))", 'tracker { weights "a/b" }', "G530", 'sam2 { weights "a/b" }'),
        ("track(point(1%, 2%))", "tracker sam2 tracker sam3", "G007", "duplicate `tracker`"),
        ('track(masks("m"), point(1%, 2%) @ 3)', "tracker sam2", "G535", "on frame 3, not both"),
        (
            "track(ellipse(1%, 2%, 9%, 9%), not point(1%, 2%))",
            "tracker sam3",
            "G535",
            "`ellipse(…)`",
        ),
        ('find("man")', "finder owlv2 { score 30% }", "G201", '`find("…", score 30%)`'),
        ('find("man")', "finder owlv2 { threshold 0.3 }", "G201", '`find("…", score 30%)`'),
        ("track(point(1%, 2%))", "tracker sam2.1-hiera-large", "G001", "a setting: `weights`"),
        ("track(point(1%, 2%))", "tracker sam3.5", "G001", "Expected `{`"),
        ("track(point(1%, 2%))", "tracker samurai", "G202", "`colour`, `sam2`, `edgetam`, `sam3`"),
        ('find("man")', "finder yolo", "G202", "`grounding_dino`, `owlv2`, `sam3`"),
    ],
)
def test_mistakes_of_engines_are_told(region: str, statement: str, code: str, words: str) -> None:
    [finding] = parse_all(SPEC.format(region) + statement).diagnostics
    assert finding.code == code
    assert words in f"{finding.message} {finding.cure}"


@pytest.mark.parametrize(
    ("region", "statement"),
    [
        ("track(polygon(1% 1%, 9% 1%, 9% 9%), point(3%, 2%))", "tracker colour"),
        ("track(box(1%, 1%, 9%, 9%), not point(3%, 2%))", "tracker sam2"),
        ("track(polygon(1% 1%, 9% 1%, 9% 9%) @ 0, point(3%, 2%) @ 3)", "tracker sam2"),
    ],
)
def test_prompts_that_engines_take(region: str, statement: str) -> None:
    assert parse_all(SPEC.format(region) + statement).diagnostics == ()


def test_the_place_of_a_prompt_that_an_engine_does_not_take() -> None:
    text = SPEC.format('track(masks("m"), not point(1%, 2%) @ 3)') + "tracker sam2"
    [finding] = parse_all(text).diagnostics
    assert finding.span is not None
    assert (finding.span.line, finding.span.column) == (2, 1 + text.splitlines()[1].index("not"))


def test_engines_are_settings_like_others() -> None:
    node = track(point("1%", "2%")) | find("man")
    built = Builder("c").target("a bear").region("a", node).edit("a", "bear")
    spec = built.tracker("sam2", weights="a/b", confidence=0.6).finder("owlv2").build()
    assert spec.tracker == Tracking(engine="sam2", weights="a/b", confidence=0.6)
    assert spec.finder == Finding(engine="owlv2")
    assert parse(dumps(spec)) == spec
    assert 'tracker sam2 { weights "a/b" confidence 60% }' in dumps(spec)
    changed = override(built.build(), ["tracker.engine=edgetam", "tracker.confidence=20%"])
    assert changed.tracker == Tracking(engine="edgetam", confidence=0.2)
    assert built.build().tracker is None
    variant = "variant v { tracker sam2 }"
    text = SPEC.format("track(point(1%, 2%))") + variant
    assert [finding.code for finding in parse_all(text).diagnostics] == ["G010"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: not point("1%", "2%"), "~point(…)"),
        (lambda: region("a", point("1%", "2%")), "track(point("),  # type: ignore[arg-type]
        (lambda: box("1%", "2%", "3%", "4%") | point("1%", "2%"), "track(point("),  # type: ignore[operator]
        (lambda: track(find("man")), "not a prompt"),  # type: ignore[arg-type]
        (lambda: ~Prompt(shape=box("1%", "2%", "3%", "4%")), "only a point can be outside"),
        (lambda: track(point("1%", "2%") @ 3, point("3%", "4%")), "others have none"),
        (lambda: track(), "`prompts` is empty"),
        (lambda: find("man", "leftmost", number=2), "exclude each other"),
        (lambda: find("man", "left"), "leftmost"),  # type: ignore[arg-type]
        (lambda: point("0.3", "0.55"), 'Write `"30%"`.'),
        (lambda: point(0.3, 0.55), 'Write `"30%"`.'),  # type: ignore[arg-type]
        (lambda: point("30", "55"), 'Write `"30%"` or `"30px"`.'),
        (lambda: track(point("1%", "2%")) @ 2, "`@ 2` goes inside the brackets of `track(…)`"),
        (lambda: point("1%", "2%") @ 1 @ 2, "duplicate `@`: `@ 1` is given already"),
        (lambda: find("man") @ 0 @ 2, "duplicate `@`: `@ 0` is given already"),
        (lambda: box("1%", "2%", "3%", "4%") @ 1 @ 2, "duplicate `@`"),
        (lambda: masks("m") @ 1 @ 2, "duplicate `@`"),
        (lambda: box("1%", "2%", "3%", "4%").smooth(4), "`.smooth(3)` or `.smooth(5)`"),
    ],
)
def test_mistakes_in_python_are_told(make: Any, words: str) -> None:
    with pytest.raises(GrainError) as raised:
        make()
    assert words in str(raised.value)
    assert raised.value.diagnostics[0].code in {"G202", "G203", "G205"}


def test_the_shapes_of_prompts() -> None:
    node = track(point("1%", "2%"), box("1%", "2%", "3%", "4%") @ 0)
    assert [type(shape).__name__ for shape in shapes_of_prompts(node)] == ["Point", "Box"]
    assert shapes_of_prompts(find("man")) == ()


# --- with a clip ---------------------------------------------------------------------------------


def spec_of(clip: ClipFolder, left: str, extra: str = "") -> Any:
    path = clip.root / "edit.grain"
    regions = f"region left = {left}\n{extra}"
    path.write_text(clip.spec_text(regions=regions, edits='edit left -> "green robot"'))
    return load(path)


@pytest.mark.parametrize(
    ("left", "code", "words"),
    [
        ("track(point(30%, 50%) @ 4)", "G303", "frame 4 is past the end of the video"),
        ('find("man" @ 9)', "G303", "frames 0 to 3"),
        ("track(point(64px, 20px) @ 0)", "G351", "64x48"),
        ("track(point(30px, 60px) @ 0)", "G351", "did you mean `point(60px, 30px)`?"),
        ("track(box(70px, 0px, 90px, 9px) @ 0)", "G309", "64x48"),
        ("track(box(10.1px, 10.1px, 10.2px, 10.2px) @ 0)", "G309", "the box has no pixel"),
        ("track(box(10px, 10px, 10%, 20px) @ 0)", "G309", "the box has no pixel"),
        ("track(polygon(10% 10%, 20% 20%, 30% 30%) @ 0)", "G309", "the polygon has no pixel"),
        ("track(ellipse(0.6px, 0px, 1.4px, 9px), point(3px, 3px))", "G309", "the ellipse has no"),
        ('track(masks("nowhere.png") @ 0)', "G304", "nowhere.png"),
        ('track(masks("empty.png") @ 0)', "G307", "shows no object"),
        ('track(masks("left", index 7) @ 0)', "G307", "index 7"),
    ],
)
def test_prompts_are_checked_with_the_clip(
    clip: ClipFolder, left: str, code: str, words: str
) -> None:
    Image.new("L", clip.size).save(clip.root / "empty.png")
    found = [f for f in check(spec_of(clip, left), base=clip.root) if f.is_error]
    assert [finding.code for finding in found] == [code]
    assert words in f"{found[0].message} {found[0].cure}"
    assert found[0].span is not None


def test_regions_that_were_not_tracked_are_told_by_name(clip: ClipFolder) -> None:
    spec = spec_of(clip, "track(point(30%, 50%) @ 0) grow 1px")
    with pytest.raises(GrainError) as raised:
        bind(spec, base=clip.root)
    [finding] = raised.value.diagnostics
    assert finding.code == "G354"
    assert finding.message == "`left` is not tracked yet"
    assert finding.cure == f"Run `grain track {clip.root / 'edit.grain'}`."
    assert finding.span is not None
    assert finding.span == spec.regions[0].expression.of.span


def test_the_second_reading_agrees_about_tracked_regions(clip: ClipFolder) -> None:
    extra = 'region right = find("man", rightmost) smooth 3 - left\nregion other = rest'
    spec = spec_of(clip, "track(point(30%, 50%) @ 0) grow 2px during 1..2", extra)
    labels = np.zeros((clip.frames, *clip.size[::-1]), np.uint8)
    labels[:, 10:20, 10:20], labels[::2, 10:20, 40:60] = 1, 2
    write_tracked(spec, clip.root, labels)
    check_regions(spec, clip.root)


def test_tracked_masks_can_be_named_like_others(clip: ClipFolder) -> None:
    spec = spec_of(clip, "track(point(30%, 50%) @ 0)")
    labels = np.zeros((clip.frames, *clip.size[::-1]), np.uint8)
    labels[:, 10:20, 10:20] = 1
    write_tracked(spec, clip.root, labels)
    named = spec_of(clip, 'masks("masks/tracked/edit", index 1)')
    assert not [finding for finding in check(named, base=clip.root) if finding.is_error]
    masks_FHW = bind(named, base=clip.root).regions.mask("left")
    np.testing.assert_array_equal(masks_FHW, labels == 1)


def test_tracked_regions_are_bound_from_their_masks(clip: ClipFolder) -> None:
    extra = 'region right = find("man", rightmost) - left\nregion other = rest'
    spec = spec_of(clip, "track(point(30%, 50%) @ 0) grow 2px", extra)
    wide, high = clip.size
    labels = np.zeros((clip.frames, high, wide), np.uint8)
    labels[:, 10:20, 10:20], labels[:, 10:20, 40:60] = 1, 2
    write_tracked(spec, clip.root, labels)
    found = bind(spec, base=clip.root).regions
    assert found.mask("right").sum(axis=(1, 2)).tolist() == [200] * 4
    assert found.mask("left")[:, 12:18, 8:22].all()
    assert not (found.mask("other") & (labels > 0)).any()
    half = spec.replaced({}, video=spec.video.replaced({}, step=2))
    half.in_folder(clip.root, "edit.grain")
    assert bind(half, base=clip.root).regions.frames == (0, 2)


# --- smooth --------------------------------------------------------------------------------------


def smoothed_by_hand(on: list[int], count: int) -> list[int]:
    """By definition: a majority of the neighbours that exist; of a tie, the frame decides."""
    result = []
    for at in range(len(on)):
        near = on[max(0, at - count // 2) : at + count // 2 + 1]
        share = sum(near) / len(near)
        result.append(int(share > 0.5 or (share == 0.5 and on[at])))
    return result


FLICKER = [1, 0, 1, 1, 0, 0, 1, 1, 1, 0]


@pytest.fixture
def flicker(tmp_path: Path) -> ClipFolder:
    clip = ClipFolder(tmp_path, frames=len(FLICKER))
    shown, hidden = clip.mask(4, 4, 30, 30), clip.mask(0, 0, 0, 0)
    clip.write_masks("left", [shown if on else hidden for on in FLICKER])
    return clip


def shown_on(clip: ClipFolder, left: str, video: str = "") -> dict[int, int]:
    text = clip.spec_text(
        video=f'video "clip" {{ size 64x48 {video} }}',
        regions=f"region left = {left}\nregion right = all - left",
        edits='edit right -> "yellow bear" keep left',
    )
    found = bind(parse(text), base=clip.root).regions
    masks = found.mask("left").any(axis=(1, 2)).astype(int).tolist()
    return dict(zip(found.frames, masks, strict=True))


@pytest.mark.parametrize("count", [1, 3, 5, 7, 99])
def test_smooth_is_a_majority_of_neighbouring_frames(flicker: ClipFolder, count: int) -> None:
    found = shown_on(flicker, f'masks("left") smooth {count}')
    assert list(found.values()) == smoothed_by_hand(FLICKER, count)


def test_smooth_counts_frames_in_use(flicker: ClipFolder) -> None:
    found = shown_on(flicker, 'masks("left") smooth 3', "frames 1..9 step 2")
    assert list(found) == [1, 3, 5, 7, 9]
    assert list(found.values()) == smoothed_by_hand(FLICKER[1::2], 3)


def test_during_limits_what_is_shown_and_not_what_is_counted(flicker: ClipFolder) -> None:
    whole = smoothed_by_hand(FLICKER, 5)
    after = shown_on(flicker, 'masks("left") smooth 5 during 3..5')
    assert list(after.values()) == [on if 3 <= at <= 5 else 0 for at, on in enumerate(whole)]
    before = shown_on(flicker, 'masks("left") during 5..8 smooth 3')
    limited = [on if 5 <= at <= 8 else 0 for at, on in enumerate(FLICKER)]
    assert list(before.values()) == smoothed_by_hand(limited, 3)


def test_masks_are_needed_on_the_frames_that_are_counted(flicker: ClipFolder) -> None:
    (flicker.root / "left" / "00006.png").unlink()
    for last, missing in ((4, []), (5, ["G305"])):
        left = f'region left = masks("left") smooth 3 during 0..{last}'
        text = flicker.spec_text(regions=left, edits='edit left -> "green robot"')
        found = [finding for finding in check(parse(text), base=flicker.root) if finding.is_error]
        assert [finding.code for finding in found] == missing
        assert all("frame 6" in str(finding) for finding in found)


def test_frames_that_are_stated_to_be_empty_need_no_warning(flicker: ClipFolder) -> None:
    for left, warned in (
        ("box(0%, 0%, 50%, 50%) during 0..4 smooth 3", False),
        ('masks("left") smooth 3', True),
    ):
        text = flicker.spec_text(
            regions=f"region left = {left}", edits='edit left -> "green robot"'
        )
        codes = {finding.code for finding in check(parse(text), base=flicker.root)}
        assert ("G315" in codes) == warned


def test_a_complement_is_smoothed_alike(flicker: ClipFolder) -> None:
    one = bind_left(flicker, '~(masks("left") smooth 5)')
    other = bind_left(flicker, '(~masks("left")) smooth 5')
    np.testing.assert_array_equal(one, other)


def bind_left(clip: ClipFolder, left: str) -> np.ndarray:
    text = clip.spec_text(regions=f"region left = {left}", edits='edit left -> "green robot"')
    return bind(parse(text), base=clip.root).regions.mask("left")
