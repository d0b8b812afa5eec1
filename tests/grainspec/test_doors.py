"""Text, JSON and Python are three ways to write down one spec."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from clips import EXAMPLES, ROOT
from hypothesis import given

from grainspec import (
    ALL,
    REST,
    Builder,
    EditSpec,
    GrainError,
    box,
    check,
    dumps,
    ellipse,
    from_json,
    load,
    masks,
    moving,
    named,
    override,
    parse,
    parse_all,
    polygon,
    to_json,
)
from grainspec.json_format import json_schema, schema_text
from grainspec.testing import specs

SMALL = box("0%", "0%", "9%", "9%")


@given(specs())
def test_text_is_a_round_trip(spec: EditSpec) -> None:
    text = dumps(spec)
    assert parse(text) == spec
    assert dumps(parse(text)) == text


@given(specs())
def test_json_is_a_round_trip(spec: EditSpec) -> None:
    assert from_json(to_json(spec)) == spec


@given(specs())
def test_documents_fit_the_schema(spec: EditSpec) -> None:
    jsonschema.validate(json.loads(to_json(spec)), json_schema())


def test_the_schema_on_disk_is_current() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert (ROOT / "grammar" / "grain.schema.json").read_text() == schema_text()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.grain")), ids=lambda path: path.name)
def test_examples_go_through_every_door(path: Path, tmp_path: Path) -> None:
    spec = load(path)
    assert parse(dumps(spec)) == spec
    (tmp_path / "spec.json").write_text(to_json(spec))
    assert load(tmp_path / "spec.json") == spec


def test_builder_says_what_text_says() -> None:
    built = (
        Builder("c.mp4", frames=(0, 7), size=(96, 96))
        .source("two men")
        .target("a robot with sunglasses before cherry trees")
        .region("man", masks("m"))
        .region("eyes", moving(box("1%", "2%", "3%", "4%") @ 0, box("2%", "3%", "4%", "5%") @ 7))
        .region("trees", REST)
        .instance("man", "robot", weight=1.5)
        .add("eyes", "sunglasses", of="man")
        .edit("trees", "cherry trees")
        .attention(profile="videograin", self=0.3, frames="each", unbound=0.5)
        .flow(levels=[0, 2], method="raft", weights=Path("models") / "raft")
        .inject(features=0.2, self_levels=[1, 2])
        .freeu(b1=1.2, s2=0.5)
        .context(frames=12, keys=3)
        .sampler(steps=10)
        .build()
    )
    written = parse(
        """
        grain 1
        video "c.mp4" { frames 0..7 size 96x96 }
        source "two men"
        target "a robot with sunglasses before cherry trees"
        region man = masks("m")
        region eyes = box(1%, 2%, 3%, 4%) @ 0, box(2%, 3%, 4%, 5%) @ 7
        region trees = rest
        edit instance man -> "robot" { weight 1.5 }
        add part eyes of man -> "sunglasses"
        edit trees -> "cherry trees"
        attention videograin { self 0.3 frames each unbound 0.5 }
        flow { levels 0 2 method raft weights "models/raft" }
        inject { features 20% self_levels 1..2 }
        freeu { b1 1.2 s2 0.5 }
        context { frames 12 keys 3 }
        sampler ddim { steps 10 }
        """
    )
    assert built == written
    assert hash(built) == hash(written)


@pytest.mark.parametrize(
    ("said", "shown", "document"),
    [
        ("", "", {}),
        ("attention { }", "", {}),
        ("attention auto { }", "attention auto\n", {"profile": "auto"}),
        ("attention demo", "attention demo\n", {"profile": "demo"}),
        ("attention { self 0.3 }", "attention { self 0.3 }\n", {"self": 0.3}),
        (
            "attention videograin {unbound 0.50}",
            "attention videograin { unbound 0.5 }\n",
            {"profile": "videograin", "unbound": 0.5},
        ),
    ],
)
def test_attention_is_written_as_far_as_it_is_said(
    said: str, shown: str, document: dict[str, Any]
) -> None:
    spec = parse('grain 1 video "c" target "a bear" region r = all edit r -> "bear"\n' + said)
    assert dumps(spec).partition('-> "bear"\n')[2].lstrip() == shown
    assert parse(dumps(spec)) == spec
    assert json.loads(to_json(spec))["attention"] == document
    assert from_json(to_json(spec)) == spec


def test_blending_can_begin_late() -> None:
    text = 'grain 1 video "c" target "a bear" region r = all edit r -> "bear"\n'
    spec = parse(f"{text}blend {{ from 25% }}")
    assert (spec.blend.start, parse(text).blend.start) == (0.25, 0)
    assert dumps(spec).endswith("blend { from 25% }\n")
    document = {"space": "latents", "edges": "hard", "from": 0.25}
    assert json.loads(to_json(spec))["blend"] == document
    assert from_json(to_json(spec)) == override(parse(text), ["blend.from=25%"]) == spec
    built = Builder("c").target("a bear").region("r", ALL).edit("r", "bear").blend(start=0.25)
    assert built.build() == spec
    with pytest.raises(GrainError, match="G202.*invalid value `0.25` for `from`"):
        parse(f"{text}blend {{ from 0.25 }}")
    with pytest.raises(GrainError, match="G203.*`125%` for `from`: a percentage from 0% to 100%"):
        parse(f"{text}blend {{ from 125% }}")


def test_shapes_move_in_python_as_in_text() -> None:
    corners = (("1%", "1%"), ("9%", "1%"), ("5%", "9px"))
    later = (("2%", "1%"), ("10%", "1%"), ("6%", "9px"))
    for built, text in {
        moving(SMALL @ 0, SMALL @ 9): "box(0%, 0%, 9%, 9%) @ 0, box(0%, 0%, 9%, 9%) @ 9",
        ellipse("1%", "2%", "3%", "4%") @ 5: "ellipse(1%, 2%, 3%, 4%) @ 5",
        moving(polygon(*corners) @ 1, polygon(*later) @ 2): (
            "polygon(1% 1%, 9% 1%, 5% 9px) @ 1, polygon(2% 1%, 10% 1%, 6% 9px) @ 2"
        ),
    }.items():
        spec = parse(f'grain 1 video "c" target "a" region r = {text} edit r -> "a"')
        assert spec.regions[0].expression == built


def test_builders_are_immutable() -> None:
    start = Builder("c.mp4").target("a bear")
    start.region("r", REST)
    with pytest.raises(GrainError, match="G101"):
        start.edit("r", "bear").build()


def test_builder_names_its_model_and_takes_paths() -> None:
    spec = (
        Builder(Path("clips") / "c.mp4")
        .model("owner/name")
        .target("a bear")
        .region("left", masks(Path("masks") / "left"))
        .region("right", ALL - named("left"))
        .edit("right", "bear")
        .build()
    )
    assert (spec.video.path, spec.model) == ("clips/c.mp4", "owner/name")
    assert parse(dumps(spec)) == spec


def test_chained_operators_make_one_expression() -> None:
    assert (ALL | REST | ALL).items == (ALL, REST, ALL)
    assert reduce(or_, [ALL] * 100).items == (ALL,) * 100


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Builder("c", frames=(5, 2)).target("a").build(), "G202.*comes before"),
        (lambda: Builder("c", size=(10, 10)).target("a").build(), "G203.*from 16"),
        (lambda: Builder("c", frames=5).build(), r"G202.*\(0, 30\)"),  # type: ignore[arg-type]
        (lambda: Builder("c", size=(0, 5, 2)).build(), r"G202.*\(512, 512\)"),  # type: ignore[arg-type]
        (lambda: masks(""), "G203.*`path` is empty"),
        (lambda: box("61", "1%", "2%", "3%"), "G202.*invalid length"),
        (lambda: moving(SMALL @ 3, SMALL @ 1), "G202.*in order"),
        (lambda: moving(SMALL @ 3, SMALL), "G202.*needs its frame"),
        (lambda: SMALL @ -1, "G203"),
        (lambda: moving(SMALL @ 0, ellipse("0%", "0%", "9%", "9%") @ 1), "G205.*one kind"),
        (lambda: moving(), "G205"),
        (lambda: moving(ALL), "G205"),  # type: ignore[type-var]
        (lambda: ALL | "left", r'G205: `"left"` is not a region expression. .*`named\("left"\)`'),  # type: ignore[operator]
        (lambda: Builder("c").region("a", "left"), "G205.*named"),  # type: ignore[arg-type]
        (lambda: named("keep"), "G202.*my_keep"),
        (lambda: Builder("c").region("2x", ALL), "G202.*invalid name"),
        (lambda: Builder("c").region("a", reduce(lambda e, _: ~e, range(60), ALL)), "G004"),
        (lambda: Builder("c").attention(levels=()), "G203.*empty"),
        (
            lambda: Builder("c").attention(until="50%"),
            r'G202.*`"50%"` for `until`: a number from 0 to 1\. Write `0\.5`\.',
        ),  # type: ignore[arg-type]
        (
            lambda: Builder("c").attention(levels="1..3"),
            r'G202.*`"1\.\.3"` for `levels`: `"all"`, or a list of whole numbers from 0 to 15',
        ),  # type: ignore[arg-type]
        (lambda: Builder("c").attention(levels=3), r"G202.*`3` for `levels`: .* Write `\[3\]`"),  # type: ignore[arg-type]
        (
            lambda: Builder("c").attention(profile="paper"),
            'G202.*`"paper"` for `profile`: one of `"auto"`, `"videograin"`, `"animatediff"`',
        ),  # type: ignore[arg-type]
        (lambda: Builder("c").attention(untill=1), "G201.*Did you mean `until`"),  # type: ignore[call-arg]
        (lambda: Builder("c", crop=(1, 2)).build(), r"G202.*box\("),  # type: ignore[arg-type]
        (lambda: Builder("c").keep(["l"]), "G202.*names as separate arguments"),  # type: ignore[arg-type]
        (lambda: Builder("c").variant("v", Builder("d")), r"G205.*Changes\(\)"),  # type: ignore[arg-type]
        (lambda: polygon(("1%", "2%"), ("3%", "4%")), "G203.*has 2 items. Give at least 3"),
    ],
)
def test_python_is_refused_as_text_is(build: Callable[[], object], words: str) -> None:
    with pytest.raises(GrainError, match=words):
        build()


def test_builder_errors_are_coded() -> None:
    with pytest.raises(GrainError, match="G203.*from 0 to 4"):
        Builder("c.mp4").edit("r", "bear", weight=9)
    with pytest.raises(GrainError, match="G104"):
        Builder("c.mp4").target("a bear").region("r", REST).edit("r", "cat").build()
    with pytest.raises(GrainError, match="G202.*invalid length"):
        moving(box("1", "2%", "3%", "4%") @ 0)


DOCUMENT: dict[str, Any] = {
    "video": {"path": "c"},
    "target": "a bear",
    "regions": [{"name": "r", "expression": {"kind": "all"}}],
    "edits": [{"verb": "edit", "region": "r", "phrase": "bear"}],
}
CORNERS = {
    side: {"value": at, "unit": "%"}
    for side, at in zip("x0 y0 x1 y1".split(), (0, 0, 9, 9), strict=True)
}


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({}, None),
        ({"attention": {"self": 1}}, None),
        ({"attention": {"self_": 1}}, "/attention/self_:"),
        ({"attention": {"cross": "0.5"}}, "/attention/cross:"),
        ({"version": True}, "/version:"),
        ({"sampler": {"steps": True}}, "/sampler/steps:"),
        ({"edits": [{"region": "r", "phrase": "bear"}]}, "/edits/0: `verb` is missing"),
        (
            {"video": {"path": "c", "crop": {"keyframes": [CORNERS]}}},
            "/video/crop: `kind` is missing",
        ),
        ({"regions": [{"name": "keep", "expression": {"kind": "all"}}]}, "/regions/0/name: `keep`"),
        (
            {
                "regions": [
                    {"name": "r", "expression": {"kind": "union", "items": [{"kind": "all"}, {}]}}
                ]
            },
            "/regions/0/expression/items/1: `kind`",
        ),
        (
            {"regions": [{"name": "r", "expression": {"kind": "masks", "path": "m", "a/b": 1}}]},
            "/regions/0/expression/a~1b:",
        ),
    ],
)
def test_schema_and_door_agree(changed: dict[str, Any], pointer: str | None) -> None:
    document = DOCUMENT | changed
    fits = jsonschema.Draft202012Validator(json_schema()).is_valid(document)
    assert fits == (pointer is None)
    if fits:
        assert from_json("\ufeff" + json.dumps(document)).target == "a bear"
        return
    with pytest.raises(GrainError) as raised:
        from_json(json.dumps(document))
    (finding,) = raised.value.diagnostics
    assert (finding.code, finding.message.startswith(str(pointer))) == ("G009", True)


@pytest.mark.parametrize(
    ("changed", "message", "cure"),
    [
        (
            {"sampler": {"steps": "20"}},
            '/sampler/steps: invalid value `"20"` for `steps`: a whole number from 1 to 1000',
            "Write `20`, without quotes.",
        ),
        (
            {"attention": {"until": "30%"}},
            '/attention/until: invalid value `"30%"` for `until`: a number from 0 to 1',
            "Write `0.3`.",
        ),
        (
            {"version": True},
            "/version: invalid value `true` for `version`: `1`",
            "",
        ),
        (
            {"attention": {"levels": 3}},
            '/attention/levels: invalid value `3` for `levels`: `"all"`, or a list of whole numbers '
            "from 0 to 15",
            "Write `[3]`.",
        ),
        (
            {"blend": {"feather": 5}},
            "/blend/feather: invalid value `5` for `feather`: an object with `value` and `unit`",
            "",
        ),
        (
            {"edits": [{"verb": "edti", "region": "r"}]},
            '/edits/0: invalid value `"edti"` for `verb`: one of `"edit"`, `"add"`, `"keep"`, `"free"`',
            'Did you mean `"edit"`?',
        ),
    ],
)
def test_invalid_values_of_documents(changed: dict[str, Any], message: str, cure: str) -> None:
    with pytest.raises(GrainError) as raised:
        from_json(json.dumps(DOCUMENT | changed))
    (finding,) = raised.value.diagnostics
    assert (finding.message, finding.cure) == (message, cure)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("size 10x10", "invalid value `10x10` for `size`: width and height from 16 to 8192"),
        ("frames 5..2", "invalid value `5..2` for `frames`: the last frame (2) comes before the"),
        ("step two", "invalid value `two` for `step`: a whole number from 1 to 10000"),
    ],
)
def test_one_invalid_value_is_one_error(setting: str, message: str) -> None:
    text = f'grain 1 video "c" {{ {setting} }} target "a bear" region r = all edit r -> "bear"'
    with pytest.raises(GrainError) as raised:
        parse(text)
    (finding,) = raised.value.diagnostics
    assert finding.message.startswith(message)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "Invalid JSON"),
        ("[]", "G009"),
        ('{"video": {"path": "c"}}', "G008.*`target`"),
        ('{"video": {"path": "c"}, "target": "a", "edits": [{"verb": "cut"}]}', "/edits/0"),
        ('{"video": {"path": "c", "stp": 2}, "target": "a"}', "/video/stp"),
        ('{"video": {"path": "c"}, "target": "a"}', "G108"),
        ("[" * 100_000, "nested"),
    ],
)
def test_bad_documents_are_refused(document: str, words: str) -> None:
    with pytest.raises(GrainError, match=words):
        from_json(document)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(GrainError, match="G311"):
        load(tmp_path / "none.grain")
    (tmp_path / "latin.grain").write_bytes(b"grain 1 \xe9")
    with pytest.raises(GrainError, match="G006"):
        load(tmp_path / "latin.grain")


BEAR = 'grain 1 video "c" target "a bear" region r = all edit r -> "bear"\n'


@pytest.mark.parametrize(
    ("settings", "arguments", "document"),
    [
        ("space none from 25%", {"space": "none", "start": 0.25}, {"space": "none", "from": 0.25}),
        (
            "space pixels from 25%",
            {"space": "pixels", "start": 0.25},
            {"space": "pixels", "from": 0.25},
        ),
        (
            "space none feather 4px",
            {"space": "none", "feather": "4px"},
            {"space": "none", "feather": {"value": 4, "unit": "px"}},
        ),
    ],
)
def test_settings_of_blend_without_effect_are_told(
    settings: str, arguments: dict[str, Any], document: dict[str, Any]
) -> None:
    space, setting = settings.split()[1:3]
    expected = f"`{setting}` has no effect with `space {space}`"
    builder = Builder("c").target("a bear").region("r", ALL).edit("r", "bear")
    words = settings.split()
    overrides = [f"blend.{words[0]}={words[1]}", f"blend.{words[2]}={words[3]}"]
    specs = (
        parse(f"{BEAR}blend {{ {settings} }}"),
        builder.blend(**arguments).build(),
        from_json(json.dumps(DOCUMENT | {"blend": document})),
        override(parse(BEAR), overrides),
    )
    for spec in specs:
        (finding,) = check(spec)
        assert (finding.code, finding.is_error, finding.message) == ("G111", False, expected)
        assert finding.cure.startswith(f"Remove `{setting}`, or write `space ")


def test_settings_of_blend_that_are_off_need_no_space() -> None:
    assert parse(f"{BEAR}blend {{ space none from 0% feather 0px }}").blend.space == "none"
    assert parse(f"{BEAR}blend {{ space pixels feather 4px }}").blend.space == "pixels"


@pytest.mark.parametrize(
    ("settings", "codes"),
    [
        ("from 100%", ["G111"]),
        ("from 100% space both", ["G111"]),
        ("from 99%", []),
        ("space pixels", []),
    ],
)
def test_keep_where_the_source_is_never_restored(settings: str, codes: list[str]) -> None:
    text = f"{BEAR}region s = box(0%, 0%, 9%, 9%) keep s\nblend {{ {settings} }}"
    findings = parse_all(text).diagnostics
    assert [finding.code for finding in findings] == codes
    for finding in findings:
        assert finding.span is not None
        assert finding.span.line == 3
        assert "`keep` has no effect in latents" in finding.message
