"""Python as users type it: names to be seen, regions to be passed on, mistakes that say their cure."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import ROOT
from hypothesis import given

import grainspec
from grainspec import (
    ALL,
    REST,
    Builder,
    Changes,
    GrainError,
    Region,
    box,
    dumps,
    masks,
    moving,
    named,
    parse,
    polygon,
    region,
)
from grainspec.model.spec import EditSpec, Flow, Sampler
from grainspec.testing import expressions

LEFT = region("left", masks("masks/left"))
RIGHT = region("right", masks("masks/right"))
SMALL = box("0%", "0%", "9%", "9%")
STEP = Builder("c.mp4", size=(96, 96)).target("a bear").region(LEFT)
UNBUILT: Any = STEP.edit("left", "bear")


def refused(build: Callable[[], object]) -> grainspec.Diagnostic:
    with pytest.raises(GrainError) as raised:
        build()
    (finding,) = raised.value.diagnostics
    return finding


# --- names ---------------------------------------------------------------------------------------


def test_dir_shows_exactly_what_there_is() -> None:
    shown = {name for name in dir(grainspec) if not name.startswith("__")}
    assert shown == set(grainspec.__all__)
    assert {"Builder", "compile", "testing", "region", "Region"} <= shown
    for name in grainspec.__all__:
        assert getattr(grainspec, name) is not None, name
    assert {"__version__", "__doc__"} <= set(dir(grainspec))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        grainspec.lod  # noqa: B018


def in_fresh_python(code: str) -> str:
    paths = [str(ROOT), str(ROOT / "runtime")]
    code = f"import sys; sys.path[:0] = {paths}\n{code}"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_importing_loads_nothing_heavy() -> None:
    code = """
import grainspec, grainspec_runtime
dir(grainspec), dir(grainspec_runtime)
loaded = {"numpy", "lark", "pydantic", "torch", "diffusers", "transformers"} & set(sys.modules)
assert not loaded, loaded
from grainspec import *
spec = Builder("c").target("a bear").region("r", ALL).edit("r", "bear").build()
assert check(spec) == [] and "bear" in dumps(spec)
loaded = {"torch", "diffusers", "transformers"} & set(sys.modules)
assert not loaded, loaded
"""
    assert in_fresh_python(code) == ""


# --- operators -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("combine", "cure"),
    [
        (lambda: LEFT and RIGHT, "left & right"),
        (lambda: REST or LEFT, "left | right"),
        (lambda: not named("left"), "~left"),
        (lambda: 1 if SMALL else 2, "is not None"),
        (lambda: bool(polygon(("1%", "1%"), ("2%", "1%"), ("1%", "2%"))), "~left"),
        (lambda: any([ALL, REST]), "left | right"),
        (lambda: LEFT + RIGHT, "left | right"),
        (lambda: sum([ALL, REST]), "left | right"),
        (lambda: LEFT ^ RIGHT, "(left | right) - (left & right)"),
        (lambda: LEFT < RIGHT, "left - right"),
        (lambda: ALL >= LEFT >= RIGHT, "left - right"),
        (lambda: "left" | REST, 'write `named("left")`'),
        (lambda: REST - Path("masks/left"), 'write `masks("masks/left")`'),
        (lambda: REST & "the left", 'such as `named("left")`'),
    ],
)
def test_other_operators_name_the_right_one(combine: Callable[[], object], cure: str) -> None:
    finding = refused(combine)
    assert finding.code == "G205"
    assert cure in finding.cure
    assert finding.span is not None
    assert finding.span.path == __file__


@given(expressions())
def test_expressions_are_compared_and_looked_for_as_ever(
    expression: grainspec.model.expressions.Expression,
) -> None:  # type: ignore[name-defined]
    assert expression == expression.model_copy()
    assert (expression != expression.model_copy()) is False
    assert expression in [expression]
    assert expression is not None
    assert {expression: 1}[expression.model_copy()] == 1
    refused(lambda: bool(expression))


def test_a_crop_is_no_truth_value() -> None:
    spec = Builder("c", crop=SMALL).target("a bear").region("r", ALL).edit("r", "bear").build()
    assert grainspec.check(spec) == []
    assert parse(dumps(spec)) == spec


# --- regions as values ---------------------------------------------------------------------------


def test_a_region_goes_wherever_one_is_wanted() -> None:
    by_name = (
        Builder("c")
        .target("a robot with a hat and a bear at night")
        .region("left", masks("l"))
        .region("right", masks("r"))
        .region("hat", box("1%", "1%", "9%", "9%") & named("left"))
        .region("sky", REST - named("left") - named("right"))
        .region("edge", named("left").grow("4px") - named("left"))
        .instance("left", "robot")
        .add("hat", "hat", of="left")
        .class_("right", "bear")
        .edit("sky", "night")
        .free("edge")
        .variant("one", Changes().target("a bear").without("left", "hat", "sky").keep("left"))
        .build()
    )
    left, right = region("left", masks("l")), region("right", masks("r"))
    hat = region("hat", box("1%", "1%", "9%", "9%") & left)
    sky = region("sky", REST - left - right)
    edge = region("edge", left.grow("4px") - left)
    builder = Builder("c").target("a robot with a hat and a bear at night")
    for each in (left, right, hat, sky, edge):
        builder = builder.region(each)
    changes = Changes().target("a bear").without(left, hat, sky).keep(left)
    by_value = (
        builder.instance(left, "robot")
        .add(hat, "hat", of=left)
        .class_(right, "bear")
        .edit(sky, "night")
        .free(edge)
        .variant("one", changes)
        .build()
    )
    assert by_value == by_name
    assert parse(dumps(by_value)) == by_value


def test_what_region_returns_is_the_region_that_it_named() -> None:
    left = Builder("c").target("a robot and a bear at night").region("left", masks("l"))
    right = left.region("right", masks("r"))
    sky = right.region("sky", REST - left - right)
    spec = sky.instance(left, "robot").part(right, "bear", of=left).edit(sky, "night").build()
    assert [(edit.region, edit.owner) for edit in spec.changes] == [
        ("left", None),
        ("right", "left"),
        ("sky", None),
    ]
    assert spec.region("sky").expression == REST - named("left") - named("right")
    assert left | REST == named("left") | REST
    assert left.keep(left)._edits == left.keep("left")._edits == left.keep(named("left"))._edits
    assert left.region("again", left)._regions[-1].expression == named("left")


def test_regions_combine_as_their_names_do() -> None:
    assert named("left") | named("right") | REST == LEFT | RIGHT | REST
    assert ~named("left") & named("right") == ~LEFT & RIGHT
    assert LEFT.during(1, 3).shrink("1%") == named("left").during(1, 3).shrink("1%")


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Builder("c").edit(masks("m"), "a"), r'G205.*.*area = region\("area", …\)`, and write `\.edit\(area, …\)`'),
        (lambda: Builder("c").edit(3, "a"), r'G202.*`edit` expects a region, not the number 3.*"left"'),
        (lambda: Builder("c").keep(Path("m/left")), r'G202.*the path m/left.*masks\("m/left"\)'),
        (lambda: Builder("c").keep(["left"]), r'G202.*a list.*`\.keep\("left", "right"\)`'),
        (lambda: Builder("c").free(None), "G202.*None"),
        (lambda: Builder("c").part("hat", "a hat", of=ALL), "G205.*`of` expects a named region"),
        (lambda: Builder("c").keep(Builder("d")), "G205.*no region yet"),
        (lambda: Builder("c").keep(Changes()), "G202.*not a Changes"),
        (lambda: Changes().without(ALL), "G205.*`without` expects a named region"),
        (lambda: Builder("c").instance("green robot", LEFT), "G202.*`instance` expects a text as its phrase, not the region `left`.*region first"),
        (lambda: Builder("c").edit("left", REST), r"G202.*region expression \(Rest\)"),
        (lambda: Builder("c").region(masks("m")), "G205.*expects a name, not.*name first"),
        (lambda: Builder("c").region(ALL, "left"), "G205.*name first"),
        (lambda: Builder("c").region("left"), r'G205.*no expression.*region\("left", masks'),
        (lambda: Builder("c").region(LEFT, ALL), "G205.*expression already"),
        (lambda: region("left", "masks/left"), "G205"),
        (lambda: STEP.edit(region("left", ALL), "bear"), "G102.*different region in this builder"),
    ],
)  # fmt: skip
def test_no_region_is_refused(build: Callable[[], object], words: str) -> None:
    with pytest.raises(GrainError, match=words) as raised:
        build()
    span = raised.value.diagnostics[0].span
    assert span is not None
    assert span.path == __file__


# --- a spec where one is wanted ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (grainspec.check, "check"),
        (grainspec.bind, "bind"),
        (grainspec.dumps, "dumps"),
        (grainspec.to_json, "to_json"),
        (lambda spec: grainspec.override(spec, ["a=b"]), "override"),
        (lambda spec: grainspec.compile(spec, None, None), "compile"),  # type: ignore[arg-type]
    ],
)
def test_a_forgotten_build_says_so(use: Callable[[Any], object], name: str) -> None:
    finding = refused(lambda: use(UNBUILT))
    assert finding.code == "G202"
    assert finding.message == f"`{name}` expects an EditSpec, not a Builder"
    assert finding.cure == "Call `.build()` on it first."
    assert finding.span is not None
    assert finding.span.path == __file__


@pytest.mark.parametrize(
    ("value", "cure"),
    [
        (Changes().target("a bear"), r"Builder\.variant"),
        ("grain 1", "grainspec.parse"),
        (Path("edit.grain"), "grainspec.load"),
        ({"target": "a"}, "from_json"),
        (LEFT, "load"),
        (None, "load"),
    ],
)
def test_what_is_no_spec_says_what_is(value: Any, cure: str) -> None:
    with pytest.raises(GrainError, match=f"G202.*expects an EditSpec.*{cure}"):
        grainspec.check(value)


# --- types ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "message", "cure"),
    [
        (lambda: STEP.sampler(steps="20"), '`"20"` for `steps`', "Write `20`, without quotes"),
        (lambda: STEP.edit("left", "bear", weight="1.5"), '`"1.5"` for `weight`', "`1.5`, without"),
        (lambda: Builder("c", size=("96", 96)).build(), '`"96"` for `size (width)`', "`96`"),
        (lambda: Builder("c", frames=(0, "7")).build(), '`"7"` for', "`7`"),
        (lambda: Builder("c", step="2").build(), '`"2"` for `step`', "`2`"),
        (lambda: STEP.control("depth", scale="1"), '`"1"` for `scale`', "`1`"),
        (lambda: STEP.flow(levels=["0"]), '`"0"` for `levels`', "`0`"),
        (lambda: masks("m", index="3"), '`"3"` for `index`', "`3`"),
        (lambda: SMALL @ "3", '`"3"` for `frame`', "`3`"),
        (lambda: ALL.during("1", 3), '`"1"` for', "`1`"),
        (lambda: Changes().sampler(seed="1"), '`"1"` for `seed`', "`1`"),
        (lambda: STEP.attention(until="50%"), 'invalid value `"50%"` for `until`: a number from 0 to 1', "Write `0.5`."),
        (lambda: STEP.sampler(steps=True), "invalid value `True` for `steps`: a whole number from 1 to 1000", ""),
        (lambda: STEP.edit("left", "bear", weight=True), "invalid value `True` for `weight`: a number from 0 to 4", ""),
        (lambda: STEP.sampler(steps=20.0), "invalid value `20.0` for `steps`: a whole number from 1 to 1000", "Write `20`."),
        (lambda: masks("m", invert=1), "invalid value `1` for `invert`: true or false", ""),
        (lambda: masks("m", scaled="yes"), 'invalid value `"yes"` for `scaled`: true or false', ""),
        (lambda: box("0.6", "0%", "9%", "9%"), 'invalid length `"0.6"`: percent of the frame, such as `"61%"`', '`"60%"`'),
        (lambda: box(0.6, "0%", "9%", "9%"), 'invalid length `0.6`: percent of the frame, such as `"61%"`', '`"60%"`'),
        (lambda: STEP.source(3).build(), "invalid value `3` for `source`: a text", ""),
    ],
)  # fmt: skip
def test_values_are_not_converted(build: Callable[[], object], message: str, cure: str) -> None:
    finding = refused(build)
    assert finding.code == "G202"
    assert message in finding.message
    assert cure in finding.cure
    assert bool(cure) == bool(finding.cure)


def test_the_same_value_in_another_type_is_taken() -> None:
    assert Sampler(guidance=7).guidance == 7.0
    assert Flow(levels=[0, 1]).levels == (0, 1)
    assert STEP.sampler(steps=np.int64(20))._fields["sampler"] == Sampler(steps=20)
    assert Sampler(guidance=np.float32(1.5)) == Sampler(guidance=1.5)
    assert Flow(levels=[np.int64(2)]) == Flow(levels=(2,))
    assert Builder("c", frames=[0, 7], size=[96, 96]) != STEP
    assert masks(Path("m") / "left").path == "m/left"
    assert moving(SMALL @ 0, SMALL @ np.int32(9)) == moving(SMALL @ 0, SMALL @ 9)


def test_documents_of_plain_values_are_taken() -> None:
    spec = STEP.edit("left", "bear").build()
    assert EditSpec.model_validate(spec.model_dump(mode="json", by_alias=True)) == spec


def test_a_region_is_a_record_as_any_other() -> None:
    assert Region(name="left", expression=masks("masks/left")) == LEFT
    assert LEFT != RIGHT
    assert repr(LEFT).startswith("Region(name='left'")


# --- cures can be pasted -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "message", "cure"),
    [
        (
            lambda: Builder("c").blend(feather=-4),  # type: ignore[arg-type]
            'invalid value `-4` for `feather`: a length as text, such as `"12px"` or `"2%"`',
            "",
        ),
        (
            lambda: Builder("c").blend(feather=2.5),  # type: ignore[arg-type]
            'invalid value `2.5` for `feather`: a length as text, such as `"12px"` or `"2%"`',
            'Write `"2.5px"` or `"2.5%"`.',
        ),
        (
            lambda: Builder("c").blend(feather="-4px"),
            "invalid value `-4px` for `feather`: a length of at least 0",
            "Remove the minus sign.",
        ),
        (
            lambda: Builder("c").blend(from_=0.25),  # type: ignore[call-arg]
            "unknown setting `from_`",
            "Write `start`.",
        ),
        (
            lambda: Builder("c").control("pose", from_=0.25),  # type: ignore[call-arg]
            "unknown setting `from_`",
            "Write `start`.",
        ),
        (lambda: masks("m", from_=1), "unknown setting `from_`", "Write `first`."),  # type: ignore[call-arg]
        (
            lambda: Builder("c").attention(self_=1),  # type: ignore[call-arg]
            "unknown setting `self_`",
            "Write `self`.",
        ),
        (
            lambda: Builder("c").blend(start=1.2),
            "invalid value `1.2` for `start`: a number from 0 to 1",
            "",
        ),
        (
            lambda: Builder("c").attention(cross=float("inf")),
            "invalid value `inf` for `cross`: a number from 0 to 1",
            "",
        ),
        (
            lambda: LEFT & "right",  # type: ignore[operator]
            '`"right"` is not a region expression',
            'For the region of this name write `named("right")`.',
        ),
    ],
)
def test_cures_are_python_that_can_be_pasted(
    build: Callable[[], object], message: str, cure: str
) -> None:
    finding = refused(build)
    assert (finding.message, finding.cure) == (message, cure)


def test_a_negative_length_has_a_cure_in_text() -> None:
    text = 'grain 1 video "c" target "a bear" region r = all edit r -> "bear"'
    finding = refused(lambda: parse(f"{text} blend {{ feather -4px }}"))
    assert finding.cure == "Remove the minus sign."


# --- values of other types, and calls that are repeated ------------------------------------------

TEXT = 'grain 1 video "c" target "a bear" region r = all edit r -> "bear"'


@pytest.mark.parametrize(
    ("build", "message", "cure"),
    [
        (lambda: parse(5), "`parse` expects a text, not the number 5", "parse(text)"),  # type: ignore[arg-type]
        (
            lambda: parse(Path("edit.grain")),  # type: ignore[arg-type]
            "`parse` expects a text, not the path edit.grain",
            "grainspec.load",
        ),
        (
            lambda: parse(parse(TEXT)),  # type: ignore[arg-type]
            "`parse` expects a text, not an EditSpec",
            "a spec already",
        ),
        (
            lambda: grainspec.parse_all(None),  # type: ignore[arg-type]
            "`parse_all` expects a text, not None",
            "parse_all(text)",
        ),
        (
            lambda: grainspec.from_json(5),  # type: ignore[arg-type]
            "`from_json` expects a text, not the number 5",
            "from_json(text)",
        ),
        (
            lambda: grainspec.from_json({}),  # type: ignore[arg-type]
            "`from_json` expects a text, not a dict",
            "json.dumps",
        ),
        (
            lambda: grainspec.from_json(b"{}"),  # type: ignore[arg-type]
            "`from_json` expects a text, not a bytes",
            "decode",
        ),
        (
            lambda: grainspec.load(5),  # type: ignore[arg-type]
            "`load` expects a path, not the number 5",
            'load("edit.grain")',
        ),
        (
            lambda: grainspec.override(parse(TEXT), 5),  # type: ignore[arg-type]
            "`override` expects settings as texts, not the number 5",
            '["sampler.steps=30"]',
        ),
        (
            lambda: grainspec.override(parse(TEXT), [("sampler.steps", 5)]),  # type: ignore[list-item]
            "`override` expects settings as texts, not a tuple",
            '["sampler.steps=30"]',
        ),
    ],
)
def test_values_of_other_types_are_reported_in_the_users_line(
    build: Callable[[], object], message: str, cure: str
) -> None:
    finding = refused(build)
    assert (finding.code, finding.message) == ("G202", message)
    assert cure in finding.cure
    assert finding.span is not None
    assert finding.span.path == __file__


def test_a_single_text_is_one_override() -> None:
    spec = parse(TEXT)
    changed = grainspec.override(spec, "sampler.steps=3")
    assert changed == grainspec.override(spec, ["sampler.steps=3"])
    assert changed.sampler.steps == 3


def test_the_complement_of_a_builder_is_the_one_of_its_last_region() -> None:
    assert ~named("left") == ~STEP
    assert refused(lambda: ~Builder("c")).code == "G205"


def test_a_repeated_statement_replaces_the_first_and_says_so() -> None:
    twice = STEP.sampler(steps=5).sampler(guidance=2).target("a cat").target("a dog")
    assert twice._fields["sampler"] == Sampler(guidance=2)
    assert twice._fields["target"] == "a dog"
    for once in ("target", "negative", "model", "source", "attention", "flow", "inject"):
        assert "A second call replaces the first" in getattr(Builder, once).__doc__, once
    for once in ("context", "sampler", "blend"):
        assert "A second call replaces the first" in getattr(Builder, once).__doc__, once
