"""Text, JSON and Python are three ways to write down one spec."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from clips import EXAMPLES, ROOT
from hypothesis import given

from grainspec import (
    REST,
    Builder,
    EditSpec,
    GrainError,
    dumps,
    from_json,
    load,
    masks,
    moving_box,
    parse,
    to_json,
)
from grainspec.document import json_schema, schema_text
from grainspec.testing import specs


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
        .region("eyes", moving_box((0, "1%", "2%", "3%", "4%"), (7, "2%", "3%", "4%", "5%")))
        .region("trees", REST)
        .instance("man", "robot", weight=1.5)
        .add("eyes", "sunglasses", of="man")
        .edit("trees", "cherry trees")
        .attention(self=0.2, frames="each")
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
        attention { self 0.2 frames each }
        sampler ddim { steps 10 }
        """
    )
    assert built == written
    assert hash(built) == hash(written)


def test_builders_are_immutable() -> None:
    start = Builder("c.mp4").target("a bear")
    start.region("r", REST)
    with pytest.raises(GrainError, match="G101"):
        start.edit("r", "bear").build()


def test_builder_errors_are_coded() -> None:
    with pytest.raises(GrainError, match="G203.*from 0 to 4"):
        Builder("c.mp4").edit("r", "bear", weight=9)
    with pytest.raises(GrainError, match="G104"):
        Builder("c.mp4").target("a bear").region("r", REST).edit("r", "cat").build()
    with pytest.raises(ValueError, match="no length"):
        moving_box((0, "1", "2%", "3%", "4%"))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "Invalid JSON"),
        ("[]", "G009"),
        ('{"video": {"path": "c"}}', "/target"),
        ('{"video": {"path": "c"}, "target": "a", "edits": [{"verb": "cut"}]}', "/edits/0"),
        ('{"video": {"path": "c", "stp": 2}, "target": "a"}', "/video/stp"),
        ('{"video": {"path": "c"}, "target": "a"}', "G108"),
        ("[" * 100_000, "nests"),
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
