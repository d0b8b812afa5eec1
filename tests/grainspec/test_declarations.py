"""Settings and statements are declared once: what follows from them is current and complete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from clips import ROOT

import grainspec
from grainspec import Builder, dumps, override, parse
from grainspec.checks.method import TRAITS
from grainspec.generate import GENERATED
from grainspec.json_format import SCHEMA_ID, json_schema
from grainspec.model.algebra import Expression, Find, MaskFiles
from grainspec.model.declaration import Declaration, fields_of, head_of, owned, settings_of
from grainspec.model.nodes import Node
from grainspec.model.partial import Attention, SamplerChange
from grainspec.model.rules import ONCE, SHARED, STATEMENT_RULES
from grainspec.model.settings.attention import Modulation
from grainspec.model.settings.method import Method, MethodName
from grainspec.model.settings.sampler import Sampler
from grainspec.model.spec import BLOCKS, Edit, EditSpec, Variant
from grainspec.model.statements import STATEMENTS
from grainspec.text.kinds import KINDS
from grainspec.text.printer import _WRITERS

MODELS = {
    **{word: block.model for word, block in BLOCKS.items()},
    "edit": Edit,
    "masks": MaskFiles,
    "find": Find,
}
SETTINGS = [
    pytest.param(declared, id=f"{word} {keyword}")
    for word, model in MODELS.items()
    for keyword, declared in settings_of(model).items()
]
SPEC = 'grain 1 video "c" target "a bear" region r = all edit r -> "bear"\n'


@pytest.mark.parametrize("path", GENERATED)
def test_generated_files_are_current(path: str) -> None:
    place = ROOT / path
    if not place.exists():  # where the wheel is tested, not the tree
        place = Path(grainspec.__file__).parents[1] / path
    text = place.read_text(encoding="utf-8")
    assert GENERATED[path](text) == text, "run `python -m grainspec.generate`"


@pytest.mark.parametrize("declared", SETTINGS)
def test_settings_are_declared_whole(declared: Declaration) -> None:
    assert declared.kind in KINDS
    assert declared.description.endswith(".")
    assert declared.optional or not declared.required
    if declared.optional and declared.field not in Modulation.model_fields:
        assert declared.absent, "say what holds where it is left out"
    if declared.kind in {"whole", "decimal", "percent"} and declared.keyword != "from":
        assert None not in (declared.low, declared.high)


def properties(schema: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of a schema and of all that is in it."""
    if isinstance(schema, dict):
        for name, part in schema.get("properties", {}).items():
            yield f"{place}/{name}", part
        for name, part in schema.items():
            yield from properties(part, f"{place}/{name}")
    elif isinstance(schema, list):
        for number, part in enumerate(schema):
            yield from properties(part, f"{place}/{number}")


def numbers(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema of a number in a property."""
    if isinstance(schema, list):
        for part in schema:
            yield from numbers(part)
    elif isinstance(schema, dict):
        if schema.get("type") in {"number", "integer"}:
            yield schema
        for part in schema.values():
            yield from numbers(part)


PROPERTIES = dict(properties(json_schema()))


def test_the_schema_has_an_id() -> None:
    assert json_schema()["$id"] == SCHEMA_ID
    assert len(PROPERTIES) > 130


@pytest.mark.parametrize("place", PROPERTIES)
def test_every_property_is_described(place: str) -> None:
    found = PROPERTIES[place]
    assert found["description"].endswith("."), place
    assert "``" not in found["description"]
    for number in numbers(found):
        if "const" not in number:
            assert "minimum" in number or "exclusiveMinimum" in number
            assert "maximum" in number
    *_, owner, name = place.split("/")
    schema = json_schema()
    owner_schema = schema["$defs"].get(owner, schema)
    assert "default" in found or name in owner_schema["required"]


def test_what_a_variant_leaves_out_is_what_the_spec_declares() -> None:
    for partial, whole in ((Attention, Modulation), (SamplerChange, Sampler)):
        assert {*fields_of(whole)} == {*fields_of(partial)} - {"profile"}
        for keyword, declared in fields_of(whole).items():
            said = fields_of(partial)[keyword]
            assert (said.optional, said.default) == (True, None)
            for part in ("kind", "choices", "low", "high", "above", "head", "description"):
                assert getattr(said, part) == getattr(declared, part)


def test_statements_and_blocks_agree() -> None:
    words = {statement.word: statement for statement in STATEMENT_RULES}
    for word, block in BLOCKS.items():
        assert block.several == (word not in ONCE)
        assert (words[word].in_variant == "yes") == (block.in_variant is not None)
        assert (block.field in Variant.model_fields) == (block.in_variant is not None)
    assert set(STATEMENTS) - ONCE == {
        *("region", "edit", "add", "keep", "free", "control", "variant", "without")
    }
    assert set(STATEMENTS) - SHARED == {
        *("target", "negative", "edit", "add", "keep", "free"),
        *("attention", "sampler", "method", "without"),
    }
    grammar = (ROOT / "grammar" / "grain.lark").read_text(encoding="utf-8")
    assert not [word for word in STATEMENTS if f'"{word}"' not in grammar]
    assert not [word for word in BLOCKS if word != "video" and not hasattr(Builder, word)]
    assert not [word for word in BLOCKS if word not in STATEMENTS]
    page = (ROOT / "grammar" / "README.md").read_text(encoding="utf-8")
    assert not [word for word in BLOCKS if f"<!-- settings: {word} -->" not in page]


def test_every_expression_can_be_written() -> None:
    union, _ = get_args(Expression)
    assert set(_WRITERS) == set(get_args(union))


def sample(declared: Declaration) -> tuple[str, Any]:
    """A value that differs from the default, as text and in Python."""
    if declared.choices:
        choice = next(choice for choice in declared.choices if choice != declared.default)
        return choice, choice
    if declared.keyword == "alpha":
        return '"#00ff00"', "#00ff00"
    return {
        "whole": ("3", 3),
        "decimal": ("0.25", 0.25) if declared.default == 0.5 else ("0.5", 0.5),
        "percent": ("75%", 0.75),
        "text": ('"t"', "t"),
        "path": ('"t"', "t"),
        "length": ("7px", "7px"),
        "levels": ("1 2", (1, 2)),
        "layers": ("3..5 9", (3, 4, 5, 9)),
        "frames": ("2..5", None),
        "size": ("64x32", None),
    }[declared.kind]


ALONE = [
    (word, keyword)
    for word, block in BLOCKS.items()
    for keyword, declared in settings_of(block.model).items()
    if declared.kind != "box"
]
WITH = {("flow", "weights"): "method raft ", ("context", "frames"): "overlap 1 keys 1 "}
"""What else a setting needs."""


def head(word: str, declared: Declaration) -> tuple[str, ...]:
    """What is written before the brace, if something must be."""
    return {"control": ("depth",), "method": declared.owners[:1]}.get(word, ())


@pytest.mark.parametrize(("word", "keyword"), ALONE)
def test_every_setting_is_read_written_and_set_alike(word: str, keyword: str) -> None:
    block = BLOCKS[word]
    declared = settings_of(block.model)[keyword]
    text, value = sample(declared)
    if (word, keyword) in {("context", "overlap"), ("context", "keys")}:
        assert declared.default != value
    before = '"c"' if word == "video" else "".join(head(word, declared))
    line = f"{word} {before} {{ {WITH.get((word, keyword), '')}{keyword} {text} }}"
    around = SPEC
    if word == "method" and TRAITS[cast(MethodName, before)].needs_control:
        around += "control depth\n"
    base = around.replace('video "c"', line) if word == "video" else f"{around}{line}"
    spec = parse(base)
    assert parse(dumps(spec)) == spec
    assert f"{keyword} {text}" in dumps(spec)
    node = getattr(spec, block.field)
    node = node[0] if block.several else node
    if value is not None:
        shown = getattr(node, declared.field)
        assert (str(shown) if declared.kind == "length" else shown) == value
    if not block.several and (word, keyword) not in WITH:
        sets = [f"method.name={name}" for name in head(word, declared)]
        sets.append(f"{word}.{keyword}={text}")
        assert getattr(override(parse(around), sets), block.field) == node
    if word != "video" and (word, keyword) not in WITH:
        builder = Builder("c").target("a bear").edit("r", "bear")
        built = getattr(builder, word)(*head(word, declared), **{declared.argument: value})
        made = built._controls[0] if word == "control" else built._fields[word]
        assert made == node


def test_every_setting_of_method_has_owners() -> None:
    """What the methods are, and which settings each has, is declared nowhere else."""
    methods = get_args(MethodName)
    in_json = json_schema()["$defs"]["Method"]["properties"]
    for declared in settings_of(Method).values():
        assert declared.owners, f"declare which methods have `{declared.keyword}`"
        assert set(declared.owners) <= set(methods)
        names = ", ".join(f"`{name}`" for name in declared.owners)
        prefixed = declared.description.startswith(f"For {names}: ")
        assert prefixed == (declared.keyword != "regions")
        assert in_json[declared.key]["description"] == declared.description
    assert settings_of(Method)["regions"].owners == methods
    for name in methods:
        assert len(owned(settings_of(Method), name)) > 1, f"`{name}` has no setting of its own"


def test_heads_can_be_set() -> None:
    spec = override(parse(SPEC), ["sampler.method=unipc", "blend.space=none", "video.path=d"])
    assert (spec.sampler.method, spec.blend.space, spec.video.path) == ("unipc", "none", "d")
    assert head_of(Sampler) is not None


def test_every_field_of_a_block_has_a_kind() -> None:
    for model in (*MODELS.values(), Attention, SamplerChange):
        assert issubclass(model, Node)
        for declared in fields_of(model).values():
            assert declared.kind, (model, declared.field)
    assert EditSpec.model_fields["video"].is_required()
