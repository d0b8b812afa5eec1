"""The formatter: canonical, idempotent, true to the text."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
from clips import EXAMPLES
from command import Grain
from hypothesis import given
from hypothesis import strategies as st

from grainspec import GrainError, dumps, parse
from grainspec.testing import specs
from grainspec.text.format import WIDTH, format_text
from grainspec.text.tokens import grammar

MESSY = """# what this is
grain 1   # the version


video   "a.mp4"{ frames 0..3   # some of them
  step 2 }
target "a bear and a robot with a hat"
region a=masks( "x" ,invert )|b&~ ( c-d )
# between
region longer =box(1%,2%,3%,4%)@0,box(1%,2%,3%,4%)@10   region b=all

edit instance a->"bear" {weight 1} # why
keep b
add part longer of a->"hat"
# the end"""

CLEAN = """# what this is
grain 1  # the version

video "a.mp4" { frames 0..3  # some of them
    step 2 }
target "a bear and a robot with a hat"
region a      = masks("x", invert) | b & ~(c - d)
# between
region longer = box(1%, 2%, 3%, 4%) @ 0, box(1%, 2%, 3%, 4%) @ 10
region b      = all

edit instance a      -> "bear" { weight 1 }  # why
keep b
add part longer of a -> "hat"
# the end
"""


def words(text: str) -> list[str]:
    """The words of a text, comments among them."""
    comments = [m[1].rstrip() for m in re.finditer(r'"(?:\\.|[^"\\\n])*"|(#.*)', text) if m[1]]
    return [*map(str, grammar().lex(text)), *comments]


def test_what_it_does() -> None:
    assert format_text(MESSY) == CLEAN


def test_comments_inside_statements_stay_where_they_stand() -> None:
    text = """video "c.mp4" {
    # only the walk
    frames 0..3  # of it
    # the end
}
region r = masks(
    # the folder
    "x", invert)
attention videograin {  # the paper's
    unbound
    # as it is
    0.3  # not all
}
"""
    assert format_text(text) == text


def test_examples_and_reference_are_canonical() -> None:
    for path in EXAMPLES.glob("*.grain"):
        assert format_text(path.read_text()) == path.read_text()


@given(specs(), st.randoms(use_true_random=False))
def test_it_is_idempotent_and_true(spec: object, random: object) -> None:
    lines = dumps(spec).split("\n")[:-1]  # type: ignore[arg-type]
    gaps = ["\n", "\n\n\n", "  # a comment\n", "\n# another\n", "\n   \n", "\r\n"]
    text = "".join(line + random.choice(gaps) for line in lines)  # type: ignore[attr-defined]
    text = text.replace(" = ", random.choice(["=", "  =\n"]))  # type: ignore[attr-defined]
    clean = format_text(text)
    assert format_text(clean) == clean
    assert sorted(words(clean)) == sorted(words(text.replace("\r\n", "\n")))
    assert parse(clean) == parse(text)


@given(specs())
def test_specs_are_printed_as_they_would_be_formatted(spec: object) -> None:
    text = dumps(spec)  # type: ignore[arg-type]
    assert format_text(text) == text


def test_long_statements_are_broken() -> None:
    union = " | ".join(f"region_number_{i}" for i in range(20))
    text = f"region all_of_them = {union}\n"
    clean = format_text(text)
    assert max(map(len, clean.splitlines())) <= WIDTH
    assert len(clean.splitlines()) > 3
    assert format_text(clean) == clean
    assert words(clean) == words(text)


def test_byte_order_marks_and_empty_files() -> None:
    assert format_text("") == ""
    assert format_text("\n\n# only\n\n\n# comments") == "# only\n\n# comments\n"
    assert format_text('\ufeffgrain 1\r\nvideo "v"') == 'grain 1\nvideo "v"\n'


def test_syntax_errors_change_nothing(grain: Grain, tmp_path: Path) -> None:
    with pytest.raises(GrainError, match="G001"):
        format_text("grain 1\nregion = all")
    path = tmp_path / "bad.grain"
    path.write_text("grain   1\nregion = all")
    said = grain("fmt", path)
    assert said.code == 1
    assert "1 error, not changed" in said.err
    assert path.read_text() == "grain   1\nregion = all"


def test_files_and_folders(grain: Grain, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    one, other = tmp_path / "one.grain", folder / "other.grain"
    one.write_text(MESSY)
    one.chmod(0o640)
    other.write_text(CLEAN)
    checked = grain("fmt", "--check", tmp_path, "--format", "json")
    assert (checked.code, checked.json["changed"]) == (1, [str(one)])
    diff = grain("fmt", "--diff", one)
    assert diff.code == 1
    assert '+video "a.mp4" { frames 0..3  # some of them' in diff.out
    assert "\x1b" not in diff.out
    assert one.read_text() == MESSY
    said = grain("fmt", tmp_path)
    assert (said.code, one.read_text()) == (0, CLEAN)
    assert f"{one}: reformatted" in said.err
    assert one.stat().st_mode & 0o777 == 0o640
    assert grain("fmt", "--check", tmp_path).code == 0
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "one.grain",
        "other.grain",
    ]
    (tmp_path / "empty").mkdir()
    assert grain("fmt", tmp_path / "empty", "--format", "json").codes == ["G311"]


def test_standard_input(grain: Grain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(MESSY))
    said = grain("fmt", "-")
    assert (said.code, said.out, said.err) == (0, CLEAN, "")
