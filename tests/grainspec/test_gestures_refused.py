"""Gestures that are refused, and texts that are half typed."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from clips import EXAMPLES
from gesture_texts import (
    PLACES,
    SPEC,
    after,
    changes,
    gesture,
    refusal,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from grainspec import GrainError
from grainspec.analysis.document import Document
from grainspec.analysis.edits import TextEdit, applied, inverse
from grainspec.analysis.gestures.gesture import GestureKind

REFUSED = [
    ("G710", {"kind": "wave"}),
    ("G710", {"kind": "point", "points": []}),
    ("G710", {"kind": "point", "points": [[0.1, float("nan")]]}),
    ("G710", {"kind": "mask"}),
    ("G710", {"kind": "move", "points": [[0, 0]]}),
    ("G710", {"kind": "move", "region": "b", "points": [[0.5, 0.5]]}),
    ("G101", {"kind": "keep", "region": "lefft"}),
    ("G202", {"kind": "box", "region": "my box", "points": [[0, 0], [1, 1]]}),
    ("G303", {"kind": "point", "frame": 100, "points": [[0.5, 0.5]]}),
    ("G711", {"kind": "not_point", "points": [[0.5, 0.5]]}),
    ("G711", {"kind": "point", "region": "b", "points": [[0.5, 0.5]]}),
    ("G711", {"kind": "box", "points": [[0.5, 0.5], [0.5, 0.9]]}),
    ("G711", {"kind": "polygon", "points": [[0, 0], [0.5, 0.5], [0, 0], [0.5, 0.5]]}),
    ("G711", {"kind": "move", "region": "b", "shape": 3, "points": [[0, 0], [1, 1]]}),
    ("G714", {"kind": "bind", "region": "b", "words": "purple cat"}),
    ("G714", {"kind": "bind", "region": "b", "words": [3, 6]}),
    ("G105", {"kind": "bind", "region": "b", "words": "robot"}),
    ("G350", {"kind": "not_point", "frame": 7, "region": "left", "points": [[0.5, 0.5]]}),
]


@pytest.mark.parametrize(("code", "given_"), REFUSED, ids=str)
def test_what_has_no_meaning_is_refused(code: str, given_: dict[str, Any]) -> None:
    assert refusal(SPEC, **given_)[0] == code


def test_broken_files_are_edited_where_they_can_be_read() -> None:
    text = SPEC.replace("steps 30 }", "stepps 30").replace(
        "region b    = box(10.25%", "region b = box("
    )
    assert "region c    = track" in after(text, kind="point", region="c", points=[[0.5, 0.5]])
    (line,) = changes(text, kind="point", region="left", points=[[0.5, 0.5]])
    assert "point(30%, 55%), point(50%, 50%) @ 0" in line
    code, said = refusal(text, kind="box", region="b", points=[[0, 0], [1, 1]])
    assert code == "G712"
    assert "line 9" in said
    half = SPEC.replace("20%, 30%)", "20%, 30)")
    code, said = refusal(half, kind="move", region="b", points=[[0, 0], [1, 1]])
    assert (code, "30" in said) == ("G712", True)


TEXTS = [path.read_text() for path in sorted(EXAMPLES.glob("*.grain"))]

ANY = {
    "kind": st.sampled_from(get_args(GestureKind)),
    "frame": st.integers(0, 7),
    "region": st.sampled_from(["left", "right", "middle", "eyes", "new", None]),
    "shape": st.sampled_from([None, None, 0, 1]),
    "points": st.lists(PLACES, min_size=1, max_size=4),
    "words": st.sampled_from(["blue robot", "on", (150, 170), (0, 9)]),
    "path": st.just("masks/one.png"),
    "name": st.sampled_from(["left", "hero"]),
    "cascade": st.booleans(),
}


@given(st.sampled_from(TEXTS), st.integers(0, 900), st.integers(0, 3), st.fixed_dictionaries(ANY))
@settings(max_examples=100, deadline=None)
def test_half_typed_files_are_never_made_worse(
    text: str, at: int, length: int, given_: dict[str, Any]
) -> None:
    broken = text[:at] + text[at + length :] if length else text[:at]
    try:
        made = gesture(broken, **given_)
    except GrainError as error:
        assert error.diagnostics[0].cure or error.diagnostics[0].code < "G7"
        return
    new = applied(broken, made.edits)
    assert applied(new, inverse(broken, made.edits)) == broken
    assert errors(new) <= errors(broken) | {"G108"}


def errors(text: str) -> set[str]:
    return {finding.code for finding in Document(text, None).findings if finding.is_error}


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.text("ab", max_size=3))))
def test_edits_are_undone(drawn: list[tuple[int, int, str]]) -> None:
    text, edits, position = "0123456789", [], 0
    for start, length, new in sorted(drawn):
        if position <= start:
            edits.append(TextEdit(start, min(start + length, 10), new))
            position = start + length
    assert applied(applied(text, edits), inverse(text, edits)) == text
