"""Gestures on texts of specs, for the tests of what gestures write."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st

from grainspec import EditSpec, GrainError
from grainspec.analysis.document import Document
from grainspec.analysis.edits import applied, inverse
from grainspec.analysis.gestures import GestureResult, gesture_edits
from grainspec.diagnostics.codes import ERRORS


@dataclass(frozen=True)
class Extent:
    """The size of a clip."""

    width: int = 640
    height: int = 480
    frames: int = 100


CLIP = Extent()

SHARES = st.integers(0, 1000).map(lambda drawn: drawn / 1000)
PLACES = st.tuples(SHARES, SHARES)
FRAMES = st.sampled_from([0, 1, 3, 12, 20, 24, 40])
SEPARATORS = st.sampled_from([", ", ",", " ,   ", ",  # so, @ 9\n    "])

SPEC = """grain 1

# the clip
video "c.mp4"

target "a green robot and a yellow bear on grass"

region left = track(point(30%, 55%) @ 0)  # him
region b    = box(10.25%, 10%, 20%, 30%)

edit instance left -> "green robot"
keep b  # stays

sampler ddim { steps 30 }
"""


def gesture(text: str, extent: Extent | None = CLIP, **given: Any) -> GestureResult:
    return gesture_edits(Document(text, None), given, extent)


def after(text: str, **given: Any) -> str:
    return applied(text, gesture(text, **given).edits)


def changes(text: str, **given: Any) -> list[str]:
    """The lines that a gesture changes or adds."""
    old = Counter(text.splitlines())
    return [line for line in after(text, **given).splitlines() if not old[line]]


def refusal(text: str, **given: Any) -> tuple[str, str]:
    """The code of a refusal, and all that it says."""
    with pytest.raises(GrainError) as refused:
        gesture(text, **given)
    (finding,) = refused.value.diagnostics
    assert finding.code in ERRORS
    assert finding.cure
    return finding.code, f"{finding.message}. {finding.cure}"


_COMMENTS = re.compile(r'"(?:\\.|[^"\\\n])*"|(#[^\r\n]*)')


def comments(text: str) -> list[str]:
    return [match[1].rstrip() for match in _COMMENTS.finditer(text) if match[1]]


def undone(text: str, made: GestureResult) -> str:
    """The text after a gesture, which keeps its comments and can be undone."""
    new = applied(text, made.edits)
    assert applied(new, inverse(text, made.edits)) == text
    assert comments(new) == comments(text)
    return new


def apart(spec: EditSpec, *fields: str) -> dict[str, Any]:
    return spec.model_dump(exclude=set(fields))


def spec_of(expression: str, comma: str) -> str:
    """A spec with a region `r`, whose arguments are written with other commas."""
    commas = re.compile(r'("(?:\\.|[^"\\\n])*")|, ')
    written = commas.sub(lambda match: match[1] or comma, expression)
    return (
        'grain 1\nvideo "c.mp4"\ntarget "a bear on grass"\n\n'
        f'region r = {written}  # beside\n# below\nregion s = all\n\nedit s -> "bear"\nkeep r'
    )
